package mcphttp_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/netip"
	"runtime"
	"strings"
	"testing"

	"github.com/mark3labs/mcp-go/server"

	"mcp-gateway/gateway/internal/access"
	"mcp-gateway/gateway/internal/catalog"
	"mcp-gateway/gateway/internal/mcphttp"
	"mcp-gateway/shared/wire"
)

// newListened is a Handler with a list that can change, which is what a modern
// client listens for.
func newListened(t testing.TB) *mcphttp.Handler {
	t.Helper()
	policy, err := access.New([]access.Rule{{Name: "all", Subjects: []access.Subject{{Kind: access.KindUser, Value: "alice"}}, Tools: []string{"*"}}})
	if err != nil {
		t.Fatal(err)
	}
	logger := slog.New(slog.DiscardHandler)
	tools, err := catalog.New(catalog.Config{Policy: policy, Version: "v1", Logger: logger, Pack: catalog.Pack{Options: []server.ServerOption{server.WithToolCapabilities(true)}}})
	if err != nil {
		t.Fatal(err)
	}
	h, err := mcphttp.New(mcphttp.Config{
		Catalog: tools, Policy: policy, Audit: noTrail{}, Ring: newRing(t), PublicURL: "https://gw.example", Logger: logger,
		Address: func(*http.Request) netip.Addr { return netip.MustParseAddr(publicIP) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// serveStreams serves a Handler, whose streams are over when the test is.
func serveStreams(t testing.TB, h *mcphttp.Handler) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle("/", bearer(h))
	mux.Handle("/sse", bearer(h.SSE()))
	srv := httptest.NewUnstartedServer(mux)
	srv.EnableHTTP2 = true
	t.Cleanup(srv.Close)
	t.Cleanup(func() {
		if err := h.AwaitStreams(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return srv
}

// rawStream asks for /sse with a protocol, and returns the connection and the head
// of the answer.
func rawStream(t testing.TB, srv *httptest.Server, protocol string) (net.Conn, *bufio.Reader, string) {
	t.Helper()
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_, err = fmt.Fprintf(conn, "GET /sse %s\r\nHost: localhost\r\nAuthorization: Bearer alice\r\nAccept: text/event-stream\r\n\r\n", protocol)
	if err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	var head strings.Builder
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if line == "\r\n" {
			return conn, in, head.String()
		}
		head.WriteString(line)
	}
}

func TestAStreamEndsSoThatTheClientKnowsIt(t *testing.T) {
	t.Parallel()
	h := newListened(t)
	srv := serveStreams(t, h)
	srv.Start()
	_, in, head := rawStream(t, srv, "HTTP/1.1")
	for _, want := range []string{
		"HTTP/1.1 200 OK\r\n", "\nContent-Type: text/event-stream\r\n", "\nCache-Control: no-store\r\n", "\nX-Content-Type-Options: nosniff\r\n",
		"\nTransfer-Encoding: chunked\r\n", "\nConnection: close\r\n", "\nDate: ",
	} {
		if !strings.Contains(head, want) {
			t.Errorf("there is no %q in %q", want, head)
		}
	}
	h.EndStreams()
	raw, err := io.ReadAll(in)
	if err != nil || !strings.HasSuffix(string(raw), "\r\n0\r\n\r\n") {
		t.Fatalf("the stream ends with %q, %v", raw, err)
	}
	body, err := io.ReadAll(httputil.NewChunkedReader(strings.NewReader(string(raw))))
	if err != nil || !strings.HasPrefix(string(body), "event: endpoint\ndata: ") || !strings.HasSuffix(string(body), "\n\n") {
		t.Errorf("the chunks are %q, %v", body, err)
	}
}

func TestAClientOfBeforeChunksGetsNone(t *testing.T) {
	t.Parallel()
	h := newListened(t)
	srv := serveStreams(t, h)
	srv.Start()
	_, in, head := rawStream(t, srv, "HTTP/1.0")
	h.EndStreams()
	raw, err := io.ReadAll(in)
	if err != nil || strings.Contains(head, "chunked") || !strings.HasPrefix(string(raw), "event: endpoint\n") || !strings.HasSuffix(string(raw), "\n\n") {
		t.Errorf("got %q and %q, %v", head, raw, err)
	}
}

func TestAConnectionWithAStreamCarriesNoOtherRequest(t *testing.T) {
	t.Parallel()
	srv := serveStreams(t, newListened(t))
	srv.Start()
	conn, in, _ := rawStream(t, srv, "HTTP/1.1")
	request := "GET /sse HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer alice\r\n\r\n"
	_, _ = io.WriteString(conn, strings.Repeat(request, 10))
	raw, _ := io.ReadAll(in) // it may be reset
	if n := strings.Count(string(raw), "endpoint") + strings.Count(string(raw), "HTTP/1.1"); n != 1 {
		t.Errorf("got %q", raw)
	}
}

func TestAStreamOverHTTP2IsServed(t *testing.T) {
	t.Parallel()
	h := newListened(t)
	srv := serveStreams(t, h)
	srv.StartTLS()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+"/sse", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer alice")
	resp, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.ProtoMajor != 2 || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s %s", resp.Proto, resp.Status)
	}
	if e, err := wire.NewEventReader(resp.Body, 1<<20).Next(); err != nil || e.Name != "endpoint" {
		t.Fatalf("%+v, %v", e, err)
	}
	h.EndStreams()
	if _, err := io.ReadAll(resp.Body); err != nil {
		t.Errorf("it ends with %v", err)
	}
}

func TestAStreamOverTLSSaysThatItEnds(t *testing.T) {
	t.Parallel()
	h := newListened(t)
	srv := serveStreams(t, h)
	srv.EnableHTTP2 = false
	srv.StartTLS()
	config := srv.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	config.ServerName = "example.com"
	conn, err := tls.Dial("tcp", srv.Listener.Addr().String(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_, _ = io.WriteString(conn, "GET /sse HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer alice\r\n\r\n")
	in := bufio.NewReader(conn)
	if line, err := in.ReadString('\n'); line != "HTTP/1.1 200 OK\r\n" {
		t.Fatalf("got %q, %v", line, err)
	}
	h.EndStreams()
	if raw, err := io.ReadAll(in); err != nil || !strings.HasSuffix(string(raw), "\r\n0\r\n\r\n") {
		t.Errorf("it ends with %q, %v", raw, err)
	}
}

func TestStreamsAreAwaitedWithTheirCalls(t *testing.T) {
	t.Parallel()
	g := newGateway(t, nil)
	s := g.open("alice")
	s.post(`{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{"name":"wait"}}`)
	<-g.waits.started
	impatient, cancel := context.WithCancelCause(t.Context())
	cancel(io.ErrNoProgress)
	if err := g.awaitStreams(impatient); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("while a call runs: %v", err)
	}
	close(g.waits.release)
	if err := g.awaitStreams(t.Context()); err != nil {
		t.Errorf("after it: %v", err)
	}
	if got := s.next(); !strings.Contains(got, "waited") {
		t.Errorf("got %s", got)
	}
}

// TestAStreamKeepsNotWhatOpenedIt is not parallel: it looks at the whole heap.
func TestAStreamKeepsNotWhatOpenedIt(t *testing.T) {
	srv := serveStreams(t, newListened(t))
	srv.Start()
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	listen := modernRequest("1", "subscriptions/listen", `"notifications":{"toolsListChanged":true}`)
	body := listen.body + strings.Repeat(" ", 256<<10)
	for range 16 {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL+"/mcp", io.NopCloser(strings.NewReader(body)))
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range listen.with("Authorization", "Bearer alice").with("Content-Type", jsonType).header {
			req.Header.Set(name, value)
		}
		resp, err := srv.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		if e, err := wire.NewEventReader(resp.Body, 1<<20).Next(); err != nil || !strings.Contains(string(e.Data), "acknowledged") {
			t.Fatalf("%+v, %v", e, err)
		}
	}
	if grown := heap() - before; grown > 3<<20 {
		t.Errorf("16 streams, which were opened with 256 KiB each, hold %d KiB", grown>>10)
	}
}
