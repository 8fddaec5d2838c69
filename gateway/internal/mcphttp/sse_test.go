package mcphttp_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"mcp-gateway/gateway/internal/mcphttp"
	"mcp-gateway/shared/wire"
)

const initialize = `{"jsonrpc":"2.0","id":"i","method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`

// sse is a stream that a test has opened.
type sse struct {
	g      *gateway
	user   string
	path   string // for messages
	events *wire.EventReader
	leave  context.CancelFunc
}

// open opens a stream as a user.
func (g *gateway) open(user string) *sse {
	g.t.Helper()
	ctx, leave := context.WithCancel(g.t.Context())
	g.t.Cleanup(leave)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, g.url+"/sse", nil)
	if err != nil {
		g.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+user)
	req.Header.Set("Accept", "text/event-stream")
	resp, err := http.DefaultClient.Do(req) //nolint:bodyclose // the context ends it
	if err != nil {
		g.t.Fatal(err)
	}
	if got := resp.Header.Get("Content-Type"); resp.StatusCode != http.StatusOK || got != "text/event-stream" || resp.Header.Get("Cache-Control") != "no-store" {
		g.t.Fatalf("%d %v", resp.StatusCode, resp.Header)
	}
	s := &sse{g: g, user: user, events: wire.NewEventReader(resp.Body, 1<<20), leave: leave}
	first, err := s.events.Next()
	if err != nil || first.Name != "endpoint" || !strings.HasPrefix(string(first.Data), mcphttp.MessagesPath+"?session_id=") {
		g.t.Fatalf("the first event is %+v, %v", first, err)
	}
	s.path = string(first.Data)
	return s
}

// post sends a message, which must be taken.
func (s *sse) post(body string) {
	s.g.t.Helper()
	if got := s.g.send(request{path: s.path, user: s.user, body: body}); got.status != http.StatusAccepted || got.body != "" {
		s.g.t.Fatalf("%d %s", got.status, got.body)
	}
}

// next is the next message of the stream.
func (s *sse) next() string {
	s.g.t.Helper()
	event, err := s.events.Next()
	if err != nil || event.Name != "message" {
		s.g.t.Fatalf("%+v, %v", event, err)
	}
	return string(event.Data)
}

func TestSSE(t *testing.T) {
	t.Parallel()
	g := newGateway(t, nil)
	s := g.open("alice")
	s.post(initialize)
	if got := s.next(); !strings.Contains(got, `"id":"i","result"`) || !strings.Contains(got, `"protocolVersion":"2025-06-18"`) {
		t.Errorf("initialize: %s", got)
	}
	s.post(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	s.post(`{"jsonrpc":"2.0","id":12345678901234567890,"method":"tools/call","params":{"name":"math_add","arguments":{"a":23,"b":19}}}`)
	if got := s.next(); !strings.HasPrefix(got, `{"jsonrpc":"2.0","id":12345678901234567890,"result":`) || !strings.Contains(got, `"42"`) {
		t.Errorf("call: %s", got)
	}
	if e := g.trail.next(t); e.Tool != "math_add" || e.Outcome != "ok" {
		t.Errorf("written down: %+v", e)
	}
	s.post(`{"jsonrpc":"2.0","id":1,"method":"no/such"}`)
	if got := s.next(); !strings.Contains(got, `"id":1,"error":{"code":-32601`) {
		t.Errorf("unknown method: %s", got)
	}
	s.post(`{"jsonrpc":"2.0","id":"r","result":{}}`) // an answer to nothing
	s.post(`{"jsonrpc":"2.0","id":2,"method":"ping"}`)
	if got := s.next(); got != `{"jsonrpc":"2.0","id":2,"result":{}}` {
		t.Errorf("ping: %s", got)
	}
}

// TestSSETakesMessagesOfClientsThatReadStreamsOnly: their answers go to the stream, and
// Inspector's page says so.
func TestSSETakesMessagesOfClientsThatReadStreamsOnly(t *testing.T) {
	t.Parallel()
	g := newGateway(t, nil)
	s := g.open("alice")
	got := g.send(request{path: s.path, body: `{"jsonrpc":"2.0","id":2,"method":"ping"}`}.with("Accept", "text/event-stream"))
	if got.status != http.StatusAccepted {
		t.Fatalf("%d %s", got.status, got.body)
	}
	if m := s.next(); m != `{"jsonrpc":"2.0","id":2,"result":{}}` {
		t.Errorf("got %s", m)
	}
}

func TestSSERefuses(t *testing.T) {
	t.Parallel()
	g := newGateway(t, func(cfg *mcphttp.Config) { cfg.MaxBody = 1000 })
	s := g.open("alice")
	ping := `{"jsonrpc":"2.0","id":2,"method":"ping"}`
	for name, test := range map[string]struct {
		in     request
		status int
		reason string
	}{
		"another person":                   {request{path: s.path, user: "bob", body: ping}, http.StatusNotFound, "no such stream"},
		"the same person's other client":   {request{path: s.path, user: "alice-other", body: ping}, http.StatusNotFound, "no such stream"},
		"a made-up stream":                 {request{path: mcphttp.MessagesPath + "?session_id=AAAAAAAAAAAAAAAAAAAAAAAAAA", body: ping}, http.StatusNotFound, "no such stream"},
		"no stream":                        {request{path: mcphttp.MessagesPath, body: ping}, http.StatusNotFound, "no such stream"},
		"nobody":                           {request{path: s.path, user: "unguarded", body: ping}, http.StatusInternalServerError, "made a mistake"},
		"GET of messages":                  {request{path: s.path, method: http.MethodGet}, http.StatusMethodNotAllowed, "posted here"},
		"POST to the stream":               {request{path: "/sse", body: ping}, http.StatusMethodNotAllowed, "Streamable HTTP is at /mcp"},
		"DELETE of the stream":             {request{path: "/sse", method: http.MethodDelete}, http.StatusMethodNotAllowed, "GET opens"},
		"a form":                           {request{path: s.path, body: ping}.with("Content-Type", "text/plain"), http.StatusUnsupportedMediaType, "Content-Type"},
		"no JSON":                          {request{path: s.path, body: "hello"}, http.StatusBadRequest, "not JSON"},
		"a batch":                          {request{path: s.path, body: "[" + ping + "]"}, http.StatusBadRequest, "batches are not accepted"},
		"a body that is too large":         {request{path: s.path, body: `{"x":"` + strings.Repeat("a", 1000) + `"}`}, http.StatusRequestEntityTooLarge, "larger than 1000"},
		"a message of the modern era":      {func() request { r := modernCall("1", "math_add", `{"a":1,"b":2}`); r.path = s.path; return r }(), http.StatusBadRequest, "at /mcp only"},
		"a page that is not allowed":       {request{path: s.path, body: ping}.with("Origin", "https://evil.example"), http.StatusForbidden, "not allowed"},
		"a host that is not the gateway's": {request{path: "/sse", method: http.MethodGet, host: "evil.example"}, http.StatusForbidden, "not this gateway's"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := g.send(test.in); got.status != test.status || !strings.Contains(got.body, test.reason) {
				t.Errorf("%d %s, want %d with %q", got.status, got.body, test.status, test.reason)
			}
		})
	}
}

func TestSSECallsEnd(t *testing.T) {
	t.Parallel()
	wait := `{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{"name":"wait"}}`
	t.Run("when the client says so, and only that client", func(t *testing.T) {
		t.Parallel()
		g := newGateway(t, nil)
		s, other := g.open("alice"), g.open("alice")
		s.post(wait)
		<-g.waits.started
		other.post(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":9}}`)
		other.post(`{"jsonrpc":"2.0","id":1,"method":"ping"}`)
		other.next()
		select {
		case err := <-g.waits.stopped:
			t.Fatalf("another stream stopped it: %v", err)
		default:
		}
		s.post(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":9}}`)
		if err := <-g.waits.stopped; !errors.Is(err, context.Canceled) {
			t.Errorf("ended with %v", err)
		}
		s.next()
	})
	t.Run("and not because the client left", func(t *testing.T) {
		t.Parallel()
		g := newGateway(t, nil)
		s := g.open("alice")
		s.post(wait)
		<-g.waits.started
		s.leave()
		for g.send(request{path: s.path, body: wait}).status != http.StatusNotFound { // until that is known
			<-g.waits.started
			g.waits.release <- struct{}{}
			<-g.waits.stopped
		}
		close(g.waits.release)
		if err := <-g.waits.stopped; err != nil {
			t.Errorf("ended with %v", err)
		}
	})
	t.Run("before the gateway does", func(t *testing.T) {
		t.Parallel()
		g := newGateway(t, nil)
		s := g.open("alice")
		s.post(wait)
		<-g.waits.started
		g.endStreams()
		if got := g.send(request{path: s.path, body: wait}); got.status != http.StatusNotFound {
			t.Errorf("a new call: %d %s", got.status, got.body)
		}
		if got := g.send(request{path: "/sse", method: http.MethodGet}); got.status != http.StatusTooManyRequests {
			t.Errorf("a new stream: %d %s", got.status, got.body)
		}
		close(g.waits.release)
		if got := s.next(); !strings.Contains(got, "waited") {
			t.Errorf("got %s", got)
		}
		if event, err := s.events.Next(); !errors.Is(err, io.EOF) {
			t.Errorf("after it: %+v, %v", event, err)
		}
	})
}

// TestAStreamOfSSEEndsWithItsTokenAndNotWithItsCalls: they may take long.
func TestAStreamOfSSEEndsWithItsTokenAndNotWithItsCalls(t *testing.T) {
	t.Parallel()
	g := newLively(t, nil)
	g.expires("short", time.Second)
	s := g.open("short")
	s.user = "alice"
	s.post(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"deaf"}}`)
	<-g.waits.started
	if event, err := s.events.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("the stream goes on with %+v, %v", event, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if g.handler.AwaitStreams(ctx) == nil {
		t.Error("nobody waits for the call")
	}
	g.waits.release <- struct{}{}
	if e := g.trail.next(t); e.Outcome != "ok" {
		t.Errorf("written down: %+v", e)
	}
}

// TestAnAnswerIsTakenWhileTheGatewayStops: the call that asked is waited for.
func TestAnAnswerIsTakenWhileTheGatewayStops(t *testing.T) {
	t.Parallel()
	g := newLively(t, nil)
	s := g.open("alice")
	s.post(strings.Replace(initialize, `"capabilities":{}`, `"capabilities":`+canAll, 1))
	s.next()
	s.post(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"script","arguments":{"key":"a"}}}`)
	asked := g.asks("a", questions["roots"].ask)
	question := s.next()
	g.endStreams()
	s.post(answerTo(member(question, "id"), questions["roots"].answer))
	if got := outcome(t, asked); !strings.Contains(got, "n1") {
		t.Errorf("the question ended with %s", got)
	}
	g.finish("a")
	if got := s.next(); !strings.Contains(got, "done a") {
		t.Errorf("got %s", got)
	}
}

func TestSSEStreamsOfOnePersonAreBounded(t *testing.T) {
	t.Parallel()
	g := newGateway(t, nil)
	var first *sse
	for i := range 32 {
		if s := g.open("alice"); i == 0 {
			first = s
		}
	}
	if got := g.send(request{path: "/sse", method: http.MethodGet}); got.status != http.StatusTooManyRequests || got.header.Get("Retry-After") == "" {
		t.Errorf("one more: %d %v", got.status, got.header)
	}
	for range 32 {
		g.open("ci")
	}
	if got := g.send(request{user: "ci", path: "/sse", method: http.MethodGet}); got.status != http.StatusTooManyRequests {
		t.Errorf("one more of a program: %d %v", got.status, got.header)
	}
	for _, other := range []string{"bob", "deploy"} { // somebody else is not held up
		g.open(other)
	}
	first.leave()
	for g.send(request{path: first.path, body: `{"jsonrpc":"2.0","method":"x"}`}).status != http.StatusNotFound {
		time.Sleep(time.Millisecond) // until the gateway knows
	}
	g.open("alice")
}

func TestTheOfficialClientOverSSE(t *testing.T) {
	t.Parallel()
	g := newGateway(t, nil)
	client := mcp.NewClient(&mcp.Implementation{Name: "sdk", Version: "1"}, nil)
	transport := &mcp.SSEClientTransport{Endpoint: g.url + "/sse", HTTPClient: &http.Client{Transport: token("bob")}}
	s, err := client.Connect(t.Context(), transport, &mcp.ClientSessionOptions{ProtocolVersion: "2025-11-25"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	got, err := s.CallTool(t.Context(), &mcp.CallToolParams{Name: "math_add", Arguments: map[string]any{"a": 23, "b": 19}})
	if err != nil {
		t.Fatal(err)
	}
	if text, ok := got.Content[0].(*mcp.TextContent); !ok || text.Text != "42" {
		t.Errorf("called: %+v", got)
	}
}
