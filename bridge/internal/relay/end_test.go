package relay

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"mcp-gateway/bridge/internal/host"
)

func TestAHostThatDoesNotReadDoesNotKeepTheBridge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, hostOut := io.Pipe()
		hostIn, out := io.Pipe() // nobody reads it
		ctx, cancel := context.WithCancel(t.Context())
		server := &fakeRemote{lost: make(chan error)}
		r := New(Config{
			Host: host.New(in, out), Remote: server, Auth: &fakeAuth{end: make(chan error), token: "token"},
			Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
		})
		ended := make(chan error, 1)
		go func() { ended <- r.Run(ctx) }()
		if _, err := io.WriteString(hostOut, initialize+"\n"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		cancel() // SIGTERM
		select {
		case err := <-ended:
			if err != nil || !server.closed {
				t.Errorf("got %v, session closed: %v", err, server.closed)
			}
		case <-time.After(lastCalls + 2*lastWords):
			t.Error("the bridge has not ended")
		}
		_, _ = hostIn.Close(), in.Close()
		synctest.Wait()
	})
}
