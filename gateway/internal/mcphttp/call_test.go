package mcphttp_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"mcp-gateway/gateway/internal/mcphttp"
	"mcp-gateway/gateway/internal/store"
	"mcp-gateway/shared/wire"
)

// start makes a call of the tool "wait" and returns when the tool runs.
func (g *gateway) start(r request) <-chan reply {
	done := make(chan reply, 1)
	go func() {
		got, err := g.try(r)
		if err != nil {
			got.body = err.Error()
		}
		done <- got
	}()
	select {
	case <-g.waits.started:
	case got := <-done:
		g.t.Fatalf("the call did not wait: %d %s", got.status, got.body)
	case <-g.t.Context().Done():
		g.t.Fatal("the call did not start")
	}
	return done
}

func TestEachCallIsWrittenDownBeforeItsAnswer(t *testing.T) {
	t.Parallel()
	eras(t, func(t *testing.T, g *gateway, call func(user, id, tool, arguments string) request) {
		tests := []struct {
			name, user, tool, arguments string
			outcome, reason             string
		}{
			{"a call that works", "alice", "math_add", `{"a":1,"b":2}`, "ok", "everything"},
			{"a call with bad arguments", "alice", "math_divide", `{"a":1,"b":0}`, "error", "tool_error"},
			{"a tool that panics", "alice", "broken", `{}`, "error", "internal_error"},
			{"a tool one may not call", "bob", "whoami", `{}`, "denied", "no_rule"},
			{"a tool that a group may call", "carol", "math_add", `{}`, "denied", "groups_unknown"},
			{"a tool that is none, with a rule for it", "alice", "math_power", `{}`, "denied", "unknown_tool"},
			{"a tool that is none", "bob", "math_power", `{}`, "denied", "no_rule"},
		}
		for _, test := range tests {
			g.send(call(test.user, "1", test.tool, test.arguments))
			p := principals[test.user]
			want := store.Event{
				Kind: "call", Outcome: test.outcome, Reason: test.reason, Tenant: "t", Object: p.Object, GrantID: p.GrantID,
				Client: "Inspector (" + store.HashOf("c1").String() + ")", Tool: test.tool, Address: publicIP,
			}
			select {
			case got := <-g.trail.written:
				if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(store.Event{}, "Time", "Duration")); diff != "" {
					t.Errorf("%s: %s", test.name, diff)
				}
				if time.Since(got.Time) > time.Minute || got.Duration < 0 {
					t.Errorf("%s: time %v, duration %v", test.name, got.Time, got.Duration)
				}
			default:
				t.Errorf("%s: answered and not written down", test.name)
			}
		}
	})
}

func TestADeniedToolAndOneThatIsNoneLookAlike(t *testing.T) {
	t.Parallel()
	eras(t, func(t *testing.T, g *gateway, call func(user, id, tool, arguments string) request) {
		for _, test := range []struct{ user, tool string }{
			{"bob", "whoami"}, {"bob", "math_power"}, {"alice", "math_power"}, {"carol", "math_add"},
		} {
			got := g.send(call(test.user, "1", test.tool, `{}`))
			got.refused(t, http.StatusOK, wire.CodeInvalidParams, `tool "`+test.tool+`" does not exist or you may not call it; an administrator can grant it`)
		}
	})
}

func TestALongToolNameIsCutInTheTrail(t *testing.T) {
	t.Parallel()
	g := newGateway(t, nil)
	g.send(g.begin("alice").call("1", strings.Repeat("ö", 5000), `{}`))
	if got := g.trail.next(t).Tool; len(got) > 140 || !strings.HasSuffix(got, "ö…") {
		t.Errorf("got %q", got)
	}
}

func TestWithoutATrailNothingIsCalled(t *testing.T) {
	t.Parallel()
	eras(t, func(t *testing.T, g *gateway, call func(user, id, tool, arguments string) request) {
		requests := map[string]request{
			"a call": call("alice", "1", "echo", `{}`), "a denial": call("bob", "1", "echo", `{}`),
		}
		check := func(name string) {
			t.Helper()
			got := g.send(requests[name])
			got.refused(t, http.StatusServiceUnavailable, wire.CodeInternal, "audit trail cannot be written")
			if got.header.Get("Retry-After") == "" || string(got.parse(t).ID) != "1" {
				t.Errorf("%s: got %v %s", name, got.header, got.body)
			}
		}
		g.trail.fail(true, false) // known before the call
		check("a call")
		g.trail.fail(false, true) // learnt after the call
		check("a call")
		check("a denial")
		g.trail.fail(false, false)
		if got := g.send(requests["a call"]); got.text(t) != "{}" {
			t.Errorf("once it works again: %s", got.body)
		}
	})
}

func TestATrailThatIsNotReadyKeepsTheToolFromRunning(t *testing.T) {
	t.Parallel()
	g := newGateway(t, nil)
	g.trail.fail(true, false)
	g.send(modernCall("1", "wait", `{}`)).refused(t, http.StatusServiceUnavailable, wire.CodeInternal, "audit trail")
	select {
	case <-g.waits.started:
		t.Error("the tool was run")
	default:
	}
}

func TestACallEndsWithItsTime(t *testing.T) {
	t.Parallel()
	g := newGateway(t, func(cfg *mcphttp.Config) { cfg.CallTimeout = time.Millisecond })
	for name, r := range map[string]request{
		"modern": modernCall("1", "wait", `{}`), "legacy": g.begin("alice").call("1", "wait", `{}`),
	} {
		g.send(r).refused(t, http.StatusOK, wire.CodeInterrupted, "did not answer within 1ms")
		if e := g.trail.next(t); e.Outcome != "error" || e.Reason != "timeout" {
			t.Errorf("%s: written down as %+v", name, e)
		}
	}
}

func TestAModernClientThatGoesAwayCancelsItsCall(t *testing.T) {
	t.Parallel()
	g := newGateway(t, nil)
	ctx, goAway := context.WithCancel(t.Context())
	r := modernCall("1", "wait", `{}`)
	r.ctx = ctx
	done := g.start(r)
	goAway()
	if err := <-g.waits.stopped; !errors.Is(err, context.Canceled) {
		t.Errorf("the tool ended with %v", err)
	}
	if e := g.trail.next(t); e.Outcome != "error" || e.Reason != "cancelled" {
		t.Errorf("written down as %+v", e)
	}
	<-done
}

func TestALegacyClientThatGoesAwayDoesNot(t *testing.T) {
	t.Parallel()
	g := newGateway(t, nil)
	ctx, goAway := context.WithCancel(t.Context())
	r := g.begin("alice").call("1", "wait", `{}`)
	r.ctx = ctx
	done := g.start(r)
	goAway()
	<-done // the client has given up
	close(g.waits.release)
	if err := <-g.waits.stopped; err != nil {
		t.Errorf("the tool ended with %v", err)
	}
	if e := g.trail.next(t); e.Outcome != "ok" {
		t.Errorf("written down as %+v", e)
	}
}

func TestALegacyClientCancelsItsOwnCall(t *testing.T) {
	t.Parallel()
	g := newGateway(t, nil)
	s := g.begin("alice")
	for sent, named := range map[string]string{
		"7": "7", `"a"`: `"\u0061"`, "12345678901234567890": "12345678901234567890",
	} {
		done := g.start(s.call(sent, "wait", `{}`))
		if got := g.send(s.message(cancelled(named))); got.status != http.StatusAccepted {
			t.Fatalf("got %d %s", got.status, got.body)
		}
		(<-done).refused(t, http.StatusOK, wire.CodeInterrupted, "cancelled")
		<-g.waits.stopped
		if e := g.trail.next(t); e.Reason != "cancelled" {
			t.Errorf("written down as %+v", e)
		}
	}
}

func cancelled(id string) string {
	return `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":` + id + `,"reason":"no"}}`
}

func TestNobodyElseCancelsACall(t *testing.T) {
	t.Parallel()
	eras(t, func(t *testing.T, g *gateway, call func(user, id, tool, arguments string) request) {
		done := g.start(call("alice", "7", "wait", `{}`))
		modern := modernRequest("0", "notifications/cancelled", `"requestId":7`)
		modern.body = strings.Replace(modern.body, `"id":0,`, "", 1)
		attempts := map[string]request{
			"another user":                 g.begin("bob").message(cancelled("7")),
			"another client of the user":   g.begin("alice-other").message(cancelled("7")),
			"another session of the user":  g.begin("alice").message(cancelled("7")),
			"another id":                   g.begin("alice").message(cancelled("8")),
			"the same digits as a string":  g.begin("alice").message(cancelled(`"7"`)),
			"the gateway's own id":         g.begin("alice").message(cancelled("1")),
			"a notification without an id": g.begin("alice").message(`{"jsonrpc":"2.0","method":"notifications/cancelled"}`),
			"a modern user":                modern,
			"another modern user":          modern.as("bob"),
		}
		for name, r := range attempts {
			if got := g.send(r); got.status != http.StatusAccepted {
				t.Errorf("%s: got %d %s", name, got.status, got.body)
			}
		}
		close(g.waits.release)
		if got := <-done; got.text(t) != "waited" {
			t.Errorf("got %s", got.body)
		}
		if err := <-g.waits.stopped; err != nil {
			t.Errorf("the tool's context ended: %v", err)
		}
	})
}

func TestAnIDUsedTwiceNamesTheLaterCall(t *testing.T) {
	t.Parallel()
	g := newGateway(t, nil)
	s := g.begin("alice")
	first, second := g.start(s.call("7", "wait", `{}`)), g.start(s.call("7", "wait", `{}`))
	g.send(s.message(cancelled("7")))
	select { // which of the two requests came in later is not known
	case got := <-first:
		first = second
		got.refused(t, http.StatusOK, wire.CodeInterrupted, "cancelled")
	case got := <-second:
		got.refused(t, http.StatusOK, wire.CodeInterrupted, "cancelled")
	}
	close(g.waits.release)
	if got := <-first; got.text(t) != "waited" {
		t.Errorf("the earlier call: got %s", got.body)
	}
}

func TestTwoUsersWithOneRequestIDGetTheirOwnAnswers(t *testing.T) {
	t.Parallel()
	eras(t, func(t *testing.T, g *gateway, call func(user, id, tool, arguments string) request) {
		const rounds = 50
		errs := make(chan error, 2)
		for user, tool := range map[string]string{"alice": "math_multiply", "bob": "math_add"} {
			want := map[string]string{"alice": "63", "bob": "16"}[user]
			r := call(user, "7", tool, `{"a":7,"b":9}`)
			go func() {
				for range rounds {
					got, err := g.try(r)
					if err == nil && !strings.Contains(got.body, `"text":"`+want+`"`) {
						err = errors.New(user + " got " + got.body)
					}
					if err != nil {
						errs <- err
						return
					}
				}
				errs <- nil
			}()
		}
		if err := errors.Join(<-errs, <-errs); err != nil {
			t.Error(err)
		}
	})
}

func TestIDsAndNumbersSurvive(t *testing.T) {
	t.Parallel()
	eras(t, func(t *testing.T, g *gateway, call func(user, id, tool, arguments string) request) {
		for _, id := range []string{"12345678901234567890", "-1", "0", `"12345678901234567890"`, `"\u0061\/<&>"`, `""`} {
			got := g.send(call("alice", id, "math_add", `{"a":9007199254740993,"b":1}`))
			p := got.parse(t)
			if string(p.ID) != id {
				t.Errorf("id: got %s, want %s", p.ID, id)
			}
			if want := `{"result":9007199254740994}`; string(p.Result.StructuredContent) != want {
				t.Errorf("got %s, want %s", p.Result.StructuredContent, want)
			}
			if got := g.send(call("alice", id, "no_tool", `{}`)); string(got.parse(t).ID) != id {
				t.Errorf("id of an error: got %s, want %s", got.body, id)
			}
		}
		const arguments = `{ "n" : 9007199254740993, "big":1e999,"s":"\u0061<&>" , "o":{"z":1,"a":[ ]}}`
		if got := g.send(call("alice", "1", "echo", arguments)).text(t); got != arguments {
			t.Errorf("got %s, want %s", got, arguments)
		}
		if got := g.send(call("alice", "1", "echo", "null")).text(t); got != "" {
			t.Errorf("null arguments: got %s, want none", got)
		}
	})
}

// TestAProgramCannotTakeThePlacesOfAnother: of two that ask for themselves neither
// is a person, and each is somebody else.
func TestAProgramCannotTakeThePlacesOfAnother(t *testing.T) {
	t.Parallel()
	g := newGateway(t, func(cfg *mcphttp.Config) { cfg.MaxConcurrentPerPrincipal = 1 })
	waiting := g.start(modernCall("1", "wait", `{}`).as("ci"))
	g.send(modernCall("2", "math_add", `{"a":1,"b":1}`).as("ci")).refused(t, http.StatusTooManyRequests, wire.CodeInternal, "too many of your requests")
	for _, other := range []string{"deploy", "alice-ci", "bob"} {
		if got := g.send(modernCall("1", "math_add", `{"a":1,"b":1}`).as(other)); got.text(t) != "2" {
			t.Errorf("%s: got %s", other, got.body)
		}
	}
	close(g.waits.release)
	<-waiting
}

func TestOnePersonCannotTakeAllPlaces(t *testing.T) {
	t.Parallel()
	g := newGateway(t, func(cfg *mcphttp.Config) { cfg.MaxConcurrentPerPrincipal = 2 })
	first, second := g.start(modernCall("1", "wait", `{}`)), g.start(modernCall("2", "wait", `{}`).as("alice-other"))
	third := g.send(modernCall("3", "math_add", `{"a":1,"b":1}`))
	third.refused(t, http.StatusTooManyRequests, wire.CodeInternal, "too many of your requests")
	if third.header.Get("Retry-After") == "" {
		t.Error("it is not said when to try again")
	}
	if got := g.send(modernCall("1", "math_add", `{"a":1,"b":1}`).as("bob")); got.text(t) != "2" {
		t.Errorf("another person: got %s", got.body)
	}
	close(g.waits.release)
	<-first
	<-second
	if got := g.send(modernCall("4", "math_add", `{"a":1,"b":1}`)); got.text(t) != "2" {
		t.Errorf("after that: got %s", got.body)
	}
}
