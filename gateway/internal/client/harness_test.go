package client_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"mcp-gateway/gateway/internal/client"
	"mcp-gateway/gateway/internal/keyring"
	"mcp-gateway/gateway/internal/store"
)

const (
	gatewayURL  = "https://gateway.example"
	documentURL = "https://client.example/oauth/client.json"
	keysURL     = "https://keys.example/jwks.json"
)

// web is every host that clients publish at. It answers by URL, counts, and is
// the RoundTripper of the client that a Directory fetches with.
type web struct {
	mu sync.Mutex // guards below
	// answers by URL; one that is missing is 404.
	answers map[string]func(*http.Request) (*http.Response, error)
	asked   map[string]int
}

func newWeb() *web {
	return &web{answers: make(map[string]func(*http.Request) (*http.Response, error)), asked: make(map[string]int)}
}

// RoundTrip implements http.RoundTripper.
func (w *web) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	w.asked[r.URL.String()]++
	answer := w.answers[r.URL.String()]
	w.mu.Unlock()
	if answer == nil {
		return response(http.StatusNotFound, nil, nil), nil
	}
	resp, err := answer(r)
	if resp != nil {
		resp.Request = r
	}
	return resp, err
}

func (w *web) serve(url string, answer func(*http.Request) (*http.Response, error)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answers[url] = answer
}

// publish serves body as JSON, with the header given as pairs.
func (w *web) publish(url string, body []byte, header ...string) {
	w.serve(url, func(*http.Request) (*http.Response, error) {
		return response(http.StatusOK, body, append([]string{"Content-Type", "application/json"}, header...)), nil
	})
}

// fail lets url answer with a status and nothing else.
func (w *web) fail(url string, status int) {
	w.serve(url, func(*http.Request) (*http.Response, error) { return response(status, nil, nil), nil })
}

var errDown = errors.New("connection refused")

func (w *web) down(url string) {
	w.serve(url, func(*http.Request) (*http.Response, error) { return nil, errDown })
}

// requests is how often url was asked for.
func (w *web) requests(url string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.asked[url]
}

// total is how often anything was asked for.
func (w *web) total() (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, times := range w.asked {
		n += times
	}
	return n
}

func response(status int, body []byte, header []string) *http.Response {
	resp := &http.Response{
		StatusCode: status, Header: make(http.Header), ProtoMajor: 1, ProtoMinor: 1,
		Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
	}
	for i := 0; i < len(header); i += 2 {
		resp.Header.Add(header[i], header[i+1])
	}
	return resp
}

// client is what package netguard makes, without the guard.
func (w *web) client() *http.Client {
	return &http.Client{Transport: w, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// used is a store in memory: the assertions that were used, until they end.
type used struct {
	mu   sync.Mutex // guards below
	ends map[store.Hash]time.Time
	fail error
}

func (u *used) UseAssertion(_ context.Context, hash store.Hash, expiresAt time.Time) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.fail != nil {
		return u.fail
	}
	if _, ok := u.ends[hash]; ok {
		return store.ErrConsumed
	}
	if u.ends == nil {
		u.ends = make(map[store.Hash]time.Time)
	}
	u.ends[hash] = expiresAt
	return nil
}

var everybody = client.Policy{Registration: client.AdmitAll, Documents: client.AdmitAll, PrivateUseRedirects: true}

// directory returns a Directory that reads what w publishes.
func directory(w *web, ring *keyring.Ring, policy client.Policy, registered ...client.Registered) *client.Directory {
	return client.NewDirectory(client.Config{
		Ring: ring, Store: new(used), PublicURL: gatewayURL, HTTP: w.client(), Logger: slog.New(slog.DiscardHandler),
		Registered: registered, Policy: policy,
	})
}

// members of a JSON object; absent takes one out of those that a document has.
type members map[string]any

type absent struct{}

// document is the document of the client at id, changed.
func document(id string, change members) []byte {
	all := members{"client_id": id, "client_name": "Claude", "redirect_uris": []string{"https://client.example/cb"}}
	maps.Copy(all, change)
	maps.DeleteFunc(all, func(_ string, value any) bool { return value == any(absent{}) })
	return mustJSON(all)
}

func mustJSON(value any) []byte {
	data, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return data
}

// The kinds of an error of Resolve and Authenticate: what a caller acts upon.
const (
	fine        = "none"
	unknown     = "unknown"
	forbidden   = "forbidden"
	credentials = "credentials"
	temporary   = "temporary"
)

func kindOf(err error) string {
	switch {
	case err == nil:
		return fine
	case errors.Is(err, client.ErrForbidden):
		return forbidden
	case errors.Is(err, client.ErrUnknown):
		return unknown
	case errors.Is(err, client.ErrCredentials):
		return credentials
	default:
		return temporary
	}
}

// wantError reports an error of another kind, or without the reason.
func wantError(t *testing.T, err error, kind, reason string) {
	t.Helper()
	if got := kindOf(err); got != kind || err != nil && !strings.Contains(err.Error(), reason) {
		t.Errorf("got %s (%v), want %s (... %s ...)", got, err, kind, reason)
	}
}

func mustUnJSON(data []byte, into any) {
	if err := json.Unmarshal(data, into); err != nil {
		panic(err)
	}
}

// ClientDisabled: in this store nobody is.
func (u *used) ClientDisabled(context.Context, string) (bool, error) { return false, nil }
