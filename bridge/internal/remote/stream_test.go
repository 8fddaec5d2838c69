package remote_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mcp-gateway/bridge/internal/remote"
)

func TestAStreamIsGivenOutInOrder(t *testing.T) {
	t.Parallel()
	ask := `{"jsonrpc":"2.0","id":"s","method":"roots/list"}`
	r := newRig(t, session(func(w http.ResponseWriter, _ *http.Request) {
		send := stream(w)
		send("id: 1\ndata:\n\n: ping\n\nevent: other\ndata: {}\n\n")
		send(event(hint) + event(ask))
		send("data: " + answer + "\n\n")
		send(event(hint)) // too late: nobody listens any more
	}))
	r.begin(t)
	got, err := r.request(t, call)
	if diff := cmp.Diff([]string{hint, ask, answer}, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
}

func TestAStreamThatEndsEarlyIsResumed(t *testing.T) {
	t.Parallel()
	r := newRig(t, session(func(w http.ResponseWriter, req *http.Request) {
		send := stream(w)
		switch req.Header.Get("Last-Event-Id") {
		case "":
			send("id: a1\nretry: 10\ndata:\n\n") // SEP-1699: the server lets go
		case "a1":
			send("id: a2\n" + event(hint))
		case "a2":
			send("id: a3\n" + event(answer))
		}
	}))
	r.begin(t)
	got, err := r.request(t, call)
	if diff := cmp.Diff([]string{hint, answer}, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	requests, _ := r.requests()
	for i, req := range requests[2:] {
		if req.Method != http.MethodGet || req.Header.Get("Mcp-Session-Id") != "s1" || req.Header.Get("Accept") != "text/event-stream" {
			t.Errorf("resume %d: %s %v", i, req.Method, req.Header)
		}
	}
}

func TestAStreamThatNeverGoesOnIsGivenUp(t *testing.T) {
	t.Parallel()
	r := newRig(t, session(func(w http.ResponseWriter, _ *http.Request) { stream(w)("id: a1\nretry: 1\ndata:\n\n") }))
	r.begin(t)
	if got, err := r.request(t, call); !errors.Is(err, remote.ErrInterrupted) || got != nil {
		t.Errorf("%v, %v", got, err)
	}
	if requests, _ := r.requests(); len(requests) > 13 {
		t.Errorf("%d requests", len(requests))
	}
}

func TestAModernStreamIsNotResumed(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(w http.ResponseWriter, _ *http.Request) { stream(w)("id: a1\nretry: 1\ndata:\n\n") })
	if _, err := r.request(t, modern); !errors.Is(err, remote.ErrInterrupted) {
		t.Errorf("got %v", err)
	}
	if requests, _ := r.requests(); len(requests) != 1 {
		t.Errorf("%d requests, want 1", len(requests))
	}
}

func TestListenReconnectsWhereItStopped(t *testing.T) {
	t.Parallel()
	gone := make(chan struct{})
	var opens atomic.Int64
	r := newRig(t, session(func(w http.ResponseWriter, req *http.Request) {
		if req.Method == http.MethodDelete {
			return
		}
		switch opens.Add(1) {
		case 1:
			stream(w)("id: g1\n" + event(hint))
		case 2:
			w.WriteHeader(http.StatusBadGateway)
		case 3:
			stream(w)("id: g2\n" + event(answer)) // a response may come here, and ends nothing
		default:
			close(gone)
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	r.begin(t)
	var in inbox
	if err := r.Listen(t.Context(), in.receive); !errors.Is(err, remote.ErrSession) {
		t.Errorf("got %v, want ErrSession", err)
	}
	<-gone
	if diff := cmp.Diff([]string{hint, answer}, in.messages()); diff != "" {
		t.Error(diff)
	}
	requests, _ := r.requests()
	var after []string
	for _, req := range requests[1:] {
		after = append(after, req.Header.Get("Last-Event-Id"))
	}
	if diff := cmp.Diff([]string{"", "g1", "g1", "g2"}, after); diff != "" {
		t.Errorf("Last-Event-ID:\n%s", diff)
	}
}

func TestListenGivesUpOnAServerWithoutAStream(t *testing.T) {
	t.Parallel()
	for _, status := range []int{400, 405, 406, 501} {
		r := newRig(t, session(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		r.begin(t)
		if err := r.Listen(t.Context(), func([]byte) bool { return false }); err != nil {
			t.Errorf("%d: %v", status, err)
		}
	}
	r := newRig(t, session(func(w http.ResponseWriter, _ *http.Request) { stream(w) }))
	r.begin(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := r.Listen(ctx, func([]byte) bool { return false }); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("at the end of its context: %v", err)
	}
}

func TestAnswersOfAnySizeAreWhole(t *testing.T) {
	t.Parallel()
	big := strings.Replace(answer, "a\\u00e9", strings.Repeat("x", 3<<20), 1)
	for name, handler := range map[string]http.HandlerFunc{
		"with a length": func(w http.ResponseWriter, _ *http.Request) { reply(w, 200, big) },
		"in chunks": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, big[:1000])
			_ = http.NewResponseController(w).Flush()
			_, _ = io.WriteString(w, big[1000:])
		},
		"as an event": func(w http.ResponseWriter, _ *http.Request) { stream(w)(event(big)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, session(handler))
			r.begin(t)
			if got, err := r.request(t, call); err != nil || len(got) != 1 || got[0] != big {
				t.Errorf("%v, %d messages", err, len(got))
			}
		})
	}
	r := newRig(t, session(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, answer[:20])
	}))
	r.begin(t)
	if got, err := r.request(t, call); !errors.Is(err, remote.ErrInterrupted) || got != nil {
		t.Errorf("half an answer: %q, %v", got, err)
	}
}

func TestALostStreamIsNeverSafeToRepeat(t *testing.T) {
	t.Parallel()
	for _, status := range []int{401, 403, 404, 405, 429, 500, 501, 503} {
		gets := atomic.Int64{}
		r := newRig(t, session(func(w http.ResponseWriter, req *http.Request) {
			if req.Method == http.MethodPost {
				stream(w)("id: a1\nretry: 1\ndata:\n\n")
				return
			}
			gets.Add(1)
			w.WriteHeader(status)
		}))
		r.begin(t)
		_, err := r.request(t, call)
		_, isStatus := errors.AsType[*remote.StatusError](err)
		_, unreachable := errors.AsType[*remote.UnreachableError](err)
		if !errors.Is(err, remote.ErrInterrupted) || errors.Is(err, remote.ErrSession) || isStatus || unreachable {
			t.Errorf("%d: %v", status, err)
		}
		final := status == 401 || status == 403 || status == 404 || status == 405 || status == 501
		if n := gets.Load(); final && n != 1 || n > 11 {
			t.Errorf("%d: asked %d times", status, n)
		}
	}
	var server *rig
	var once sync.Once
	server = newRig(t, session(func(w http.ResponseWriter, _ *http.Request) {
		stream(w)("id: a1\nretry: 1\ndata:\n\n")
		once.Do(server.stop) // nobody is there to resume it
	}))
	server.begin(t)
	_, err := server.request(t, call)
	if _, unreachable := errors.AsType[*remote.UnreachableError](err); !errors.Is(err, remote.ErrInterrupted) || unreachable {
		t.Errorf("gone: %v", err)
	}
}

func TestABodyWithoutAnEndHoldsNothingUp(t *testing.T) {
	t.Parallel()
	r := newRig(t, session(func(w http.ResponseWriter, req *http.Request) {
		if req.Method == http.MethodDelete {
			return
		}
		w.WriteHeader(http.StatusAccepted)
		_ = http.NewResponseController(w).Flush()
		<-req.Context().Done()
	}))
	r.begin(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := r.Notify(ctx, parse(t, hint), []byte(hint)); err != nil || ctx.Err() != nil {
		t.Errorf("%v, %v", err, ctx.Err())
	}
}

func TestAStreamThatWorksIsOpenedAgainSoon(t *testing.T) {
	t.Parallel()
	var opens atomic.Int64
	r := newRig(t, session(func(w http.ResponseWriter, req *http.Request) {
		if n := opens.Add(1); req.Method == http.MethodGet && n < 50 {
			stream(w)(fmt.Sprintf("id: %d\nretry: 1\n%s", n, event(hint)))
			return
		}
		w.WriteHeader(http.StatusNotFound)
	}))
	r.begin(t)
	// With a wait that doubles, this would take years.
	if err := r.Listen(t.Context(), func([]byte) bool { return false }); !errors.Is(err, remote.ErrSession) {
		t.Errorf("got %v", err)
	}
}
