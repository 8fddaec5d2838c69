package mcphttp_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// routed has arguments that stand in headers too.
func routed(s *server.MCPServer) {
	s.AddTool(mcp.NewToolWithRawSchema("routed", "", json.RawMessage(`{"type":"object","properties":{`+
		`"region":{"type":"string","x-mcp-header":"Region"},"shards":{"type":"integer","x-mcp-header":"Shards"},"plain":{"type":"string"},`+
		`"where":{"type":"object","properties":{"urgent":{"type":"boolean","x-mcp-header":"Urgent"}}}}}`)),
		func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return mcp.NewToolResultText("routed"), nil
		})
}

// TestArgumentsThatStandInHeadersToo (MCP 2026-07-28 Streamable HTTP, Server
// Behavior for Custom Headers): whoever routes by a header sees what is executed.
func TestArgumentsThatStandInHeadersToo(t *testing.T) {
	t.Parallel()
	g := newPackGateway(t, routed)
	for _, tt := range []struct {
		name      string
		arguments string
		header    http.Header
		reason    string // of the refusal; empty for none
	}{
		{name: "no argument and no header", arguments: `{}`},
		{name: "null and no header", arguments: `{"region":null}`},
		{name: "an argument without the mark", arguments: `{"plain":"x"}`},
		{name: "a header of no argument that there is", arguments: `{}`, header: http.Header{"Mcp-Param-Other": {"x"}}},
		{name: "the same text", arguments: `{"region":"eu"}`, header: http.Header{"Mcp-Param-Region": {"eu"}}},
		{name: "the same text in base64", arguments: `{"region":"größe"}`, header: http.Header{"Mcp-Param-Region": {"=?base64?Z3LDtsOfZQ==?="}}},
		{name: "the same text with escapes", arguments: `{"region":"\u0065u"}`, header: http.Header{"Mcp-Param-Region": {"eu"}}},
		{name: "nothing in both", arguments: `{"region":""}`, header: http.Header{"Mcp-Param-Region": {""}}},
		{name: "the same number", arguments: `{"shards":42}`, header: http.Header{"Mcp-Param-Shards": {"42"}}},
		{name: "the same number, written otherwise", arguments: `{"shards":42.0}`, header: http.Header{"Mcp-Param-Shards": {"42"}}},
		{name: "the same number, with a fraction in the header", arguments: `{"shards":42}`, header: http.Header{"Mcp-Param-Shards": {"42.0"}}},
		{name: "an argument inside another", arguments: `{"where":{"urgent":true}}`, header: http.Header{"Mcp-Param-Urgent": {"true"}}},

		{name: "an argument whose header is missing", arguments: `{"region":"eu"}`, reason: "Mcp-Param-Region"},
		{name: "a header whose argument is missing", arguments: `{}`, header: http.Header{"Mcp-Param-Region": {"eu"}}, reason: "Mcp-Param-Region"},
		{name: "a header whose argument is null", arguments: `{"region":null}`, header: http.Header{"Mcp-Param-Region": {"eu"}}, reason: "Mcp-Param-Region"},
		{name: "a header without arguments", arguments: `null`, header: http.Header{"Mcp-Param-Region": {"eu"}}, reason: "Mcp-Param-Region"},
		{name: "another text", arguments: `{"region":"eu"}`, header: http.Header{"Mcp-Param-Region": {"us"}}, reason: "Mcp-Param-Region"},
		{name: "another case", arguments: `{"region":"eu"}`, header: http.Header{"Mcp-Param-Region": {"EU"}}, reason: "Mcp-Param-Region"},
		{name: "two headers, one of them right", arguments: `{"region":"eu"}`, header: http.Header{"Mcp-Param-Region": {"eu", "us"}}, reason: "2 times"},
		{name: "base64 without padding", arguments: `{"region":"Hello"}`, header: http.Header{"Mcp-Param-Region": {"=?base64?SGVsbG8?="}}, reason: "base64"},
		{name: "base64 of other letters", arguments: `{"region":"Hello"}`, header: http.Header{"Mcp-Param-Region": {"=?base64?SGVs!!!bG8=?="}}, reason: "base64"},
		{name: "another number", arguments: `{"shards":42}`, header: http.Header{"Mcp-Param-Shards": {"43"}}, reason: "Mcp-Param-Shards"},
		{name: "a number that only a float64 makes equal", arguments: `{"shards":9007199254740993}`,
			header: http.Header{"Mcp-Param-Shards": {"9007199254740992"}}, reason: "Mcp-Param-Shards"},
		{name: "a number in another base", arguments: `{"shards":16}`, header: http.Header{"Mcp-Param-Shards": {"0x10"}}, reason: "Mcp-Param-Shards"},
		{name: "a text for a number", arguments: `{"shards":"x"}`, header: http.Header{"Mcp-Param-Shards": {"42"}}, reason: "Mcp-Param-Shards"},
		{name: "an object, which no header can hold", arguments: `{"region":{}}`, header: http.Header{"Mcp-Param-Region": {"{}"}}, reason: "Mcp-Param-Region"},
		{name: "another truth inside another", arguments: `{"where":{"urgent":true}}`, header: http.Header{"Mcp-Param-Urgent": {"false"}}, reason: "Mcp-Param-Urgent"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := modernCall("1", "routed", tt.arguments)
			got := g.sendWith(r, tt.header)
			if tt.reason != "" {
				got.refused(t, http.StatusBadRequest, -32020, tt.reason)
				return
			}
			if got.status != http.StatusOK || got.text(t) != "routed" {
				t.Errorf("got %d %s", got.status, got.body)
			}
		})
	}
	t.Run("whoever may not call it learns nothing of its arguments", func(t *testing.T) {
		t.Parallel()
		g.sendWith(modernCall("1", "routed", `{"region":"eu"}`).as("bob"), nil).refused(t, http.StatusOK, -32602, "does not exist")
	})
	t.Run("a legacy client sends no such headers", func(t *testing.T) {
		t.Parallel()
		if got := g.send(g.begin("alice").call("1", "routed", `{"region":"eu"}`)); got.text(t) != "routed" {
			t.Errorf("got %d %s", got.status, got.body)
		}
	})
}

// sendWith sends a request with more headers, each as often as it has values.
func (g *gateway) sendWith(r request, more http.Header) reply {
	g.t.Helper()
	r.more = more
	return g.send(r)
}

// TestAPageMaySendTheHeadersOfArguments, which a tool needs; nothing else that it
// asks for.
func TestAPageMaySendTheHeadersOfArguments(t *testing.T) {
	t.Parallel()
	g := newGateway(t, nil)
	got := g.send(request{method: http.MethodOptions, header: map[string]string{
		"Origin": "http://localhost:6274", "Access-Control-Request-Method": "POST",
		"Access-Control-Request-Headers": "authorization,mcp-param-region, Mcp-Param-Urgent,x-other,mcp-param-,mcp-param-a b,mcp-param-\u00e9",
	}})
	want := "Authorization, Content-Type, Accept, Mcp-Protocol-Version, Mcp-Session-Id, Mcp-Method, Mcp-Name, Last-Event-ID, " +
		"Mcp-Param-Region, Mcp-Param-Urgent"
	if allowed := got.header.Get("Access-Control-Allow-Headers"); got.status != http.StatusNoContent || allowed != want {
		t.Errorf("got %d, %s", got.status, allowed)
	}
}

// TestAPreflightIsAnsweredInBounds: whoever asks is nobody yet.
func TestAPreflightIsAnsweredInBounds(t *testing.T) {
	t.Parallel()
	g := newGateway(t, nil)
	got := g.send(request{method: http.MethodOptions, header: map[string]string{
		"Origin": "https://gw.example", "Access-Control-Request-Method": "POST",
		"Access-Control-Request-Headers": strings.Repeat("mcp-param-x,", 50_000),
	}})
	if n := strings.Count(got.header.Get("Access-Control-Allow-Headers"), "Mcp-Param-X"); got.status != http.StatusNoContent || n != 64 {
		t.Errorf("%d headers are allowed: %d", n, got.status)
	}
}
