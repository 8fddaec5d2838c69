package mcphttp_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"mcp-gateway/gateway/internal/mcphttp"
	"mcp-gateway/shared/wire"
)

func TestLegacySessionFromBeginToEnd(t *testing.T) {
	t.Parallel()
	g := newGateway(t, nil)
	s := g.begin("alice")
	if got := g.send(s.message(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)); got.status != http.StatusAccepted || got.body != "" {
		t.Errorf("initialized: got %d %s", got.status, got.body)
	}
	if got := g.send(s.message(`{"jsonrpc":"2.0","id":9,"result":{}}`)); got.status != http.StatusAccepted || got.body != "" {
		t.Errorf("a response: got %d %s", got.status, got.body)
	}
	if got := g.send(s.request(`"p"`, "ping", "{}")); got.status != http.StatusOK || got.body != `{"jsonrpc":"2.0","id":"p","result":{}}` {
		t.Errorf("ping: got %d %s", got.status, got.body)
	}
	p := g.send(s.request("1", "tools/list", "{}")).parse(t)
	if len(p.Result.Tools) != 8 || p.Result.ResultType != "" || p.Result.TTLMs != nil {
		t.Errorf("tools/list: got %+v", p.Result)
	}
	if got := g.send(s.call("2", "math_add", `{"a":23,"b":19}`)); got.text(t) != "42" {
		t.Errorf("tools/call: got %s", got.body)
	}
	if got := g.send(s.call("2", "math_add", `{"a":23,"b":19}`).with("MCP-Protocol-Version", "")); got.text(t) != "42" {
		t.Errorf("without the version header: got %s", got.body)
	}
	end := s.message("")
	end.method = http.MethodDelete
	if got := g.send(end); got.status != http.StatusNoContent || got.body != "" {
		t.Errorf("DELETE: got %d %s", got.status, got.body)
	}
	g.send(end).refused(t, http.StatusNotFound, wire.CodeInvalidRequest, "no such session")
	g.send(s.request("3", "ping", "{}")).refused(t, http.StatusNotFound, wire.CodeInvalidRequest, "no such session")
	if got := g.send(g.begin("alice").call("4", "math_add", `{"a":1,"b":1}`)); got.text(t) != "2" {
		t.Errorf("after beginning anew: got %s", got.body)
	}
}

func TestInitializeNegotiates(t *testing.T) {
	t.Parallel()
	g := newGateway(t, nil)
	tests := map[string]struct{ asked, want string }{
		"the latest legacy revision":            {"2025-11-25", "2025-11-25"},
		"the one before":                        {"2025-06-18", "2025-06-18"},
		"the one with batches":                  {"2025-03-26", "2025-03-26"},
		"the oldest":                            {"2024-11-05", "2024-11-05"},
		"the modern one, which has no sessions": {"2026-07-28", "2025-11-25"},
		"one nobody knows":                      {"1.0", "2025-11-25"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := g.send(request{body: strings.Replace(initializeBody, "2025-11-25", test.asked, 1)})
			if v := got.parse(t).Result.ProtocolVersion; v != test.want {
				t.Fatalf("got %q, want %q: %s", v, test.want, got.body)
			}
			// The session speaks what was agreed.
			s := session{g, "alice", got.header.Get("Mcp-Session-Id")}
			if got := g.send(s.request("1", "ping", "{}").with("MCP-Protocol-Version", test.want)); got.status != http.StatusOK {
				t.Errorf("ping: got %d %s", got.status, got.body)
			}
		})
	}
}

func TestLegacyRefuses(t *testing.T) {
	t.Parallel()
	g := newGateway(t, nil)
	other := newGateway(t, nil)
	expired := newGateway(t, func(cfg *mcphttp.Config) { cfg.SessionLifetime = time.Nanosecond })
	s := g.begin("alice")
	older := session{g, "alice", g.send(request{body: strings.Replace(initializeBody, "2025-11-25", "2025-06-18", 1)}).header.Get("Mcp-Session-Id")}
	ping := s.request("7", "ping", "{}")
	const bad, gone = http.StatusBadRequest, http.StatusNotFound
	tests := map[string]struct {
		g      *gateway
		in     request
		status int
		code   int
		reason string
	}{
		"no session":                      {g, ping.with("Mcp-Session-Id", ""), bad, wire.CodeInvalidRequest, "begin with initialize"},
		"no session and no version":       {g, request{body: ping.body}, bad, wire.CodeInvalidRequest, "begin with initialize"},
		"an invented session":             {g, ping.with("Mcp-Session-Id", "0f8fad5b-d9cb-469f-a165-70867728950e"), gone, wire.CodeInvalidRequest, "no such session"},
		"a session with a letter changed": {g, ping.with("Mcp-Session-Id", flip(s.id)), gone, wire.CodeInvalidRequest, "no such session"},
		"a session with a tail":           {g, ping.with("Mcp-Session-Id", s.id+"A"), gone, wire.CodeInvalidRequest, "no such session"},
		"a session cut short":             {g, ping.with("Mcp-Session-Id", s.id[:20]), gone, wire.CodeInvalidRequest, "no such session"},
		"an endless session id":           {g, ping.with("Mcp-Session-Id", strings.Repeat("A", 20_000)), gone, wire.CodeInvalidRequest, "no such session"},
		"the session of another user":     {g, ping.as("bob"), gone, wire.CodeInvalidRequest, "no such session"},
		"the session of another client":   {g, ping.as("alice-other"), gone, wire.CodeInvalidRequest, "no such session"},
		"the session of another gateway":  {g, ping.with("Mcp-Session-Id", other.begin("alice").id), gone, wire.CodeInvalidRequest, "no such session"},
		"an expired session":              {expired, expired.begin("alice").request("7", "ping", "{}"), gone, wire.CodeInvalidRequest, "no such session"},
		"a version that is not served":    {g, ping.with("MCP-Protocol-Version", "2025-03-27"), bad, wire.CodeInvalidRequest, `"2025-03-27" is not served`},
		"a version that is none":          {g, ping.with("MCP-Protocol-Version", "latest"), bad, wire.CodeInvalidRequest, `"latest" is not served`},
		"not the session's version":       {g, ping.with("MCP-Protocol-Version", "2025-06-18"), bad, wire.CodeInvalidRequest, "begun with protocol version 2025-11-25, not 2025-06-18"},
		"not the older session's version": {g, older.request("7", "ping", "{}"), bad, wire.CodeInvalidRequest, "begun with protocol version 2025-06-18, not 2025-11-25"},
		"server/discover":                 {g, s.request("7", "server/discover", "{}"), http.StatusOK, wire.CodeMethodNotFound, "server/discover"},
		"resources/list":                  {g, s.request("7", "resources/list", "{}"), http.StatusOK, wire.CodeMethodNotFound, "resources/list"},
		"prompts/list":                    {g, s.request("7", "prompts/list", "{}"), http.StatusOK, wire.CodeMethodNotFound, "prompts/list"},
		"logging/setLevel":                {g, s.request("7", "logging/setLevel", `{"level":"debug"}`), http.StatusOK, wire.CodeMethodNotFound, "logging/setLevel"},
		"tasks/list":                      {g, s.request("7", "tasks/list", "{}"), http.StatusOK, wire.CodeMethodNotFound, "tasks/list"},
		"subscriptions/listen":            {g, s.request("7", "subscriptions/listen", "{}"), http.StatusOK, wire.CodeMethodNotFound, "listen"},
		"a call of nothing":               {g, s.request("7", "tools/call", `{"arguments":{}}`), http.StatusOK, wire.CodeInvalidParams, "params.name is missing"},
		"a call of a number":              {g, s.request("7", "tools/call", `{"name":1}`), http.StatusOK, wire.CodeInvalidParams, "params.name is not a string"},
		"arguments that are a string":     {g, s.request("7", "tools/call", `{"name":"math_add","arguments":"{}"}`), http.StatusOK, wire.CodeInvalidParams, "params.arguments is not an object"},
		"initialize without a version":    {g, request{body: strings.Replace(initializeBodyWithID7, `"protocolVersion":"2025-11-25",`, "", 1)}, http.StatusOK, wire.CodeInvalidParams, "protocolVersion is missing"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := test.g.send(test.in)
			got.refused(t, test.status, test.code, test.reason)
			if id := string(got.parse(t).ID); id != "7" {
				t.Errorf("got id %s, want 7", id)
			}
		})
	}
}

// flip changes one letter in the middle.
func flip(id string) string {
	i := len(id) / 2
	letter := "A"
	if id[i] == 'A' {
		letter = "B"
	}
	return id[:i] + letter + id[i+1:]
}

func TestDeleteRefuses(t *testing.T) {
	t.Parallel()
	g := newGateway(t, nil)
	s := g.begin("alice")
	end := s.message("")
	end.method = http.MethodDelete
	tests := map[string]struct {
		in     request
		status int
		reason string
	}{
		"no session":                  {end.with("Mcp-Session-Id", ""), http.StatusBadRequest, "begin with initialize"},
		"an invented session":         {end.with("Mcp-Session-Id", "x"), http.StatusNotFound, "no such session"},
		"the session of another user": {end.as("bob"), http.StatusNotFound, "no such session"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			g.send(test.in).refused(t, test.status, wire.CodeInvalidRequest, test.reason)
		})
	}
	if got := g.send(s.request("1", "ping", "{}")); got.status != http.StatusOK {
		t.Errorf("the session was ended by a request that was refused: %d %s", got.status, got.body)
	}
}
