package mcphttp_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"mcp-gateway/gateway/internal/mcphttp"
	"mcp-gateway/shared/wire"
)

// TestACallEndsWithItsGrant, in whatever way it came, and its client hears nothing
// more of it.
func TestACallEndsWithItsGrant(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		call func(g *lively) request
		ids  bool
	}{
		"2025-11-25": {call: func(g *lively) request { return g.begin("alice").script("1", "a", "1") }, ids: true},
		"2025-06-18": {call: func(g *lively) request {
			return g.beginWith("alice", wire.Revision20250618, "{}").script("1", "a", "1").with("MCP-Protocol-Version", wire.Revision20250618)
		}},
		"2026-07-28": {call: func(*lively) request {
			return modernScript("1", "a", `"progressToken":1,"io.modelcontextprotocol/logLevel":"debug",`)
		}},
		"a batch": {call: func(g *lively) request {
			r := g.beginWith("alice", wire.Revision20250326, "{}").script("1", "a", "1").with("MCP-Protocol-Version", wire.Revision20250326)
			r.body = "[" + r.body + "]"
			return r
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			t.Run("when it has said something", func(t *testing.T) {
				t.Parallel()
				g := newLively(t, nil)
				answer := g.start(tt.call(g))
				g.say("a", "before")
				post := answer()
				post.next() // a log message and progress
				post.next()
				g.revoke("g1")
				g.stopped(t)
				if all := post.rest(); len(all) != 1 || !strings.Contains(all[0], `"id":1,"error"`) || !strings.Contains(all[0], "sign in again") {
					t.Errorf("got %q", all)
				}
			})
			t.Run("when it has said nothing yet", func(t *testing.T) {
				t.Parallel()
				g := newLively(t, nil)
				answer := g.start(tt.call(g).with("Accept", jsonType))
				g.tell("a", func(context.Context, *server.MCPServer, mcp.CallToolRequest) {})
				g.revoke("g1")
				g.stopped(t)
				refusedAsEnded(t, answer())
			})
		})
	}
}

// stopped sees that a call was ended, and why, in the trail.
func (g *lively) stopped(t *testing.T) {
	t.Helper()
	select {
	case <-g.waits.stopped:
	case <-time.After(20 * time.Second):
		t.Error("the call goes on")
		g.finish("a")
	}
	if e := g.trail.next(t); e.Outcome != "error" || e.Reason != "revoked" {
		t.Errorf("written down: %+v", e)
	}
}

func refusedAsEnded(t *testing.T, l *live) {
	t.Helper()
	challenge := l.header.Get("WWW-Authenticate")
	if l.status != http.StatusUnauthorized || !strings.Contains(challenge, `error="invalid_token"`) ||
		!strings.Contains(challenge, `resource_metadata="https://gw.example/.well-known/oauth-protected-resource/mcp"`) {
		t.Errorf("got %d with %q", l.status, challenge)
	}
	if body := strings.Join(l.rest(), ""); strings.Contains(body, "done") || !strings.Contains(body, "sign in again") {
		t.Errorf("got %s", body)
	}
}

// TestWhatACallAnswersAfterItsGrantIsHeldBack: a tool may not notice.
func TestWhatACallAnswersAfterItsGrantIsHeldBack(t *testing.T) {
	t.Parallel()
	for _, accept := range []string{jsonType, jsonType + ", text/event-stream"} {
		t.Run(accept, func(t *testing.T) {
			t.Parallel()
			g := newLively(t, nil)
			answer := g.start(modernCall("1", "deaf", `{}`).with("Accept", accept))
			<-g.waits.started
			g.revoke("g1")
			g.waits.release <- struct{}{}
			refusedAsEnded(t, answer())
		})
	}
}

func TestACallOfSSEEndsWithItsGrant(t *testing.T) {
	t.Parallel()
	g := newLively(t, nil)
	s := g.open("alice")
	s.post(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"script","arguments":{"key":"a"}}}`)
	g.tell("a", func(context.Context, *server.MCPServer, mcp.CallToolRequest) {})
	g.revoke("g1")
	g.stopped(t)
	if event, err := s.events.Next(); err == nil {
		t.Errorf("the stream goes on with %+v", event)
	}
}

// TestNothingIsDoneThatComesAfterItsGrantWasRevoked: the token is checked when the
// headers have come, and the grant may end until the rest has.
func TestNothingIsDoneThatComesAfterItsGrantWasRevoked(t *testing.T) {
	t.Parallel()
	g := newLively(t, nil)
	s, stream := g.begin("alice"), g.open("alice")
	g.grantAnew("late")
	g.revoke("late")
	add := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"math_add","arguments":{"a":1,"b":2}}}`
	batch := g.beginWith("alice", wire.Revision20250326, "{}")
	for name, r := range map[string]request{
		"a legacy call":            s.message(add),
		"a notification":           s.message(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`),
		"initialize":               {body: initialize},
		"a batch":                  batch.message("["+add+"]").with("MCP-Protocol-Version", wire.Revision20250326),
		"a modern call":            modernCall("1", "math_add", `{"a":1,"b":2}`),
		"a stream of a modern one": listenFor("1", `"toolsListChanged":true`),
		"a message to a stream":    {path: stream.path, body: add},
		"an answer on a stream":    {path: stream.path, body: answerTo(`"x"`, "{}")},
	} {
		t.Run(name, func(t *testing.T) {
			got := g.send(r.as("late"))
			if challenge := got.header.Get("WWW-Authenticate"); got.status != http.StatusUnauthorized || !strings.Contains(challenge, "invalid_token") {
				t.Errorf("%d %s with %q", got.status, got.body, challenge)
			}
		})
	}
	select {
	case e := <-g.trail.written:
		t.Errorf("something was done: %+v", e)
	default:
	}
	for name, r := range map[string]request{"a GET": s.get(""), "a stream of /sse": {path: "/sse", method: http.MethodGet}} {
		if all := g.live(r.as("late")).rest(); len(all) > 1 {
			t.Errorf("%s goes on with %q", name, all)
		}
	}
}

// TestAnAnswerAndACancellationGetThroughAtTheLimit, or what is at the limit would
// never end.
func TestAnAnswerAndACancellationGetThroughAtTheLimit(t *testing.T) {
	t.Parallel()
	g := newLively(t, func(cfg *mcphttp.Config) { cfg.MaxConcurrentPerPrincipal = 2 })
	s := g.beginWith("alice", wire.LatestLegacy, canAll)
	asking, waiting := g.start(s.script("1", "a", "")), g.start(s.script("2", "b", ""))
	answered := g.asks("a", questions["roots"].ask)
	post := asking()
	asked := post.next()
	g.tell("b", func(context.Context, *server.MCPServer, mcp.CallToolRequest) {})
	if got := g.send(s.request("3", "ping", "{}")); got.status != http.StatusTooManyRequests {
		t.Errorf("one more request: %d %s", got.status, got.body)
	}
	if got := g.send(s.message(answerTo(member(asked, "id"), questions["roots"].answer))); got.status != http.StatusAccepted {
		t.Errorf("the answer: %d %s", got.status, got.body)
	}
	if got := outcome(t, answered); !strings.Contains(got, "n1") {
		t.Errorf("the question ended with %s", got)
	}
	if got := g.send(s.message(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":2}}`)); got.status != http.StatusAccepted {
		t.Errorf("the cancellation: %d %s", got.status, got.body)
	}
	if all := waiting().rest(); len(all) != 1 || !strings.Contains(all[0], "cancelled") {
		t.Errorf("what was cancelled got %q", all)
	}
	g.finish("a")
	post.rest()
}
