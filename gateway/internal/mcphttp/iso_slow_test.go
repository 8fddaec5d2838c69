package mcphttp_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// large is more than fits into the buffers between a client and the gateway, in
// messages of 64 KiB.
const large = 120

// shout makes a call send much.
func (g *lively) shout(key string) {
	g.tell(key, func(ctx context.Context, s *server.MCPServer, _ mcp.CallToolRequest) {
		what := strings.Repeat("x", 64<<10)
		for range large {
			_ = s.SendLogMessageToClient(ctx, mcp.NewLoggingMessageNotification(mcp.LoggingLevelError, "t", what))
		}
	})
}

// Each takes as long as one write may, which is 10 seconds.
func TestAClientThatDoesNotReadIsCutOff(t *testing.T) {
	t.Parallel()
	t.Run("on a legacy call, which goes on", func(t *testing.T) {
		t.Parallel()
		g := newLively(t, nil)
		s := g.begin("alice")
		answer := g.start(s.script("1", "a", ""))
		go g.shout("a")
		l := answer().primed()
		g.finishWhenever(t, "a")
		if e := g.trail.next(t); e.Outcome != "ok" {
			t.Errorf("written down: %+v", e)
		}
		all := g.live(s.get(l.lastID)).rest()
		if n := len(all); n < 2 || n > 17 || !strings.Contains(all[n-1], "done a") {
			t.Errorf("%d messages are kept, of at most 1 MiB", n)
		}
	})
	t.Run("on a modern call", func(t *testing.T) {
		t.Parallel()
		g := newLively(t, nil)
		answer := g.start(modernScript("1", "a", `"io.modelcontextprotocol/logLevel":"debug",`))
		go g.shout("a")
		l := answer()
		g.finishWhenever(t, "a")
		g.trail.next(t)
		waitFor(t, "the end of the request", func() bool { return len(runs(t, g.label, "(*Handler).modern")) == 0 })
		l.leave()
	})
	t.Run("on a stream of sse", func(t *testing.T) {
		t.Parallel()
		g := newLively(t, nil)
		s := g.open("alice")
		s.post(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"script","arguments":{"key":"a"}}}`)
		go g.shout("a")
		waitFor(t, "the stream to be unknown", func() bool {
			return g.send(request{path: s.path, body: `{"jsonrpc":"2.0","method":"x"}`}).status == http.StatusNotFound
		})
		g.finishWhenever(t, "a")
		waitFor(t, "the end of the stream", func() bool { return len(runs(t, g.label, "openStream")) == 0 })
	})
	t.Run("on subscriptions/listen", func(t *testing.T) {
		t.Parallel()
		g := newLively(t, nil)
		uri := "x://" + strings.Repeat("x", 8<<10-4)
		g.live(listenFor("1", `"resourceSubscriptions":["`+uri+`"]`)).next()
		for range large * 16 { // nobody who tells waits
			g.updated(uri)
		}
		waitFor(t, "the end of the stream", func() bool { return len(runs(t, g.label, "(*Handler).listen")) == 0 })
	})
	t.Run("on a GET", func(t *testing.T) {
		t.Parallel()
		g := newLively(t, nil)
		s := g.begin("alice")
		uri := "x://" + strings.Repeat("x", 8<<10-4)
		g.send(s.request("1", "resources/subscribe", `{"uri":"`+uri+`"}`))
		g.live(s.get("")).primed()
		stop := make(chan struct{})
		defer close(stop)
		go func() { // what is kept is little: more has to come while it is written
			for {
				select {
				case <-stop:
					return
				default:
					g.updated(uri)
				}
			}
		}()
		waitFor(t, "the end of the stream", func() bool { return len(runs(t, g.label, "(*Handler).follow")) == 0 })
	})
}

// finishWhenever is finish for a call that is slow to come to it.
func (g *lively) finishWhenever(t *testing.T, key string) {
	t.Helper()
	waitFor(t, "the call to have said all", func() bool {
		s := step{nil, make(chan struct{})}
		select {
		case g.script(key) <- s:
			<-s.done
			return true
		default:
			return false
		}
	})
}
