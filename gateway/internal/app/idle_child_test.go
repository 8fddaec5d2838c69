//go:build unix

package app_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"mcp-gateway/gateway/internal/app"
	"mcp-gateway/gateway/internal/catalog"
	"mcp-gateway/gateway/internal/config"
)

// idleEnv makes the test binary a gateway that tells what it needs: a process of
// its own, since a client of ten thousand streams needs memory too.
const idleEnv = "MCP_GATEWAY_TEST_IDLE"

// The orders that it takes, a line each.
const (
	orderMeasure = "measure"
	orderChange  = "change"
)

// footprint is what a gateway holds. RSS is the system's, if that can be asked.
type footprint struct {
	RSS, Heap, Stack uint64
	Goroutines       int
}

// serveIdle serves a configuration until stdin ends. It says its address on stdout
// when it is ready, and a line after each order.
func serveIdle(file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	cfg, err := config.Load(config.Source{File: file, Data: data, Env: os.LookupEnv, ReadFile: os.ReadFile, InsecureDevelopment: true})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	var tools *server.MCPServer
	return app.Run(ctx, app.Options{
		Config: cfg, Listener: l, Logger: slog.New(slog.NewJSONHandler(io.Discard, nil)),
		Pack: catalog.Pack{
			Options: []server.ServerOption{server.WithToolCapabilities(true)},
			Install: func(s *server.MCPServer, _ func(string)) { tools = s },
		},
		Ready: func(a net.Addr) {
			fmt.Println(a)
			go func() {
				defer stop()
				for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
					if lines.Text() == orderChange {
						tools.AddTool(mcp.NewTool("new"), nil)
					}
					_ = json.NewEncoder(os.Stdout).Encode(measure())
				}
			}()
		},
	})
}

// measure is what is left after everything was given back that can be.
func measure() footprint {
	for range 3 { // stacks shrink by half each time
		runtime.GC()
	}
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return footprint{RSS: rss(), Heap: m.HeapAlloc, Stack: m.StackInuse, Goroutines: runtime.NumGoroutine()}
}

func rss() uint64 {
	status, _ := os.ReadFile("/proc/self/status") // only Linux has it
	_, after, _ := strings.Cut(string(status), "\nVmRSS:")
	kib, _, _ := strings.Cut(strings.TrimSpace(after), " ")
	n, _ := strconv.ParseUint(kib, 10, 64)
	return n << 10
}
