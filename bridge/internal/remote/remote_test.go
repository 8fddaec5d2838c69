package remote_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mcp-gateway/bridge/internal/remote"
)

// session serves a legacy session named s1; its calls are the test's.
func session(calls http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPost && r.Header.Get("Mcp-Session-Id") == "" && r.Header.Get("Mcp-Method") == "":
			w.Header().Set("Mcp-Session-Id", "s1")
			reply(w, http.StatusOK, welcome)
		default:
			calls(w, r)
		}
	}
}

func TestALegacyCallPassesAsItIs(t *testing.T) {
	t.Parallel()
	r := newRig(t, session(func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, answer) }))
	r.begin(t)
	got, err := r.request(t, call)
	if diff := cmp.Diff([]string{answer}, got); err != nil || diff != "" {
		t.Fatalf("%v\n%s", err, diff)
	}
	requests, bodies := r.requests()
	if diff := cmp.Diff([]string{initialize, call}, bodies); diff != "" {
		t.Errorf("bodies:\n%s", diff)
	}
	first, second := requests[0].Header, requests[1].Header
	if first.Get("Mcp-Protocol-Version") != "" || first.Get("Mcp-Session-Id") != "" {
		t.Errorf("initialize has %v", first)
	}
	for name, want := range map[string]string{
		"Mcp-Session-Id": "s1", "Mcp-Protocol-Version": "2025-06-18", "Mcp-Method": "", "Authorization": "Bearer secret-token",
		"Accept": "application/json, text/event-stream", "Content-Type": "application/json", "User-Agent": "test/1",
	} {
		if second.Get(name) != want {
			t.Errorf("%s: %q, want %q", name, second.Get(name), want)
		}
	}
}

func TestAModernCallCarriesItsHeaders(t *testing.T) {
	t.Parallel()
	r := newRig(t, session(func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, result) }))
	r.begin(t) // a session of the same host must not show
	if got, err := r.request(t, modern); err != nil || len(got) != 1 || got[0] != result {
		t.Errorf("%q, %v", got, err)
	}
	requests, _ := r.requests()
	h := requests[1].Header
	for name, want := range map[string]string{
		"Mcp-Session-Id": "", "Mcp-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": "=?base64?w6ljaG8=?=",
	} {
		if h.Get(name) != want {
			t.Errorf("%s: %q, want %q", name, h.Get(name), want)
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	rpc := `{"jsonrpc":"2.0","id":12345678901234567890,"error":{"code":-32602,"message":"no", "data":{"n":1.0}}}`
	for name, tc := range map[string]struct {
		status      int
		kind, body  string
		retry       string
		want        []string // messages
		err         error
		says        string
		wait        time.Duration
		unreachable bool
	}{
		"a JSON-RPC error is the answer":               {status: 400, kind: "application/json", body: rpc, want: []string{rpc}},
		"also with another content type":               {status: 404 + 18, kind: "text/plain", body: rpc, want: []string{rpc}},
		"also forbidden":                               {status: 403, kind: "application/json", body: rpc, want: []string{rpc}},
		"an error without an id gets the call's":       {status: 400, kind: "application/json", body: `{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"x", "data":[1.0]}}`, want: []string{`{"jsonrpc":"2.0","id":12345678901234567890,"error":{"code":-32000,"message":"x", "data":[1.0]}}`}},
		"404 is the end of the session":                {status: 404, kind: "application/json", body: rpc, err: remote.ErrSession},
		"404 with a page is too":                       {status: 404, kind: "text/html", body: "<html>", err: remote.ErrSession},
		"400 that speaks of the session is too":        {status: 400, kind: "application/json", body: `{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"Bad Request: No valid Session ID provided"}}`, err: remote.ErrSession},
		"a page is no answer":                          {status: 500, kind: "text/html", body: "<html><script>", says: "it answers 500 Internal Server Error"},
		"text is repeated, as one line":                {status: 502, kind: "text/plain", body: "no\nupstream\x1b[31m", says: "it answers 502 Bad Gateway: no upstream [31m"},
		"busy is not an answer":                        {status: 503, kind: "application/json", body: rpc, retry: "7", says: "it answers 503 Service Unavailable: no", wait: 7 * time.Second},
		"too many is neither":                          {status: 429, retry: "1", says: "it answers 429 Too Many Requests", wait: time.Second},
		"accepted is no answer to a request":           {status: 202, says: "it answers 202 Accepted"},
		"a page with 200 is none":                      {status: 200, kind: "text/html", body: "<html>", says: "text/html"},
		"another message is none":                      {status: 200, kind: "application/json", body: hint, err: remote.ErrInterrupted, want: []string{hint}},
		"an empty stream is an interruption":           {status: 200, kind: "text/event-stream", err: remote.ErrInterrupted},
		"a stream without the answer is one":           {status: 200, kind: "text/event-stream", body: event(hint), err: remote.ErrInterrupted, want: []string{hint}},
		"half an event is none":                        {status: 200, kind: "text/event-stream", body: "data: " + answer + "\n", err: remote.ErrInterrupted},
		"a redirect that loses the message is refused": {status: 302, retry: "location:/other", says: "loses the message"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, session(func(w http.ResponseWriter, _ *http.Request) {
				if tc.kind != "" {
					w.Header().Set("Content-Type", tc.kind)
				}
				if location, ok := strings.CutPrefix(tc.retry, "location:"); ok {
					w.Header().Set("Location", location)
				} else if tc.retry != "" {
					w.Header().Set("Retry-After", tc.retry)
				}
				w.WriteHeader(tc.status)
				_, _ = io.WriteString(w, tc.body)
			}))
			r.begin(t)
			got, err := r.request(t, call)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("messages:\n%s", diff)
			}
			switch {
			case tc.err == nil && tc.says == "":
				if err != nil {
					t.Errorf("got %v", err)
				}
			case tc.err != nil:
				if !errors.Is(err, tc.err) {
					t.Errorf("got %v, want %v", err, tc.err)
				}
			case err == nil || !strings.Contains(err.Error(), tc.says) || errors.Is(err, remote.ErrSession):
				t.Errorf("got %v, want one that says %q", err, tc.says)
			}
			if status, ok := errors.AsType[*remote.StatusError](err); tc.wait > 0 && (!ok || status.RetryAfter != tc.wait) {
				t.Errorf("wait %v", err)
			}
		})
	}
}

func TestARefusedTokenIsReplacedOnce(t *testing.T) {
	t.Parallel()
	for name, challenge := range map[string]struct {
		status int
		header string
	}{
		"unauthorized":       {401, ""},
		"insufficient scope": {403, `Bearer error="insufficient_scope", scope="more"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, func(w http.ResponseWriter, req *http.Request) {
				if req.Header.Get("Authorization") != "Bearer fresh" {
					w.Header().Set("WWW-Authenticate", challenge.header)
					w.WriteHeader(challenge.status)
					return
				}
				reply(w, http.StatusOK, result)
			})
			r.auth.list = []string{"stale", "fresh"}
			if got, err := r.request(t, modern); err != nil || len(got) != 1 {
				t.Errorf("%v, %v", got, err)
			}
			if _, bodies := r.requests(); len(bodies) != 2 || bodies[1] != modern {
				t.Errorf("bodies %q", bodies)
			}
		})
	}
}

func TestARefusalWithoutAnotherTokenIsTheAuthorizersError(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
	if _, err := r.request(t, modern); !errors.Is(err, errSignIn) {
		t.Errorf("got %v", err)
	}
	r.auth.list = []string{"a", "b", "c", "d", "e"}
	_, err := r.request(t, modern)
	if status, ok := errors.AsType[*remote.StatusError](err); !ok || status.Status != http.StatusUnauthorized {
		t.Errorf("a server that refuses every token: %v", err)
	}
	if requests, _ := r.requests(); len(requests) != 4 {
		t.Errorf("%d requests, want 4", len(requests))
	}
}

func TestATokenGoesToNobodyElse(t *testing.T) {
	t.Parallel()
	var leaked atomic.Bool
	thief := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { leaked.Store(true) }))
	t.Cleanup(thief.Close)
	for _, status := range []int{301, 302, 303, 307, 308} {
		r := newRig(t, func(w http.ResponseWriter, req *http.Request) {
			http.Redirect(w, req, thief.URL+"/mcp", status)
		})
		_, err := r.request(t, modern)
		if err == nil || !strings.Contains(err.Error(), "has moved to "+thief.URL) {
			t.Errorf("%d: got %v", status, err)
		}
	}
	if leaked.Load() {
		t.Error("somebody else was asked")
	}
}

func TestARedirectWithinTheServerKeepsTheMessage(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/mcp" {
			http.Redirect(w, req, "/mcp/", http.StatusPermanentRedirect)
			return
		}
		reply(w, http.StatusOK, result)
	})
	got, err := r.request(t, modern)
	requests, bodies := r.requests()
	if err != nil || len(got) != 1 || len(bodies) != 2 || bodies[1] != modern || requests[1].Header.Get("Authorization") == "" {
		t.Errorf("%v, %v, %q", got, err, bodies)
	}
}

func TestUnreachableIsToldFromInterrupted(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_ = conn.Close() // the request was read, and nobody knows what became of it
		}
	})
	if _, err := r.request(t, modern); !errors.Is(err, remote.ErrInterrupted) {
		t.Errorf("a cut connection: %v, want ErrInterrupted", err)
	}
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	conn := remote.New(remote.Config{URL: gone.URL, HTTP: gone.Client(), Auth: &tokens{}})
	err := conn.Request(t.Context(), parse(t, modern), []byte(modern), remote.Options{}, func([]byte) bool { return true })
	if _, ok := errors.AsType[*remote.UnreachableError](err); !ok || !strings.Contains(err.Error(), "refused") {
		t.Errorf("nobody there: %v, want an UnreachableError", err)
	}
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(secure.Close)
	conn = remote.New(remote.Config{URL: secure.URL, HTTP: &http.Client{Transport: &http.Transport{}}, Auth: &tokens{}})
	err = conn.Request(t.Context(), parse(t, modern), []byte(modern), remote.Options{}, func([]byte) bool { return true })
	if _, ok := errors.AsType[*remote.UnreachableError](err); !ok || !strings.Contains(err.Error(), "--ca-cert") {
		t.Errorf("unknown certificate: %v, want an UnreachableError with the next step", err)
	}
}

func TestSentIsSaidAndCancellationEndsAModernCall(t *testing.T) {
	t.Parallel()
	arrived, ended := make(chan struct{}), make(chan struct{})
	r := newRig(t, func(w http.ResponseWriter, req *http.Request) {
		stream(w)
		close(arrived)
		<-req.Context().Done()
		close(ended)
	})
	ctx, cancel := context.WithCancel(t.Context())
	sent := make(chan struct{})
	go func() {
		<-sent
		<-arrived // a request that is cut before is none
		cancel()
	}()
	err := r.Request(ctx, parse(t, modern), []byte(modern), remote.Options{Sent: func() { close(sent) }}, func([]byte) bool { return true })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	<-ended
}

func TestNotify(t *testing.T) {
	t.Parallel()
	status := atomic.Int64{}
	r := newRig(t, session(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(int(status.Load())) }))
	r.begin(t)
	for code, ok := range map[int]bool{200: true, 202: true, 204: true, 400: false, 404: false, 500: false} {
		status.Store(int64(code))
		err := r.Notify(t.Context(), parse(t, hint), []byte(hint))
		if (err == nil) != ok || (code == 404) != errors.Is(err, remote.ErrSession) {
			t.Errorf("%d: %v", code, err)
		}
	}
	requests, bodies := r.requests()
	if bodies[1] != hint || requests[1].Header.Get("Mcp-Session-Id") != "s1" || requests[1].Header.Get("Content-Type") != "application/json" {
		t.Errorf("%q %v", bodies[1], requests[1].Header)
	}
}

func TestCloseEndsTheSession(t *testing.T) {
	t.Parallel()
	for status, ok := range map[int]bool{200: true, 204: true, 404: true, 405: true, 500: false} {
		r := newRig(t, session(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		r.begin(t)
		if err := r.Close(t.Context()); (err == nil) != ok {
			t.Errorf("%d: %v", status, err)
		}
		if err := r.Close(t.Context()); err != nil {
			t.Errorf("again: %v", err)
		}
		requests, _ := r.requests()
		if len(requests) != 2 || requests[1].Method != http.MethodDelete || requests[1].Header.Get("Mcp-Session-Id") != "s1" {
			t.Errorf("%d: %d requests", status, len(requests))
		}
	}
	r := newRig(t, func(w http.ResponseWriter, _ *http.Request) { reply(w, 200, welcome) })
	r.begin(t) // without a session id there is nothing to end
	if err := r.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if requests, _ := r.requests(); len(requests) != 1 {
		t.Errorf("%d requests", len(requests))
	}
}

func TestANewSessionForgetsTheOld(t *testing.T) {
	t.Parallel()
	r := newRig(t, session(func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, answer) }))
	r.begin(t)
	r.begin(t)
	requests, _ := r.requests()
	if h := requests[1].Header; h.Get("Mcp-Session-Id") != "" || h.Get("Mcp-Protocol-Version") != "" {
		t.Errorf("the second initialize has %v", h)
	}
}

func TestInitializeRefusedIsHeard(t *testing.T) {
	t.Parallel()
	unsupported := `{"jsonrpc":"2.0","id":0,"error":{"code":-32022,"message":"v","data":{"supported":["2026-07-28"]}}}`
	plain := `{"jsonrpc":"2.0","id":0,"error":{"code":-32600,"message":"no"}}`
	for name, tc := range map[string]struct {
		status int
		body   string
		gets   int
	}{
		"by a modern server":           {400, unsupported, 0},
		"by one that may be of before": {400, plain, 1},
		"by one that says not found":   {404, plain, 1},
		"with success":                 {200, plain, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, func(w http.ResponseWriter, req *http.Request) {
				if req.Method == http.MethodGet {
					w.WriteHeader(http.StatusMethodNotAllowed)
					return
				}
				reply(w, tc.status, tc.body)
			})
			var in inbox
			err := r.Initialize(t.Context(), parse(t, initialize), []byte(initialize), in.receive)
			if diff := cmp.Diff([]string{tc.body}, in.messages()); err != nil || diff != "" {
				t.Errorf("%v\n%s", err, diff)
			}
			if requests, _ := r.requests(); len(requests) != 1+tc.gets {
				t.Errorf("%d requests", len(requests))
			}
		})
	}
}

func TestManyCallsAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t, session(func(w http.ResponseWriter, _ *http.Request) { stream(w)(event(answer)) }))
	r.begin(t)
	var group sync.WaitGroup
	for range 64 {
		group.Go(func() {
			var in inbox
			err := r.Request(t.Context(), parse(t, call), []byte(call), remote.Options{}, in.receive)
			if diff := cmp.Diff([]string{answer}, in.messages()); err != nil || diff != "" {
				t.Errorf("%v\n%s", err, diff)
			}
		})
	}
	group.Wait()
}

// A call that the server took on must not look like one that can be repeated,
// whatever becomes of its stream.
func TestAFailedInitializeLeavesTheSession(t *testing.T) {
	t.Parallel()
	r := newRig(t, session(func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("Mcp-Session-Id") != "s1" {
			t.Errorf("a call without its session")
		}
		reply(w, http.StatusOK, answer)
	}))
	r.begin(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Initialize(ctx, parse(t, initialize), []byte(initialize), func([]byte) bool { return true }); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, err := r.request(t, call); err != nil {
		t.Error(err)
	}
}
