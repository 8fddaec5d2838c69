package mcphttp_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"mcp-gateway/gateway/internal/access"
	"mcp-gateway/shared/wire"
)

// overHTTP2 serves what g serves over TLS, and returns a client that speaks HTTP/2.
func (g *lively) overHTTP2(t *testing.T) func(r request) *http.Response {
	t.Helper()
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.handler.ServeHTTP(w, r.WithContext(access.WithPrincipal(r.Context(), principals["alice"])))
	}))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	t.Cleanup(srv.Close)
	t.Cleanup(g.endStreams)
	return func(r request) *http.Response {
		t.Helper()
		if r.method == "" {
			r.method = http.MethodPost
		}
		req, err := http.NewRequestWithContext(t.Context(), r.method, srv.URL+"/mcp", strings.NewReader(r.body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", jsonType)
		for name, value := range r.header {
			req.Header.Set(name, value)
		}
		resp, err := srv.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = resp.Body.Close() })
		if resp.ProtoMajor != 2 || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s %s", resp.Proto, resp.Status)
		}
		return resp
	}
}

// silence is longer than one write may take, also for a call, which says after two
// seconds that it lives.
const silence = 13 * time.Second

// TestAStreamMayBeSilentOverHTTP2: net/http resets such a stream when its deadline
// passes, also if nothing waits to be written.
func TestAStreamMayBeSilentOverHTTP2(t *testing.T) {
	t.Parallel()
	t.Run("that waits for what changes", func(t *testing.T) {
		t.Parallel()
		g := newLively(t, nil)
		s := g.begin("alice")
		events := wire.NewEventReader(g.overHTTP2(t)(s.get("")).Body, 1<<20)
		if e, err := events.Next(); err != nil || !e.HasID {
			t.Fatalf("%+v, %v", e, err)
		}
		time.Sleep(silence)
		g.changeList("tools")
		if e, err := events.Next(); err != nil || !strings.Contains(string(e.Data), "tools/list_changed") {
			t.Errorf("after the silence: %+v, %v", e, err)
		}
	})
	t.Run("of a call", func(t *testing.T) {
		t.Parallel()
		g := newLively(t, nil)
		s := g.begin("alice")
		send, answer := g.overHTTP2(t), make(chan *http.Response, 1)
		go func() { answer <- send(s.script("1", "a", "1")) }()
		g.say("a", "before")
		resp := <-answer
		time.Sleep(silence)
		g.finish("a")
		if all, err := io.ReadAll(resp.Body); err != nil || !strings.Contains(string(all), "done a") {
			t.Errorf("got %q, %v", all, err)
		}
	})
}

// TestAPOSTThatSomebodyCameBackForEnds, and regularly, however late.
func TestAPOSTThatSomebodyCameBackForEnds(t *testing.T) {
	t.Parallel()
	g := newLively(t, nil)
	s := g.begin("alice")
	answer := g.start(s.script("1", "a", "1"))
	g.say("a", "first")
	post := answer()
	post.next()
	post.next()
	back := g.live(s.get(post.lastID))
	time.Sleep(silence)
	g.say("a", "second")
	g.finish("a")
	if all := back.rest(); len(all) != 3 {
		t.Errorf("who came back got %q", all)
	}
	if all := post.rest(); len(all) != 0 {
		t.Errorf("the POST goes on with %q", all)
	}
}
