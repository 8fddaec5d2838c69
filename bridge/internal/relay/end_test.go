package relay

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"mcp-gateway/bridge/internal/host"
	"mcp-gateway/bridge/internal/remote"
	"mcp-gateway/shared/wire"
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

func TestCancellationLegacy(t *testing.T) {
	cancelled := `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":9}}`
	call := `{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{"name":"x"}}`
	with(t, signedIn, func(t *testing.T, d *desk) {
		d.open()
		stream := make(chan struct{})
		d.remote.answer = func(ctx context.Context, m wire.Message, receive remote.Receive) error {
			<-ctx.Done()
			close(stream)
			receive(wire.AppendResult(nil, m.ID, []byte(`{}`)))
			return ctx.Err()
		}
		d.send(call)
		synctest.Wait()
		d.send(cancelled)
		synctest.Wait()
		if d.remote.asked("notifications/cancelled") != 1 {
			t.Fatalf("the server was not told: %q", d.remote.log)
		}
		select {
		case <-stream:
			t.Error("the stream was cut though that is no cancellation in this era")
		default:
		}
		<-stream
		d.took(cancelGrace, cancelGrace)
		d.silent()
	})
	t.Run("of a call that waits", func(t *testing.T) {
		with(t, signedOut, func(t *testing.T, d *desk) {
			d.send(initialize)
			d.expectPart(`"id":0`)
			d.send(call)
			synctest.Wait()
			d.send(cancelled)
			time.Sleep(time.Minute)
			d.silent()
			if d.remote.asked("notifications/cancelled") != 0 {
				t.Error("the server was told of a call that it never had")
			}
		})
	})
	t.Run("of what is unknown", func(t *testing.T) {
		with(t, signedIn, func(t *testing.T, d *desk) {
			d.open()
			for _, line := range []string{cancelled, `{"jsonrpc":"2.0","method":"notifications/cancelled"}`, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":0}}`} {
				d.send(line)
			}
			d.silent()
		})
	})
}

func TestTheEndOfTheHostEndsTheBridge(t *testing.T) {
	with(t, signedIn, func(t *testing.T, d *desk) {
		d.open()
		d.remote.answer = func(_ context.Context, m wire.Message, receive remote.Receive) error {
			time.Sleep(4 * time.Second)
			receive(wire.AppendResult(nil, m.ID, []byte(`{}`)))
			return nil
		}
		d.send(`{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{"name":"x"}}`)
		synctest.Wait()
		_ = d.in.Close()
		d.expect(`{"jsonrpc":"2.0","id":9,"result":{}}`)
		if err := <-d.ended; err != nil {
			t.Error(err)
		}
		d.took(4*time.Second, 4*time.Second)
	})
	t.Run("after five seconds at most", func(t *testing.T) {
		with(t, signedIn, func(t *testing.T, d *desk) {
			d.open()
			d.remote.answer = func(ctx context.Context, _ wire.Message, _ remote.Receive) error { <-ctx.Done(); return ctx.Err() }
			d.send(`{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{"name":"x"}}`)
			synctest.Wait()
			d.stop() // SIGTERM
			d.expectPart(`"id":9`, "stopping")
			if err := <-d.ended; err != nil {
				t.Error(err)
			}
			d.took(5*time.Second, 5*time.Second)
		})
	})
	t.Run("also of one that has said all at once", func(t *testing.T) {
		with(t, signedIn, func(t *testing.T, d *desk) {
			d.remote.answer = func(_ context.Context, m wire.Message, receive remote.Receive) error {
				time.Sleep(500 * time.Millisecond)
				if m.Method == "initialize" {
					receive([]byte(welcome))
				} else {
					receive([]byte(realTools))
				}
				return nil
			}
			d.send(initialize)
			d.send(greeting)
			d.send(listTools)
			_ = d.in.Close()
			d.expect(welcome)
			d.expect(realTools)
			if err := <-d.ended; err != nil {
				t.Error(err)
			}
			d.took(time.Second, time.Second)
		})
	})
	t.Run("at once while somebody would have to sign in", func(t *testing.T) {
		with(t, signedOut, func(t *testing.T, d *desk) {
			d.send(initialize)
			d.expectPart(`"id":0`)
			d.began = time.Now()
			d.send(`{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{"name":"x"}}`)
			synctest.Wait()
			_ = d.in.Close()
			if err := <-d.ended; err != nil {
				t.Error(err)
			}
			d.took(0, 0)
		})
	})
	t.Run("a stream is no call in flight", func(t *testing.T) {
		with(t, signedIn, func(t *testing.T, d *desk) {
			d.remote.answer = func(ctx context.Context, _ wire.Message, _ remote.Receive) error { <-ctx.Done(); return ctx.Err() }
			d.send(`{"jsonrpc":"2.0","id":"L","method":"subscriptions/listen","params":{` + modernMeta + `}}`)
			synctest.Wait()
			_ = d.in.Close()
			if err := <-d.ended; err != nil {
				t.Error(err)
			}
			d.took(0, 0)
		})
	})
}
