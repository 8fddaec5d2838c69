package remote

import (
	"context"
	"errors"
	"log/slog"
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
