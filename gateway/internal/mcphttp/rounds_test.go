package mcphttp_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// remembering are a tool and a prompt that ask once and remember something about
// it in the state that the client brings back.
func remembering(s *server.MCPServer) {
	ask := func() *server.InputRequestBuilder {
		return server.NewInputRequestBuilder("for alice's eyes").Elicit("q", mcp.ElicitationParams{Message: "?", RequestedSchema: map[string]any{"type": "object"}})
	}
	for _, name := range []string{"remember", "remember_too"} {
		s.AddTool(mcp.NewTool(name), func(_ context.Context, call mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			if call.Params.RequestState == "" {
				return ask().ToolResult(), nil
			}
			return mcp.NewToolResultText(call.Params.RequestState), nil
		})
	}
	s.AddPrompt(mcp.Prompt{Name: "remember"}, func(context.Context, mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
		return ask().PromptResult(), nil
	})
}

// TestTheStateOfARequestIsGoodForThatRequestAlone (MCP 2026-07-28, SEP-2322):
// "servers MUST treat requestState as attacker-controlled input".
func TestTheStateOfARequestIsGoodForThatRequestAlone(t *testing.T) {
	t.Parallel()
	g := newPackGateway(t, remembering)
	able := func(r request) request {
		r.body = strings.Replace(r.body, `clientCapabilities":{}`, `clientCapabilities":{"elicitation":{}}`, 1)
		return r
	}
	call := func(tool, more string) request {
		return able(modernRequest("1", "tools/call", `"name":"`+tool+`","arguments":{"a":1}`+more))
	}
	_, after, _ := strings.Cut(g.send(call("remember", "")).body, `"requestState":"`)
	state, _, ok := strings.Cut(after, `"`)
	if !ok || strings.Contains(state, "alice") {
		t.Fatalf("the state is %q", state)
	}
	with := func(state string) string {
		return `,"inputResponses":{"q":{"action":"accept"}},"requestState":"` + state + `"`
	}
	if got := g.send(call("remember", with(state))); got.text(t) != "for alice's eyes" {
		t.Errorf("got %d %s", got.status, got.body)
	}
	const reason = "not one that was given out for this request"
	for _, tt := range []struct {
		name   string
		in     request
		reason string
	}{
		{name: "with something behind it", in: call("remember", with(state+"-TAMPERED")), reason: reason},
		{name: "with another letter in the middle", in: call("remember", with(flip(state))), reason: reason},
		{name: "made up", in: call("remember", with("Zm9yIGFsaWNl")), reason: reason},
		{name: "empty", in: call("remember", with("")), reason: reason},
		{name: "no text", in: call("remember", `,"requestState":7`), reason: "not a string"},
		{name: "through another client of the same person", in: call("remember", with(state)).as("alice-other"), reason: reason},
		{name: "for another tool", in: call("remember_too", with(state)), reason: reason},
		{name: "for other arguments", in: able(modernRequest("1", "tools/call", `"name":"remember","arguments":{"a":2}`+with(state))), reason: reason},
		{name: "for a prompt of the same name", in: able(modernRequest("1", "prompts/get", `"name":"remember"`+with(state))), reason: reason},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g.send(tt.in).refused(t, http.StatusOK, -32602, tt.reason)
		})
	}
}
