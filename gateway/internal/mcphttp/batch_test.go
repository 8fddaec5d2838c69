package mcphttp_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"mcp-gateway/gateway/internal/access"
	"mcp-gateway/gateway/internal/mcphttp"
	"mcp-gateway/shared/wire"
)

// beginOlder begins a session of 2025-03-26, which has batches.
func (g *gateway) beginOlder(user string) session {
	g.t.Helper()
	got := g.send(request{user: user, body: strings.Replace(initializeBody, "2025-11-25", "2025-03-26", 1)})
	return session{g, user, got.header.Get("Mcp-Session-Id")}
}

// batch is a batch in a session.
func (s session) batch(messages ...string) request {
	return s.message("["+strings.Join(messages, ",")+"]").with("MCP-Protocol-Version", "2025-03-26")
}

const waitCall = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"wait"}}`

// A batch is no way around the bound on what one person has under way.
func TestEachRequestOfABatchTakesAPlace(t *testing.T) {
	t.Parallel()
	g := newGateway(t, func(cfg *mcphttp.Config) { cfg.MaxConcurrentPerPrincipal = 2 })
	release := sync.OnceFunc(func() { close(g.waits.release) })
	t.Cleanup(release)
	s := g.beginOlder("alice")
	done := make(chan reply, 1)
	go func() {
		got, err := g.try(s.batch(waitCall, waitCall, waitCall, `{"jsonrpc":"2.0","method":"notifications/initialized"}`))
		if err != nil {
			got.body = err.Error()
		}
		done <- got
	}()
	<-g.waits.started
	<-g.waits.started
	g.send(s.request("7", "ping", "{}").with("MCP-Protocol-Version", "")).refused(t, http.StatusTooManyRequests, wire.CodeInternal, "too many of your requests")
	release()
	got := <-done
	if got.status != http.StatusOK || strings.Count(got.body, "waited") != 2 || strings.Count(got.body, "too many of your requests") != 1 {
		t.Errorf("got %d %s", got.status, got.body)
	}
	if n := len(g.waits.started); n != 0 {
		t.Errorf("%d more ran", n)
	}
	if got := g.send(s.batch(waitCall, waitCall)); strings.Count(got.body, "waited") != 2 {
		t.Errorf("the places are not free again: %d %s", got.status, got.body)
	}
}

// An answer in a batch has no place for a challenge.
func TestABatchThatNeedsAScopeIsChallenged(t *testing.T) {
	t.Parallel()
	g := newGateway(t, func(cfg *mcphttp.Config) {
		policy, err := access.New([]access.Rule{
			{Name: "all", Subjects: []access.Subject{{Kind: access.KindUser, Value: "alice"}}, Tools: []string{"*"}},
		}, access.Scope{Name: "echoing", Tools: []string{"echo"}})
		if err != nil {
			t.Fatal(err)
		}
		cfg.Policy = policy
	})
	s := g.beginOlder("alice")
	got := g.send(s.batch(
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"math_add","arguments":{"a":1,"b":2}}}`,
		`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"echo"}}`))
	got.refused(t, http.StatusForbidden, wire.CodeInvalidRequest, "echoing")
	if challenge := got.header.Get("WWW-Authenticate"); !strings.Contains(challenge, `error="insufficient_scope"`) || !strings.Contains(challenge, `scope="echoing"`) {
		t.Errorf("the challenge is %q", challenge)
	}
	if e := g.trail.next(t); e.Tool != "echo" || e.Reason != access.ReasonScope || len(g.trail.written) != 0 {
		t.Errorf("written down: %+v and %d more", e, len(g.trail.written))
	}
}

// Whoever may not send batches at all is not told how many messages one has.
func TestABatchOfAnotherSessionIsRefusedWhateverIsInIt(t *testing.T) {
	t.Parallel()
	g := newGateway(t, nil)
	s, older := g.begin("alice"), g.beginOlder("alice")
	const no = "batches are not accepted"
	for _, test := range []struct {
		name   string
		in     request
		status int
		reason string
	}{
		{name: "nothing, in a newer session", in: s.message("[]"), status: http.StatusBadRequest, reason: no},
		{name: "no messages, in a newer session", in: s.message("[1,2]"), status: http.StatusBadRequest, reason: no},
		{name: "nothing, in the modern era", in: older.batch().with("MCP-Protocol-Version", "2026-07-28"), status: http.StatusBadRequest, reason: no},
		{name: "nothing, in no session", in: request{body: "[]"}, status: http.StatusBadRequest, reason: "begin with initialize, which stands in no batch"},
		{name: "no messages, in a session of others", in: older.batch("1").as("bob"), status: http.StatusNotFound, reason: "no such session"},
		{name: "a deep one, in a session that has them", in: older.batch(strings.Repeat("[", 900)), status: http.StatusBadRequest, reason: "deeper than 64"},
		{name: "nothing, in a session that has them", in: older.batch(), status: http.StatusBadRequest, reason: "1 to 50"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g.send(test.in).refused(t, test.status, wire.CodeInvalidRequest, test.reason)
		})
	}
}
