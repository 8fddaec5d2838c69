package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// serveCommand makes this program one of the servers below, for as long as its
// stdin is open: a process of its own, as the gateway is.
const serveCommand = "serve"

// The servers that the gateway is compared with.
const (
	peerEcho  = "echo"
	peerMCPGo = "mcp-go"
)

func serve(ctx context.Context, kind string, stdin io.Reader, stdout io.Writer) error {
	handlers := map[string]http.Handler{peerEcho: http.HandlerFunc(answerEcho), peerMCPGo: newMCPGo()}
	handler := handlers[kind]
	if handler == nil {
		return fmt.Errorf("there is no server %q", kind)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(listener) }()
	if _, err := fmt.Fprintln(stdout, listener.Addr()); err != nil {
		return errors.Join(err, srv.Close())
	}
	_, err = io.Copy(io.Discard, stdin)
	err = errors.Join(err, srv.Close())
	if ended := <-served; !errors.Is(ended, http.ErrServerClosed) {
		err = errors.Join(err, ended)
	}
	return err
}

// answerEcho is the yardstick of the budgets: net/http that reads and writes JSON.
func answerEcho(w http.ResponseWriter, r *http.Request) {
	var in map[string]any
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(in)
}

// newMCPGo is the library's own servers with one tool, and with nothing that a
// gateway has besides: no bearer, no policy, no trail.
func newMCPGo() http.Handler {
	tools := server.NewMCPServer("bench", "1", server.WithToolCapabilities(true))
	tools.AddTool(mcp.NewTool("math_add", mcp.WithNumber("a", mcp.Required()), mcp.WithNumber("b", mcp.Required())),
		func(_ context.Context, req mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			sum := req.GetFloat("a", 0) + req.GetFloat("b", 0)
			return mcp.NewToolResultStructured(map[string]any{"result": sum}, fmt.Sprint(sum)), nil
		})
	streamable, sse := server.NewStreamableHTTPServer(tools, server.WithStateful(true)), server.NewSSEServer(tools)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/mcp" {
			streamable.ServeHTTP(w, r)
			return
		}
		sse.ServeHTTP(w, r)
	})
}
