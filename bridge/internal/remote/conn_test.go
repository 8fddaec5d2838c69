package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"mcp-gateway/shared/wire"
)

// nobody has no token.
type nobody struct{}

func (nobody) Token(context.Context) (string, error) { return "", nil }

func (nobody) Rejected(context.Context, string, int, http.Header) error {
	return errors.New("no sign-in")
}

// dial returns a Conn to a server, in a session.
func dial(t *testing.T, url string, client *http.Client) *Conn {
	t.Helper()
	c := New(Config{URL: url, HTTP: client, Auth: nobody{}, UserAgent: "test", Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
	c.begin(session{id: "s", version: wire.LatestLegacy})
	return c
}

func ignore([]byte) bool { return false }

func TestAServerWithoutGETMayAnswer404(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	if err := dial(t, server.URL, server.Client()).Listen(t.Context(), ignore); err != nil {
		t.Errorf("got %v, want nil: it has not lost the session, it has no stream", err)
	}
}

func TestA404AfterAStreamIsALostSession(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) > 1 {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
	}))
	defer server.Close()
	if err := dial(t, server.URL, server.Client()).Listen(t.Context(), ignore); !errors.Is(err, ErrSession) {
		t.Errorf("got %v, want ErrSession", err)
	}
}

// unplugged cannot reach the authorization server.
type unplugged struct{ nobody }

func (unplugged) Token(context.Context) (string, error) {
	return "", fmt.Errorf("renew: %w", &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("network is unreachable")})
}

const ping = `{"jsonrpc":"2.0","id":1,"method":"ping"}`

// ask asks c and returns the error.
func ask(t *testing.T, c *Conn) error {
	t.Helper()
	m, err := wire.Parse([]byte(ping))
	if err != nil {
		t.Fatal(err)
	}
	return c.Request(t.Context(), m, []byte(ping), Options{}, func([]byte) bool { return true })
}

func TestATokenThatCannotBeRenewedOfflineIsAnOutage(t *testing.T) {
	t.Parallel()
	c := dial(t, "http://127.0.0.1:1/mcp", http.DefaultClient)
	c.cfg.Auth = unplugged{}
	err := ask(t, c)
	if _, ok := errors.AsType[*UnreachableError](err); !ok {
		t.Errorf("got %v, want an UnreachableError: nothing was sent", err)
	}
}

// brittle is a connection that can be written to until it is broken.
type brittle struct {
	net.Conn
	broken *atomic.Bool
}

func (b brittle) Write(p []byte) (int, error) {
	if b.broken.Load() {
		return 0, errors.New("broken pipe")
	}
	return b.Conn.Write(p)
}

func TestARequestThatFoundADeadConnectionWasNotSent(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{}}`)
	}))
	defer server.Close()
	var broken atomic.Bool
	transport := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		if broken.Load() {
			return nil, errors.New("connection refused")
		}
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		return brittle{conn, &broken}, err
	}}
	defer transport.CloseIdleConnections()
	c := dial(t, server.URL, &http.Client{Transport: transport})
	if err := ask(t, c); err != nil {
		t.Fatal(err)
	}
	broken.Store(true) // the server is being restarted
	err := ask(t, c)
	if _, ok := errors.AsType[*UnreachableError](err); !ok {
		t.Errorf("got %v, want an UnreachableError: no byte was written", err)
	}
}
