package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
)

// printClients says how to connect each client to the gateway at url.
// bridge is the absolute path of mcp-bridge, or empty if it is not built.
func printClients(w io.Writer, url, bridge string) {
	mcp := url + "/mcp"
	p := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format+"\n", args...) }
	p("")
	p("MCP endpoint   %s", mcp)
	p("")
	p("Inspector      npx @modelcontextprotocol/inspector")
	p("               then: transport \"Streamable HTTP\", URL %s, Connect", mcp)
	p("")
	p("Cursor         ~/.cursor/mcp.json")
	p("%s", indented(map[string]any{"mcpServers": map[string]any{"gateway": map[string]any{"url": mcp}}}))
	p("")
	p("Windsurf       ~/.codeium/windsurf/mcp_config.json")
	p("%s", indented(map[string]any{"mcpServers": map[string]any{"gateway": map[string]any{"serverUrl": mcp}}}))
	if bridge == "" {
		p("")
		p("Claude Desktop starts local programs only, so it needs mcp-bridge, which is not built yet.")
		return
	}
	stdio := map[string]any{"mcpServers": map[string]any{"gateway": map[string]any{"command": bridge, "args": []string{mcp}}}}
	p("")
	p("Claude Desktop %s", claudeConfig())
	p("%s", indented(stdio))
	p("")
	p("Cursor's command field, and any other client that starts a program:")
	p("               %s %s", bridge, mcp)
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

// findBridge returns the absolute path of bin/mcp-bridge, or "" if there is
// none.
func findBridge() string {
	name := "mcp-bridge"
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	path, err := filepath.Abs(filepath.Join("bin", name))
	if err != nil {
		return ""
	}
	if info, err := os.Stat(path); err != nil || info.IsDir() {
		return ""
	}
	return path
}
