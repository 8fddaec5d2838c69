package mcphttp_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"mcp-gateway/gateway/internal/access"
	"mcp-gateway/gateway/internal/catalog"
	"mcp-gateway/gateway/internal/mcphttp"
	"mcp-gateway/gateway/internal/store"
)

// BenchmarkCall is one whole tools/call from the HTTP handler on: Host and
// Origin, principal, parse, era checks, policy, tool, trail (in memory), answer; in
// the modern era as a document and as a stream with progress, in a legacy session,
// and on a stream of /sse, whose answer is waited for there.
func BenchmarkCall(b *testing.B) {
	h := newBenched(b)
	mcpServed, sseServed := h.CheckOrigin(bearer(h)), h.CheckOrigin(bearer(h.SSE()))
	begun := httptest.NewRecorder()
	mcpServed.ServeHTTP(begun, request{body: initializeBody}.http())
	s := session{user: "alice", id: begun.Header().Get("Mcp-Session-Id")}
	add := `"name":"math_add","arguments":{"a":23,"b":19}`
	progress := modernCall("7", "steps", `{}`)
	progress.body = strings.Replace(progress.body, `"_meta":{`, `"_meta":{"progressToken":"p",`, 1)
	for _, mode := range []struct {
		name   string
		in     request
		events int
	}{
		{name: "modern", in: modernRequest("7", "tools/call", add).with("Mcp-Name", "math_add")},
		{name: "modern with progress", in: progress, events: 2},
		{name: "legacy", in: s.request("7", "tools/call", "{"+add+"}")},
	} {
		b.Run(mode.name, func(b *testing.B) {
			in := mode.in.http()
			out := discard{header: make(http.Header)}
			b.ReportAllocs()
			for b.Loop() {
				in.Body = io.NopCloser(strings.NewReader(mode.in.body))
				clear(out.header)
				out.events = 0
				if mcpServed.ServeHTTP(&out, in); out.status != http.StatusOK || out.events != mode.events {
					b.Fatalf("got %d and %d events", out.status, out.events)
				}
			}
		})
	}
	b.Run("sse", func(b *testing.B) {
		in := request{body: `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{` + add + `}}`}
		benchmarkStream(b, sseServed, in)
	})
}

// benchmarkStream posts to a stream of /sse and waits for each answer.
func benchmarkStream(b *testing.B, served http.Handler, post request) {
	ctx, leave := context.WithCancel(b.Context())
	open := request{}.http().WithContext(ctx)
	open.Method, open.URL.Path, open.Body = http.MethodGet, "/sse", http.NoBody
	events := make(told)
	ended := make(chan struct{})
	go func() { defer close(ended); served.ServeHTTP(events, open) }()
	defer func() { leave(); <-ended }()
	endpoint := string(<-events)
	_, endpoint, _ = strings.Cut(strings.TrimSpace(endpoint), "data: ")
	in := post.http()
	in.URL.Path, in.URL.RawQuery, _ = strings.Cut(endpoint, "?")
	out := discard{header: make(http.Header)}
	b.ReportAllocs()
	for b.Loop() {
		in.Body = io.NopCloser(strings.NewReader(post.body))
		clear(out.header)
		if served.ServeHTTP(&out, in); out.status != http.StatusAccepted {
			b.Fatalf("got %d", out.status)
		}
		if answer := <-events; !bytes.Contains(answer, []byte(`"result"`)) {
			b.Fatalf("got %s", answer)
		}
	}
}

// newBenched is a Handler with one tool more, which tells of its progress.
func newBenched(b *testing.B) *mcphttp.Handler {
	b.Helper()
	policy, err := access.New([]access.Rule{{
		Name: "all", Subjects: []access.Subject{{Kind: access.KindUser, Value: "alice"}}, Tools: []string{"*"},
	}})
	if err != nil {
		b.Fatal(err)
	}
	logger := slog.New(slog.DiscardHandler)
	tools, err := catalog.New(catalog.Config{Policy: policy, Version: "v1", Logger: logger, Tools: []server.ServerTool{
		{Tool: mcp.NewTool("steps"), Handler: func(ctx context.Context, req mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			err := server.ServerFromContext(ctx).SendNotificationToClient(ctx, "notifications/progress",
				map[string]any{"progressToken": req.Params.Meta.ProgressToken, "progress": 1, "total": 2})
			return mcp.NewToolResultText("done"), err
		}},
	}})
	if err != nil {
		b.Fatal(err)
	}
	h, err := mcphttp.New(mcphttp.Config{
		Catalog: tools, Policy: policy, Audit: noTrail{}, Ring: newRing(b), PublicURL: "https://gw.example", Logger: logger,
		Address: func(*http.Request) netip.Addr { return netip.MustParseAddr(publicIP) },
	})
	if err != nil {
		b.Fatal(err)
	}
	return h
}

// http is the request as a server gets it.
func (r request) http() *http.Request {
	req := httptest.NewRequest(http.MethodPost, "https://gw.example/mcp", strings.NewReader(r.body))
	req.Header.Set("Authorization", "Bearer alice")
	req.Header.Set("Content-Type", jsonType)
	req.Header.Set("Accept", "application/json, text/event-stream")
	for name, value := range r.header {
		req.Header.Set(name, value)
	}
	return req
}

// noTrail writes nothing down.
type noTrail struct{}

func (noTrail) Ready(context.Context) error               { return nil }
func (noTrail) Append(context.Context, store.Event) error { return nil }

// discard is a ResponseWriter that keeps only the status and how many times it was
// flushed, which is once an event.
type discard struct {
	header http.Header
	status int
	events int
}

func (d *discard) Header() http.Header              { return d.header }
func (d *discard) WriteHeader(status int)           { d.status = status }
func (d *discard) Write(b []byte) (int, error)      { return len(b), nil }
func (d *discard) Flush()                           { d.events++ }
func (d *discard) SetWriteDeadline(time.Time) error { return nil }
func (d *discard) SetReadDeadline(time.Time) error  { return nil }

// told is a ResponseWriter that passes on each event.
type told chan []byte

func (told) Header() http.Header              { return make(http.Header) }
func (told) WriteHeader(int)                  {}
func (t told) Write(b []byte) (int, error)    { t <- b; return len(b), nil }
func (told) Flush()                           {}
func (told) SetWriteDeadline(time.Time) error { return nil }
func (told) SetReadDeadline(time.Time) error  { return nil }
