package mcphttp_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"

	"mcp-gateway/gateway/internal/access"
	"mcp-gateway/gateway/internal/mcphttp"
	"mcp-gateway/shared/wire"
)

// TestNothingStaysCounted after whatever can be sent: a place that is not given back
// is one less for ever.
func TestNothingStaysCounted(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	watched := 0
	g := newLively(t, func(cfg *mcphttp.Config) {
		inner := cfg.Revoked
		cfg.Revoked = func(ctx context.Context, p *access.Principal) (context.Context, context.CancelFunc) {
			ctx, stop := inner(ctx, p)
			mu.Lock()
			watched++
			mu.Unlock()
			var once sync.Once
			return ctx, func() { stop(); once.Do(func() { mu.Lock(); watched--; mu.Unlock() }) }
		}
	})
	add := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"math_add","arguments":{"a":1,"b":2}}}`
	old := func(r request) request { return r.with("MCP-Protocol-Version", wire.Revision20250326) }
	s, b := g.begin("alice"), g.beginWith("alice", wire.Revision20250326, "{}")
	sse := g.open("alice")
	first := g.live(s.get("")).primed()
	second := g.live(s.get("")).primed()
	first.rest()
	g.grantAnew("late")
	g.revoke("late")
	for _, r := range []request{
		s.get("4294967295-1"), s.get(first.lastID), s.get("").with("Accept", jsonType), s.get("").with("Mcp-Session-Id", "x"),
		s.message(add), s.message(add).with("Content-Type", "text/plain"), s.message("{"), s.message(`{"jsonrpc":"2.0","method":"x"}`),
		s.message("[" + add + "]"), old(b.message("[]")), old(b.message("[" + add + "]")), old(b.message("[" + add + ",1]")),
		old(b.message("[" + strings.Repeat(add+",", 60) + add + "]")),
		old(b.message("[" + initialize + "]")), old(b.message(`[{"jsonrpc":"2.0","method":"x"}]`)), old(b.message("[" + add)), b.message("[" + add + "]").as("late"),
		s.message(add).as("late"), modernCall("1", "math_add", `{"a":1,"b":2}`), modernCall("1", "math_add", `{"a":1,"b":2}`).as("late"),
		listenFor("1", `"resourceSubscriptions":1`), listenFor("1", `"toolsListChanged":true`).with("Accept", jsonType),
		{path: sse.path, body: add}, {path: sse.path, body: "{"}, {path: sse.path, body: add, user: "late"}, {path: sse.path, body: `{"jsonrpc":"2.0","method":"x"}`},
		{path: sse.path, body: modernCall("1", "math_add", `{}`).body}, {path: sse.path, body: add, user: "bob"},
		s.request("9", "tools/call", `{"name":"broken"}`), s.request("9", "tools/call", `{"name":"trap","arguments":{}}`),
	} {
		g.send(r)
	}
	l := g.live(listenFor("1", `"toolsListChanged":true`))
	l.next()
	answer := g.start(s.script("1", "a", "1"))
	g.say("a", "x")
	if !g.closeStream("a") {
		t.Error("not closed")
	}
	post := answer()
	post.rest()
	back := g.live(s.get(post.lastID))
	g.finish("a")
	back.rest()
	l.leave()
	second.leave()
	sse.leave()
	end := old(b.message(""))
	end.method = http.MethodDelete
	g.send(end) // of the other session: what is counted of s would be hidden
	const want = "users=0 notIdle=0 open=0 nameless=0 persons=0 slots=0 bodies=0 listens=0 calls=0"
	waitFor(t, "nothing to be counted", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return watched == 0 && g.handler.Counted() == want
	})
}
