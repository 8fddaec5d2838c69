package mcphttp_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"mcp-gateway/shared/wire"
)

func TestAProgressTokenComesBackByteForByte(t *testing.T) {
	t.Parallel()
	g := newLively(t, nil)
	s := g.begin("alice")
	for i, token := range []string{
		"0", "-1", "9007199254740993", "123456789012345678901234567890", "1.0", "1e3", "-0", "1e999",
		`"text"`, `""`, `"a<b>&c"`, `"\u00e9\/\"\\"`, `"é\u2028"`, `"007"`, `"` + strings.Repeat("x", 1000) + `"`,
	} {
		for name, r := range map[string]request{
			"legacy": s.script(fmt.Sprint(i), fmt.Sprint("legacy", i), token),
			"modern": modernScript("1", fmt.Sprint("modern", i), `"progressToken":`+token+`,`),
		} {
			key := fmt.Sprint(name, i)
			answer := g.start(r)
			g.say(key, key)
			g.finish(key)
			seen := 0
			for _, m := range answer().rest() {
				if member(m, "method") != `"notifications/progress"` {
					continue
				}
				if seen++; !strings.Contains(m, `"progressToken":`+token+`,`) && !strings.Contains(m, `"progressToken":`+token+`}`) {
					t.Errorf("%s: %s came back in %s", name, token, m)
				}
			}
			if seen != 1 {
				t.Errorf("%s: %s: progress came %d times", name, token, seen)
			}
		}
	}
}

func TestWithoutATokenThereIsNoProgress(t *testing.T) {
	t.Parallel()
	g := newLively(t, nil)
	s := g.begin("alice")
	progress := func(ctx context.Context, srv *server.MCPServer, _ mcp.CallToolRequest) {
		_ = srv.SendNotificationToClient(ctx, "notifications/progress", map[string]any{"progressToken": "p", "progress": 1})
	}
	for name, token := range map[string]string{"none": "", "null": "null", "an object": `{"a":1}`, "a list": "[1]", "a boolean": "true"} {
		extra := ""
		if token != "" {
			extra = `"progressToken":` + token + `,`
		}
		for era, r := range map[string]request{"legacy": s.script("1", "a", token), "modern": modernScript("1", "a", extra)} {
			answer := g.start(r)
			g.tell("a", progress)
			g.finish("a")
			if rest := answer().rest(); len(rest) != 1 || !strings.Contains(rest[0], "done a") {
				t.Errorf("%s, %s: got %q", name, era, rest)
			}
		}
	}
}

// levels are those of a log, from the least on.
var levels = []mcp.LoggingLevel{"debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"}

// logAll makes a call log something of each level.
func (g *lively) logAll(key string) {
	g.tell(key, func(ctx context.Context, s *server.MCPServer, _ mcp.CallToolRequest) {
		for _, level := range levels {
			_ = s.SendLogMessageToClient(ctx, mcp.NewLoggingMessageNotification(level, "t", "x"))
		}
	})
	g.finish(key)
}

func TestEverySessionHasItsLogLevel(t *testing.T) {
	t.Parallel()
	g := newLively(t, nil)
	quiet, loud, plain, bob := g.begin("alice"), g.begin("alice"), g.begin("alice"), g.begin("bob")
	for s, level := range map[session]string{quiet: "emergency", loud: "debug", bob: "error"} {
		if got := g.send(s.request("1", "logging/setLevel", `{"level":"`+level+`"}`)); member(got.body, "result") != "{}" {
			t.Fatalf("%d %s", got.status, got.body)
		}
	}
	for s, want := range map[session]int{quiet: 1, loud: 8, plain: 7, bob: 4} {
		answer := g.start(s.script("2", "a", ""))
		g.logAll("a")
		if rest := answer().rest(); len(rest) != want+1 {
			t.Errorf("%d messages, want %d: %q", len(rest)-1, want, rest)
		}
	}
	for name, params := range map[string]string{"no level": `{}`, "an unknown level": `{"level":"loud"}`, "a number": `{"level":1}`, "another case": `{"level":"Error"}`} {
		got := g.send(loud.request("3", "logging/setLevel", params)).parse(t)
		if got.Error == nil || got.Error.Code != wire.CodeInvalidParams {
			t.Errorf("%s: got %+v", name, got)
		}
	}
	answer := g.start(loud.script("4", "a", ""))
	g.logAll("a")
	if rest := answer().rest(); len(rest) != 9 {
		t.Errorf("a refused level changed something: %q", rest)
	}
}

func TestAModernRequestHearsOfLogsWhatItAskedFor(t *testing.T) {
	t.Parallel()
	g := newLively(t, nil)
	for level, want := range map[string]int{"": 0, "debug": 8, "warning": 5, "emergency": 1} {
		extra := ""
		if level != "" {
			extra = `"io.modelcontextprotocol/logLevel":"` + level + `",`
		}
		answer := g.start(modernScript("1", "a", extra))
		g.logAll("a")
		if rest := answer().rest(); len(rest) != want+1 {
			t.Errorf("%q: %d messages, want %d: %q", level, len(rest)-1, want, rest)
		}
	}
	for _, level := range []string{`"loud"`, `""`, "1", "null", `"Error"`} {
		g.send(modernScript("1", "a", `"io.modelcontextprotocol/logLevel":`+level+`,`)).
			refused(t, http.StatusBadRequest, wire.CodeInvalidParams, "is no log level")
	}
	g.send(modernRequest("1", "logging/setLevel", `"level":"debug"`)).refused(t, http.StatusNotFound, wire.CodeMethodNotFound, "does not exist")
	g.send(modernRequest("1", "ping", "")).refused(t, http.StatusNotFound, wire.CodeMethodNotFound, "does not exist")
}

func TestAPingIsAnsweredWhileACallRuns(t *testing.T) {
	t.Parallel()
	g := newLively(t, nil)
	s := g.begin("alice")
	answer := g.start(s.script("1", "a", ""))
	g.say("a", "begin")
	for _, id := range []string{"1", `"1"`, "12345678901234567890"} {
		if got := g.send(s.request(id, "ping", "{}")); got.body != `{"jsonrpc":"2.0","id":`+id+`,"result":{}}` {
			t.Errorf("%s: %d %s", id, got.status, got.body)
		}
	}
	g.finish("a")
	answer().rest()
}

func TestWhatBecomesOfACallWhoseClientLeaves(t *testing.T) {
	t.Parallel()
	t.Run("a legacy call goes on", func(t *testing.T) {
		t.Parallel()
		g := newLively(t, nil)
		s := g.begin("alice")
		l := broken(t, g, s, "1", "a")
		g.say("a", "still there")
		g.finish("a")
		if e := g.trail.next(t); e.Outcome != "ok" {
			t.Errorf("written down: %+v", e)
		}
		if rest := g.live(s.get(l.lastID)).rest(); len(rest) != 3 {
			t.Errorf("got %q", rest)
		}
	})
	t.Run("a legacy call goes on that nobody can come back to", func(t *testing.T) {
		t.Parallel()
		g := newLively(t, nil)
		s := g.beginWith("alice", "2025-06-18", "{}")
		ctx, leave := context.WithCancel(t.Context())
		r := s.script("1", "a", "").with("MCP-Protocol-Version", "2025-06-18")
		r.ctx = ctx
		left := make(chan struct{})
		go func() { defer close(left); _, _ = g.try(r) }()
		g.tell("a", func(context.Context, *server.MCPServer, mcp.CallToolRequest) {})
		leave()
		<-left
		g.finish("a")
		if e := g.trail.next(t); e.Outcome != "ok" {
			t.Errorf("written down: %+v", e)
		}
	})
	t.Run("a modern call is cancelled", func(t *testing.T) {
		t.Parallel()
		g := newLively(t, nil)
		answer := g.start(modernScript("1", "a", `"progressToken":1,`))
		g.say("a", "begin")
		l := answer()
		l.next()
		l.leave()
		if err := <-g.waits.stopped; err == nil {
			t.Error("it was not stopped")
		}
		if e := g.trail.next(t); e.Outcome != "error" || e.Reason != "cancelled" {
			t.Errorf("written down: %+v", e)
		}
	})
}

func TestAnAnswerIsAStreamOnlyIfThereIsSomethingToSay(t *testing.T) {
	t.Parallel()
	g := newLively(t, nil)
	s := g.begin("alice")
	for name, r := range map[string]request{
		"a call":        s.call("1", "math_add", `{"a":1,"b":1}`),
		"a modern call": modernCall("1", "math_add", `{"a":1,"b":1}`),
		"a call of a client that reads JSON only":  s.request("1", "tools/call", `{"name":"burst","_meta":{"progressToken":1}}`).with("Accept", jsonType),
		"one that refuses streams by their weight": s.request("1", "tools/call", `{"name":"burst","_meta":{"progressToken":1}}`).with("Accept", "application/json, text/event-stream;q=0"),
	} {
		l := g.live(r)
		if got := l.header.Get("Content-Type"); got != jsonType || l.status != http.StatusOK {
			t.Errorf("%s: %d %s", name, l.status, got)
		}
		l.rest()
	}
	refuse := s.call("1", "math_add", `{"a":1,"b":1}`).with("Accept", "text/event-stream")
	g.send(refuse).refused(t, http.StatusNotAcceptable, wire.CodeInvalidRequest, "must accept application/json")
}
