package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// keychainTime is how long a keychain may take to answer, or its owner to unlock
// it.
const keychainTime = 30 * time.Second

// stdioServer is a server that a client starts, in the form that all of them read.
type stdioServer struct {
	Command string            `json:"command"`
	Args    []string          `json:"args"`
	Env     map[string]string `json:"env,omitempty"`
}

// bridge is the mcp-bridge that clients are told to start.
type bridge struct {
	path string // absolute, or "" if it is not built
	args []string
	env  map[string]string
	note string // why it has these arguments, or ""
}

// screenVariables are those by which a program on Linux finds the screen and the
// keychain. Many clients keep them from what they start.
var screenVariables = []string{"DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"}

// printClients says how to connect each client to the gateway at url.
func printClients(w io.Writer, url string, b bridge) {
	mcp := url + "/mcp"
	p := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format+"\n", args...) }
	p("")
	p("MCP endpoint   %s", mcp)
	p("")
	p("Inspector      npx @modelcontextprotocol/inspector")
	p("               then: transport \"Streamable HTTP\", URL %s, Connect", mcp)
	p("")
	p("Cursor         ~/.cursor/mcp.json")
	p("%s", indented(servers(map[string]string{"url": mcp})))
	p("")
	p("Windsurf       ~/.codeium/windsurf/mcp_config.json")
	p("%s", indented(servers(map[string]string{"serverUrl": mcp})))
	p("")
	if b.path == "" {
		p("Claude Desktop starts local programs only: build mcp-bridge for it (make build) and start this again.")
		return
	}
	args := append([]string{mcp}, b.args...)
	p("Claude Desktop %s", claudeConfig())
	p("%s", indented(servers(stdioServer{b.path, args, b.env})))
	p("               Cursor and Windsurf take the same, in their files, to connect through mcp-bridge.")
	if b.note != "" {
		p("               %s", b.note)
	}
	p("")
	p("Cursor's command field, and any other client that starts a program:")
	p("               %s %s", b.path, strings.Join(args, " "))
}

// servers is a configuration with one server.
func servers(server any) any {
	return map[string]any{"mcpServers": map[string]any{"gateway": server}}
}

// indented is JSON to paste.
func indented(v any) string {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		panic(err) // maps of strings
	}
	return string(b)
}

// claudeConfig is where Claude Desktop keeps its list of servers.
func claudeConfig() string {
	switch runtime.GOOS {
	case "darwin":
		return "~/Library/Application Support/Claude/claude_desktop_config.json"
	case "windows":
		return `%APPDATA%\Claude\claude_desktop_config.json`
	default:
		return "~/.config/Claude/claude_desktop_config.json"
	}
}

// findBridge looks for bin/mcp-bridge, and asks it whether there is a keychain for
// its tokens.
func findBridge(ctx context.Context, getenv func(string) (string, bool)) bridge {
	name := "mcp-bridge"
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	path, err := filepath.Abs(filepath.Join("bin", name))
	if err != nil {
		return bridge{}
	}
	if info, err := os.Stat(path); err != nil || info.IsDir() {
		return bridge{}
	}
	b := bridge{path: path, env: map[string]string{}}
	if runtime.GOOS == "linux" {
		for _, name := range screenVariables {
			if value, ok := getenv(name); ok && value != "" {
				b.env[name] = value
			}
		}
	}
	ctx, cancel := context.WithTimeout(ctx, keychainTime)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, "status", "--json").Output()
	var status struct {
		TokenStore struct{ Problem string } `json:"token_store"`
	}
	if decodeErr := json.Unmarshal(out, &status); decodeErr != nil || err != nil && status.TokenStore.Problem != "" {
		b.args = []string{"--token-store", "file"}
		b.note = "No keychain answers here, so tokens go into files that only you can read (--token-store file)."
	}
	return b
}
