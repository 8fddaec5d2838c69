package mcphttp_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"mcp-gateway/shared/wire"
)

// Two people, two clients of one person, two sessions of one client and two clients
// that ask for themselves use the same request ids and progress tokens at the same
// time.
func TestNoStreamCarriesWhatBelongsToAnotherUnlikeInTheLibrary(t *testing.T) {
	t.Parallel()
	g := newLively(t, nil)
	one := g.begin("alice")
	two, other, bob := g.begin("alice"), g.begin("alice-other"), g.begin("bob")
	ci, deploy := g.begin("ci"), g.begin("deploy")
	const extra = `"progressToken":1,"io.modelcontextprotocol/logLevel":"debug",`
	calls := map[string]request{
		"the session": one.script("1", "the session", "1"), "another call of the session": one.script("2", "another call of the session", "1"),
		"another session": two.script("1", "another session", "1"), "another client": other.script("1", "another client", "1"),
		"another person": bob.script("1", "another person", "1"),
		"a modern call":  modernScript("1", "a modern call", extra), "another modern call": modernScript("1", "another modern call", extra),
		"another person's modern call": modernScript("1", "another person's modern call", extra).as("bob"),
		"a program":                    ci.script("1", "a program", "1"), "another program": deploy.script("1", "another program", "1"),
		"a program's modern call":       modernScript("1", "a program's modern call", extra).as("ci"),
		"another program's modern call": modernScript("1", "another program's modern call", extra).as("deploy"),
	}
	get := g.live(one.get("")).primed()
	sse := g.open("alice")
	open := make(map[string]func() *live)
	for key, r := range calls {
		open[key] = g.start(r)
	}
	for range 3 {
		for key := range calls {
			g.say(key, key)
		}
	}
	for key := range calls {
		g.finish(key)
		all := open[key]().rest()
		for _, m := range all[:len(all)-1] {
			if said := member(m, "params", "data") + member(m, "params", "message"); said != `"`+key+`"` {
				t.Errorf("the stream of %s carries %s", key, m)
			}
		}
		if len(all) != 7 || !strings.Contains(all[6], "done "+key) {
			t.Errorf("%s got %d messages, the last %s", key, len(all), all[len(all)-1])
		}
	}
	g.endStreams()
	if all := get.rest(); len(all) != 0 {
		t.Errorf("the GET stream carries %q", all)
	}
	if e, err := sse.events.Next(); err == nil {
		t.Errorf("the stream of /sse carries %s", e.Data)
	}
}

// cancels is a notification that cancels a request.
func cancels(id string) string {
	return `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":` + id + `}}`
}

func TestNobodyCancelsTheCallOfAnotherUnlikeInTheLibrary(t *testing.T) {
	t.Parallel()
	g := newLively(t, nil)
	one, ci := g.begin("alice"), g.begin("ci")
	sse := g.open("alice")
	answers := []func() *live{g.start(one.script("7", "legacy", "")), g.start(modernScript("7", "modern", "")), g.start(ci.script("7", "program", ""))}
	sse.post(`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"script","arguments":{"key":"sse"}}}`)
	for _, key := range []string{"legacy", "modern", "sse", "program"} {
		g.say(key, key)
	}
	another := g.open("bob")
	modern := modernRequest("1", "notifications/cancelled", `"requestId":7`)
	modern.body = strings.Replace(modern.body, `"id":1,`, "", 1)
	for name, r := range map[string]request{
		"another person's session":    g.begin("bob").message(cancels("7")),
		"another client's session":    g.begin("alice-other").message(cancels("7")),
		"another program's session":   g.begin("deploy").message(cancels("7")),
		"a person through a program":  g.begin("alice-ci").message(cancels("7")),
		"another session":             g.begin("alice").message(cancels("7")),
		"the id as a string":          one.message(cancels(`"7"`)),
		"a modern client":             modern,
		"another modern client":       modern.as("bob"),
		"another person's stream":     {path: another.path, user: "bob", body: cancels("7")},
		"the session, another's id":   one.message(cancels("8")),
		"the session, without the id": one.message(`{"jsonrpc":"2.0","method":"notifications/cancelled"}`),
	} {
		if got := g.send(r); got.status != http.StatusAccepted {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	for _, key := range []string{"legacy", "modern", "sse", "program"} {
		g.finish(key)
	}
	for _, answer := range answers {
		if all := answer().rest(); !strings.Contains(all[len(all)-1], "done") {
			t.Errorf("got %q", all)
		}
	}
	select {
	case err := <-g.waits.stopped:
		t.Errorf("a call was stopped: %v", err)
	default:
	}
	// And its own client does.
	answer := g.start(one.script("9", "own", ""))
	g.say("own", "own")
	g.send(one.message(cancels("9")))
	if err := <-g.waits.stopped; err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("stopped by %v", err)
	}
	answer().rest()
}

func TestASessionIsOnePersonsThroughOneClientOnEveryMethodUnlikeInTheLibrary(t *testing.T) {
	t.Parallel()
	g := newLively(t, nil)
	elsewhere := newLively(t, nil).begin("alice").id // under another key
	mine := g.begin("alice")
	program, through := g.begin("ci"), g.begin("alice-ci")
	over := g.begin("alice")
	end := over.message("")
	end.method = http.MethodDelete
	if got := g.send(end); got.status != http.StatusNoContent {
		t.Fatalf("DELETE: %d %s", got.status, got.body)
	}
	flipped := []byte(mine.id)
	flipped[len(flipped)/2] ^= 1
	const none = "no such session"
	for name, test := range map[string]struct {
		user, id string
		status   int
		reason   string
	}{
		"another person":           {"bob", mine.id, http.StatusNotFound, none},
		"another client":           {"alice-other", mine.id, http.StatusNotFound, none},
		"another program":          {"deploy", program.id, http.StatusNotFound, none},
		"a person for a program":   {"alice-ci", program.id, http.StatusNotFound, none},
		"a program for a person":   {"ci", through.id, http.StatusNotFound, none},
		"an invented id":           {"alice", "11111111-2222-3333-4444-555555555555", http.StatusNotFound, none},
		"an id with one bit wrong": {"alice", string(flipped), http.StatusNotFound, none},
		"an id cut short":          {"alice", mine.id[:len(mine.id)-4], http.StatusNotFound, none},
		"another gateway's id":     {"alice", elsewhere, http.StatusNotFound, none},
		"a long id":                {"alice", strings.Repeat("A", 5000), http.StatusNotFound, none},
		"a terminated session":     {"alice", over.id, http.StatusNotFound, none},
		"no id":                    {"alice", "", http.StatusBadRequest, "one Mcp-Session-Id header"},
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
			t.Run(method+" with "+name, func(t *testing.T) {
				t.Parallel()
				s := session{g.gateway, test.user, test.id}
				r := s.request("1", "ping", "{}")
				r.method = method
				g.send(r).refused(t, test.status, wire.CodeInvalidRequest, test.reason)
				// A place on a stream is asked for, and is not given either.
				g.send(r.with("Last-Event-ID", "1-0")).refused(t, test.status, wire.CodeInvalidRequest, test.reason)
			})
		}
	}
	t.Run("and it goes on for its own", func(t *testing.T) {
		for _, s := range []session{mine, program, through} {
			if got := g.send(s.request("1", "ping", "{}")); got.status != http.StatusOK {
				t.Errorf("%s: %d %s", s.user, got.status, got.body)
			}
		}
	})
}

// A GET without a session would, in the library, hear what other clients are told.
func TestNobodyListensWithoutASessionUnlikeInTheLibrary(t *testing.T) {
	t.Parallel()
	g := newLively(t, nil)
	g.send(request{method: http.MethodGet}).refused(t, http.StatusBadRequest, wire.CodeInvalidRequest, "one Mcp-Session-Id header")
	got := g.send(request{method: http.MethodGet, header: map[string]string{"MCP-Protocol-Version": "2026-07-28"}})
	got.refused(t, http.StatusMethodNotAllowed, wire.CodeInvalidRequest, methodListenName)
	if got.header.Get("Allow") != "POST" {
		t.Errorf("Allow: %q", got.header.Get("Allow"))
	}
	r := g.begin("alice").get("").with("Accept", jsonType)
	g.send(r).refused(t, http.StatusNotAcceptable, wire.CodeInvalidRequest, "must accept text/event-stream")
}

const methodListenName = "subscriptions/listen"

func TestTheEndOfASessionEndsItsStreams(t *testing.T) {
	t.Parallel()
	g := newLively(t, nil)
	s, other := g.begin("alice"), g.begin("alice")
	get, another := g.live(s.get("")).primed(), g.live(other.get("")).primed()
	end := s.message("")
	end.method = http.MethodDelete
	g.send(end)
	if all := get.rest(); len(all) != 0 {
		t.Errorf("got %q", all)
	}
	g.changeList("tools")
	if got := another.next(); !strings.Contains(got, "tools/list_changed") {
		t.Errorf("the other session got %s", got)
	}
}
