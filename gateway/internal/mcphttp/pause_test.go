package mcphttp_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// closeStream makes the call with that key close its stream, and reports whether it
// was closed.
func (g *lively) closeStream(key string) (closed bool) {
	g.t.Helper()
	g.tell(key, func(ctx context.Context, _ *server.MCPServer, _ mcp.CallToolRequest) {
		s, ok := server.ClientSessionFromContext(ctx).(interface{ CloseStream() bool })
		if !ok {
			g.t.Error("the session has no CloseStream")
			return
		}
		closed = s.CloseStream()
	})
	return closed
}

func TestAToolClosesItsStreamAndTheClientComesBack(t *testing.T) {
	t.Parallel()
	g := newLively(t, nil)
	s := g.begin("alice")
	answer := g.start(s.script("1", "a", "1"))
	g.say("a", "before")
	if !g.closeStream("a") {
		t.Fatal("the stream was not closed")
	}
	if g.closeStream("a") {
		t.Error("it was closed twice")
	}
	post := answer().primed()
	var heard []string
	for {
		e, err := post.events.Next()
		if err != nil {
			t.Fatalf("the stream has no end that asks to come back: %v", err)
		}
		if e.HasID {
			post.lastID = e.ID
		}
		if e.Retry > 0 {
			break
		}
		heard = append(heard, string(e.Data))
	}
	if more := post.rest(); len(more) != 0 { // it ends, and regularly
		t.Errorf("after that it goes on with %q", more)
	}
	g.say("a", "while away")
	back := g.live(s.get(post.lastID))
	g.finish("a")
	heard = append(heard, back.rest()...) // what was said just before may come only now
	want := []string{"before", "before", "while away", "while away", `"id":1,"result"`}
	if len(heard) != len(want) {
		t.Fatalf("got %q", heard)
	}
	for i, part := range want {
		if !strings.Contains(heard[i], part) {
			t.Errorf("%d: got %s, want %q", i, heard[i], part)
		}
	}
	if e := g.trail.next(t); e.Outcome != "ok" {
		t.Errorf("written down: %+v", e)
	}
}

// TestAStreamIsNotClosedForWhoCannotComeBack: the answer would be lost.
func TestAStreamIsNotClosedForWhoCannotComeBack(t *testing.T) {
	t.Parallel()
	g := newLively(t, nil)
	for i, tt := range []struct {
		name string
		call func(key string) request
	}{
		{name: "a client of 2025-06-18", call: func(key string) request {
			return g.beginWith("alice", "2025-06-18", "{}").script("1", key, "1").with("MCP-Protocol-Version", "2025-06-18")
		}},
		{name: "a client of 2026-07-28", call: func(key string) request { return modernScript("1", key, "") }},
		{name: "a client that reads no streams", call: func(key string) request {
			return g.begin("alice").script("1", key, "").with("Accept", jsonType)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			key := fmt.Sprint("call-", i)
			answer := g.start(tt.call(key))
			if g.closeStream(key) {
				t.Error("the stream was closed")
			}
			g.finish(key)
			if all := answer().rest(); len(all) != 1 || !strings.Contains(all[0], "done "+key) {
				t.Errorf("got %q", all)
			}
		})
	}
}

// TestAStreamIsNotClosedOverHTTP10, which has no chunks that could say so.
func TestAStreamIsNotClosedOverHTTP10(t *testing.T) {
	t.Parallel()
	g := newLively(t, nil)
	s := g.begin("alice")
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(g.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	r := s.script("1", "a", "")
	_, _ = fmt.Fprintf(conn, "POST /mcp HTTP/1.0\r\nHost: 127.0.0.1\r\nAuthorization: Bearer alice\r\nContent-Type: application/json\r\n"+
		"Accept: application/json, text/event-stream\r\nMcp-Session-Id: %s\r\nContent-Length: %d\r\n\r\n%s", s.id, len(r.body), r.body)
	if g.closeStream("a") {
		t.Error("the stream was closed")
	}
	g.finish("a")
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if body, err := io.ReadAll(resp.Body); err != nil || !strings.Contains(string(body), "done a") {
		t.Errorf("got %q, %v", body, err)
	}
}

func TestTheStreamOfACallIsClosedWhenTheTokenIsOver(t *testing.T) {
	t.Parallel()
	g := newLively(t, nil)
	s := g.begin("alice")
	g.expires("short", 2*time.Second)
	r := s.script("1", "a", "1")
	r.user = "short"
	answer := g.start(r)
	g.say("a", "before")
	post := answer()
	if all := post.rest(); len(all) != 2 || !strings.Contains(all[0], "before") {
		t.Fatalf("until the token was over: %q", all)
	}
	g.say("a", "after")
	back := g.live(s.get(post.lastID)) // with another token
	g.finish("a")
	if all := back.rest(); len(all) != 3 || !strings.Contains(all[0], "after") || !strings.Contains(all[2], "done a") {
		t.Errorf("who came back got %q", all)
	}
}

// TestTheGatewayWaitsForACallWhoseStreamWasClosed, which the server has forgotten, and
// closes none when it stops: there is nowhere to come back to.
func TestTheGatewayWaitsForACallWhoseStreamWasClosed(t *testing.T) {
	t.Parallel()
	g := newLively(t, nil)
	s := g.begin("alice")
	away, stays := g.start(s.script("1", "away", "")), g.start(s.script("2", "stays", ""))
	if !g.closeStream("away") {
		t.Fatal("the stream was not closed")
	}
	away()
	g.endStreams()
	if g.closeStream("stays") {
		t.Error("a stream was closed while the gateway stops")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if g.handler.AwaitStreams(ctx) == nil {
		t.Error("nobody waits for the call")
	}
	g.finish("away")
	g.finish("stays")
	if err := g.handler.AwaitStreams(t.Context()); err != nil {
		t.Error(err)
	}
	if all := stays().rest(); len(all) != 1 || !strings.Contains(all[0], "done stays") {
		t.Errorf("got %q", all)
	}
}
