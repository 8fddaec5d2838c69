package mcphttp_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"mcp-gateway/gateway/internal/mcphttp"
	"mcp-gateway/gateway/internal/store"
	"mcp-gateway/shared/wire"
)

// trap is a value whose JSON nobody can make.
type trap struct{}

func (trap) MarshalJSON() ([]byte, error) { panic("a bug of a tool") }

// TestABugInAResultIsAnErrorOfItsCall, in whatever way it came: it does not end the
// process, nor keep anything.
func TestABugInAResultIsAnErrorOfItsCall(t *testing.T) {
	t.Parallel()
	g := newLively(t, nil)
	trapped := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"trap","arguments":{}}}`
	stream := g.open("alice")
	for name, call := range map[string]func() string{
		"2026-07-28": func() string { return g.send(modernCall("1", "trap", `{}`)).body },
		"2025-11-25": func() string { return strings.Join(g.live(g.begin("alice").message(trapped)).rest(), "") },
		"a batch": func() string {
			return g.send(g.beginWith("alice", wire.Revision20250326, "{}").message("["+trapped+"]").with("MCP-Protocol-Version", wire.Revision20250326)).body
		},
		"/sse": func() string { stream.post(trapped); return stream.next() },
	} {
		if got := call(); !strings.Contains(got, `"code":-32603`) || strings.Contains(got, "a bug of a tool") {
			t.Errorf("%s: %s", name, got)
		}
		if e := g.trail.next(t); e.Outcome != "error" || e.Reason != "internal_error" {
			t.Errorf("%s: written down: %+v", name, e)
		}
	}
}

// TestABugInANotificationLosesThatOne, and nothing else.
func TestABugInANotificationLosesThatOne(t *testing.T) {
	t.Parallel()
	g := newLively(t, nil)
	answer := g.start(g.begin("alice").script("1", "a", ""))
	g.tell("a", func(ctx context.Context, s *server.MCPServer, req mcp.CallToolRequest) {
		note(ctx, s, req, 1, "before")
		_ = s.SendNotificationToClient(ctx, "notifications/message", map[string]any{"level": "error", "data": trap{}})
		note(ctx, s, req, 1, "after")
	})
	g.finish("a")
	l := answer()
	if all := l.rest(); l.status != http.StatusOK || len(all) != 3 || !strings.Contains(all[0], "before") || !strings.Contains(all[1], "after") {
		t.Errorf("got %d %q", l.status, all)
	}
}

// TestACancelledRequestThatIsNoCallIsAnsweredAsOne with the same code.
func TestACancelledRequestThatIsNoCallIsAnsweredAsOne(t *testing.T) {
	t.Parallel()
	waits := make(chan struct{})
	g := newPackGateway(t, func(s *server.MCPServer) {
		s.AddPrompt(mcp.Prompt{Name: "slow"}, func(ctx context.Context, _ mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
			close(waits)
			<-ctx.Done()
			return nil, ctx.Err()
		})
	})
	s := g.begin("alice")
	answered := make(chan reply, 1)
	go func() {
		got, err := g.try(s.request("7", "prompts/get", `{"name":"slow"}`))
		if err != nil {
			got.body = err.Error()
		}
		answered <- got
	}()
	<-waits
	g.send(s.message(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}`))
	if got := <-answered; !strings.Contains(got.body, `"code":-32800`) {
		t.Errorf("got %s", got.body)
	}
}

// brokenTrail has a bug of our own.
type brokenTrail struct{}

func (brokenTrail) Ready(context.Context) error               { panic("a bug") }
func (brokenTrail) Append(context.Context, store.Event) error { panic("a bug") }

// TestABugOfOurOwnIsAnErrorOfItsRequest, too.
func TestABugOfOurOwnIsAnErrorOfItsRequest(t *testing.T) {
	t.Parallel()
	g := newLively(t, func(cfg *mcphttp.Config) { cfg.Audit = brokenTrail{} })
	add := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"math_add","arguments":{"a":1,"b":2}}}`
	stream := g.open("alice")
	for name, call := range map[string]func() string{
		"2026-07-28": func() string { return g.send(modernCall("1", "math_add", `{}`)).body },
		"2025-11-25": func() string { return g.send(g.begin("alice").message(add)).body },
		"a batch": func() string {
			return g.send(g.beginWith("alice", wire.Revision20250326, "{}").message("["+add+"]").with("MCP-Protocol-Version", wire.Revision20250326)).body
		},
		"/sse": func() string { stream.post(add); return stream.next() },
	} {
		if got := call(); !strings.Contains(got, `"id":1,"error":{"code":-32603`) {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// TestAQuestionWaitsNoLongerThanItsCall for what the tool may still say.
func TestAQuestionWaitsNoLongerThanItsCall(t *testing.T) {
	t.Parallel()
	g := newLively(t, nil)
	s := g.beginWith("alice", wire.LatestLegacy, canAll)
	answer := g.start(s.script("1", "a", ""))
	began := make(chan struct{})
	asked := g.asks("a", func(ctx context.Context, srv *server.MCPServer) (any, error) {
		_ = server.ClientSessionFromContext(ctx).NotificationChannel() // and nothing is sent
		close(began)
		return questions["roots"].ask(ctx, srv)
	})
	<-began
	g.send(s.message(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`))
	if got := outcome(t, asked); !strings.Contains(got, "cancelled") {
		t.Errorf("the question ended with %s", got)
	}
	answer().rest()
}
