package remote_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mcp-gateway/bridge/internal/remote"
	"mcp-gateway/shared/wire"
)

// oldServer speaks HTTP+SSE at /mcp; messages are posted to /messages.
type oldServer struct {
	endpoint string
	mu       sync.Mutex
	send     func(string)
	end      chan struct{}
	status   atomic.Int64 // of posts
}

func newOldServer() *oldServer {
	s := &oldServer{endpoint: "/messages?session=1", end: make(chan struct{})}
	s.status.Store(http.StatusAccepted)
	return s
}

func (s *oldServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method == http.MethodGet:
		send := stream(w)
		s.mu.Lock()
		s.send = send
		send("event: endpoint\ndata: " + s.endpoint + "\n\n")
		s.mu.Unlock()
		select {
		case <-r.Context().Done():
		case <-s.end:
		}
	case r.URL.Path == "/messages" && r.URL.RawQuery == "session=1":
		w.WriteHeader(int(s.status.Load()))
	default:
		http.Error(w, "Cannot POST /mcp", http.StatusNotFound)
	}
}

// newOldRig is a rig with an old server; after is called with each message that
// was posted, when the server has answered the post.
func newOldRig(t *testing.T, s *oldServer, after func(m wire.Message)) *rig {
	t.Helper()
	var r *rig
	r = newRig(t, func(w http.ResponseWriter, req *http.Request) {
		_, bodies := r.requests()
		body := bodies[len(bodies)-1] // the tests post one at a time
		s.ServeHTTP(w, req)
		if m, err := wire.Parse([]byte(body)); err == nil && req.URL.Path == "/messages" {
			after(m)
		}
	})
	return r
}

// say sends on the stream.
func (s *oldServer) say(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.send(text)
}

// oldWelcome is the answer to initialize.
var oldWelcome = strings.Replace(welcome, "2025-06-18", "2024-11-05", 1)

func TestHTTPWithSSE(t *testing.T) {
	t.Parallel()
	s := newOldServer()
	r := newOldRig(t, s, func(m wire.Message) {
		switch m.Method {
		case "initialize":
			s.say(event(hint) + event(oldWelcome))
		case "tools/call":
			s.say(event(hint) + event(answer))
		}
	})
	var all inbox
	if err := r.Initialize(t.Context(), parse(t, initialize), []byte(initialize), all.receive); err != nil {
		t.Fatal(err)
	}
	got, err := r.request(t, call)
	if diff := cmp.Diff([]string{answer}, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	if err := r.Notify(t.Context(), parse(t, hint), []byte(hint)); err != nil {
		t.Error(err)
	}
	// What answers nothing goes to whoever began.
	if diff := cmp.Diff([]string{hint, oldWelcome, hint}, all.messages()); diff != "" {
		t.Error(diff)
	}
	requests, bodies := r.requests()
	if diff := cmp.Diff([]string{initialize, "", initialize, call, hint}, bodies); diff != "" {
		t.Errorf("bodies:\n%s", diff)
	}
	for _, req := range requests {
		if req.Header.Get("Authorization") != "Bearer secret-token" {
			t.Errorf("%s %s has no token", req.Method, req.URL)
		}
	}
	listened := make(chan error, 1)
	go func() { listened <- r.Listen(t.Context(), all.receive) }()
	close(s.end)
	if err := <-listened; !errors.Is(err, remote.ErrSession) {
		t.Errorf("when the stream ended: %v, want ErrSession", err)
	}
	if _, err := r.request(t, call); !errors.Is(err, remote.ErrSession) {
		t.Errorf("after it: %v, want ErrSession", err)
	}
}

func TestHTTPWithSSEWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	s := newOldServer()
	posted := make(chan struct{}, 8)
	r := newOldRig(t, s, func(m wire.Message) {
		if m.Method == "initialize" {
			s.say(event(oldWelcome))
		} else {
			posted <- struct{}{}
		}
	})
	r.begin(t)
	s.status.Store(http.StatusServiceUnavailable)
	if _, err := r.request(t, call); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("busy: %v", err)
	}
	<-posted
	s.status.Store(http.StatusNotFound)
	if _, err := r.request(t, call); !errors.Is(err, remote.ErrSession) {
		t.Errorf("unknown session: %v", err)
	}
	<-posted
	s.status.Store(http.StatusAccepted)
	ended := make(chan error, 1)
	go func() { _, err := r.request(t, call); ended <- err }()
	<-posted
	close(s.end)
	if err := <-ended; !errors.Is(err, remote.ErrInterrupted) {
		t.Errorf("the stream ended: %v, want ErrInterrupted", err)
	}
}

func TestHTTPWithSSETrustsNoOtherOrigin(t *testing.T) {
	t.Parallel()
	var leaked atomic.Bool
	thief := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { leaked.Store(true) }))
	t.Cleanup(thief.Close)
	for _, endpoint := range []string{thief.URL + "/messages", "//" + strings.TrimPrefix(thief.URL, "http://") + "/m", "https://127.0.0.1/m", "javascript:alert(1)", "http://[::bad"} {
		s := newOldServer()
		s.endpoint = endpoint
		r := newOldRig(t, s, func(wire.Message) {})
		var in inbox
		err := r.Initialize(t.Context(), parse(t, initialize), []byte(initialize), in.receive)
		if err == nil || !strings.Contains(err.Error(), "not its own") {
			t.Errorf("%s: %v", endpoint, err)
		}
		close(s.end)
	}
	if leaked.Load() {
		t.Error("somebody else was asked")
	}
}

func TestAStreamOfSomethingElseIsNotHTTPWithSSE(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]string{"another event": "event: hello\ndata: /messages\n\n", "the end": ""} {
		r := newRig(t, func(w http.ResponseWriter, req *http.Request) {
			if req.Method == http.MethodGet {
				stream(w)(first)
				return
			}
			w.WriteHeader(http.StatusMethodNotAllowed)
		})
		var in inbox
		err := r.Initialize(t.Context(), parse(t, initialize), []byte(initialize), in.receive)
		if status, ok := errors.AsType[*remote.StatusError](err); !ok || status.Status != http.StatusMethodNotAllowed {
			t.Errorf("%s: %v, want what the POST was answered", name, err)
		}
	}
}
