package remote_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"mcp-gateway/bridge/internal/remote"
	"mcp-gateway/shared/wire"
)

const (
	initialize = `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}`
	welcome    = `{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-06-18","capabilities":{}}}`
	// call and its answer would not survive a decoder.
	call   = `{"jsonrpc":"2.0", "id":12345678901234567890,"method":"tools/call","params":{"name":"\u00e9cho","arguments":{"n":9007199254740993,"x":1e400}}}`
	answer = `{"jsonrpc":"2.0", "id":12345678901234567890,"result":{"n":9007199254740993,"u":"a\u00e9"},"unknown":1}`
	modern = `{"jsonrpc":"2.0","id":"m","method":"tools/call","params":{"name":"\u00e9cho","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}`
	result = `{"jsonrpc":"2.0","id":"m","result":{}}`
	hint   = `{"jsonrpc":"2.0","method":"notifications/message","params":{}}`
)

var errSignIn = errors.New("sign in")

// tokens is an Authorizer with a list of tokens: a refused one is taken off.
type tokens struct {
	mu       sync.Mutex
	list     []string
	rejected []string
}

func (a *tokens) Token(context.Context) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.list) == 0 {
		return "", nil
	}
	return a.list[0], nil
}

func (a *tokens) Rejected(_ context.Context, used string, status int, _ http.Header) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.rejected = append(a.rejected, fmt.Sprint(used, " ", status))
	if len(a.list) <= 1 {
		return fmt.Errorf("refused: %w", errSignIn)
	}
	a.list = a.list[1:]
	return nil
}

// rig is a Conn to a server that the test writes.
type rig struct {
	*remote.Conn
	url  string
	stop func() // ends the server, and every connection
	auth *tokens

	mu   sync.Mutex
	got  []*http.Request // in order, with the bodies in said
	said []string
}

func newRig(t *testing.T, handler http.HandlerFunc) *rig {
	t.Helper()
	r := &rig{auth: &tokens{list: []string{"secret-token"}}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return // the caller has gone
		}
		r.mu.Lock()
		r.got, r.said = append(r.got, req), append(r.said, string(body))
		r.mu.Unlock()
		handler(w, req)
	}))
	t.Cleanup(server.Close)
	r.url = server.URL + "/mcp"
	r.stop = func() { _ = server.Listener.Close(); go server.CloseClientConnections() }
	r.Conn = remote.New(remote.Config{URL: r.url, HTTP: server.Client(), Auth: r.auth, UserAgent: "test/1", Logger: slog.New(slog.DiscardHandler)})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Second)
		defer cancel()
		_ = r.Close(ctx)
	})
	return r
}

// requests returns what the server got.
func (r *rig) requests() ([]*http.Request, []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.got, r.said
}

// inbox takes messages.
type inbox struct {
	mu   sync.Mutex
	list []string
}

func (b *inbox) receive(message []byte) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.list = append(b.list, string(message))
	m, err := wire.Parse(message)
	return err == nil && m.Kind == wire.KindResponse
}

func (b *inbox) messages() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.list...)
}

func (r *rig) request(t *testing.T, raw string) ([]string, error) {
	t.Helper()
	var in inbox
	err := r.Request(t.Context(), parse(t, raw), []byte(raw), remote.Options{}, in.receive)
	return in.messages(), err
}

// begin opens a session.
func (r *rig) begin(t *testing.T) {
	t.Helper()
	var in inbox
	if err := r.Initialize(t.Context(), parse(t, initialize), []byte(initialize), in.receive); err != nil {
		t.Fatal(err)
	}
}

func parse(t *testing.T, raw string) wire.Message {
	t.Helper()
	m, err := wire.Parse([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// reply answers in JSON.
func reply(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

// stream begins an event stream and returns what writes to it.
func stream(w http.ResponseWriter) func(text string) {
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	w.WriteHeader(http.StatusOK)
	_ = http.NewResponseController(w).Flush()
	return func(text string) {
		_, _ = io.WriteString(w, text)
		_ = http.NewResponseController(w).Flush()
	}
}

func event(message string) string { return "event: message\ndata: " + message + "\n\n" }
