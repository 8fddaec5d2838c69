package limit_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"mcp-gateway/gateway/internal/limit"
)

func TestWrapAnswers429InTheWordsOfOAuth(t *testing.T) {
	t.Parallel()
	served := 0
	next := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		served++
		w.WriteHeader(http.StatusNoContent)
	})
	// One token in 1000 s: the clock cannot give another during the test.
	l := limit.NewLimiter(limit.Config{PerMinute: 0.06, Burst: 2})
	h := l.Wrap(next, limit.Addresses{}.Of)
	ask := func(peer string) *http.Response {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/register", nil)
		r.RemoteAddr = peer
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Result()
	}
	for range 2 {
		if got := ask("192.0.2.1:1").StatusCode; got != http.StatusNoContent {
			t.Fatalf("within the burst: got %d", got)
		}
	}
	got := ask("192.0.2.1:2")
	if got.StatusCode != http.StatusTooManyRequests {
		t.Errorf("got %d, want 429", got.StatusCode)
	}
	for name, want := range map[string]string{"Content-Type": "application/json", "Cache-Control": "no-store"} {
		if got := got.Header.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	seconds, err := strconv.Atoi(got.Header.Get("Retry-After"))
	if err != nil || seconds < 900 || seconds > 1000 {
		t.Errorf("Retry-After: got %q, want about 1000", got.Header.Get("Retry-After"))
	}
	body, err := io.ReadAll(got.Body)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"error":"temporarily_unavailable","error_description":"too many requests from this address; try again later"}`
	if string(body) != want {
		t.Errorf("got  %s\nwant %s", body, want)
	}
	if got := ask("192.0.2.2:1").StatusCode; got != http.StatusNoContent {
		t.Errorf("another address: got %d", got)
	}
	if served != 3 {
		t.Errorf("%d requests reached the handler, want 3", served)
	}
}
