package relay

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"mcp-gateway/bridge/internal/remote"
	"mcp-gateway/shared/wire"
)

const callX = `{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{"name":"x"}}`

// slowly answers like the fake does without an answer, initialize only after d.
func slowly(d time.Duration) func(context.Context, wire.Message, remote.Receive) error {
	return func(_ context.Context, m wire.Message, receive remote.Receive) error {
		if m.Method == "initialize" {
			time.Sleep(d)
			receive([]byte(welcome))
			return nil
		}
		receive(wire.AppendResult(nil, m.ID, []byte(`{}`)))
		return nil
	}
}

func TestALateSignInStillCarriesTheCall(t *testing.T) {
	with(t, signedOut, func(t *testing.T, d *desk) {
		d.send(initialize)
		d.expectPart(`"id":0`)
		d.send(greeting)
		d.send(callX)
		time.Sleep(30 * time.Second)
		d.remote.answer = slowly(500 * time.Millisecond)
		d.remote.set(nil)
		d.auth.end <- nil
		d.expect(`{"jsonrpc":"2.0","id":9,"result":{}}`)
	})
}

func TestAServerThatHangsIsStoodInForAndAnnounced(t *testing.T) {
	with(t, signedIn, func(t *testing.T, d *desk) {
		d.remote.answer = slowly(25 * time.Second)
		d.send(initialize)
		d.expectPart(`"id":0`)
		d.send(listTools)
		d.expectPart(`"id":1`, `"connection_status"`)
		d.took(20*time.Second, 22*time.Second)
		d.send(greeting)
		d.expect(`{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`)
	})
}

func TestSessionsThatAreLostAtOnceAreNotRenewedWithoutRest(t *testing.T) {
	with(t, signedIn, func(t *testing.T, d *desk) {
		d.open()
		for range 20 {
			d.remote.lost <- remote.ErrSession
		}
		d.took(5*time.Minute, time.Hour)
	})
}

func TestAHandshakeThatHangsIsTriedAgain(t *testing.T) {
	with(t, signedIn, func(t *testing.T, d *desk) {
		d.remote.notify = func(ctx context.Context) error {
			if d.remote.asked("initialize") > 1 {
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		}
		d.open()
		time.Sleep(handshakeTime)
		d.send(callX)
		d.expectPart(`"id":9`, `"result"`)
	})
	t.Run("in what is repeated", func(t *testing.T) {
		with(t, signedIn, func(t *testing.T, d *desk) {
			d.open()
			d.send(`{"jsonrpc":"2.0","id":5,"method":"logging/setLevel","params":{"level":"debug"}}`)
			d.expectPart(`"id":5`)
			d.remote.answer = func(ctx context.Context, m wire.Message, receive remote.Receive) error {
				if m.Method == "logging/setLevel" {
					<-ctx.Done()
					return ctx.Err()
				}
				return slowly(0)(ctx, m, receive)
			}
			d.remote.lost <- remote.ErrSession
			time.Sleep(handshakeTime)
			d.send(callX)
			for !strings.Contains(d.next(), `"id":9,"result"`) {
			}
		})
	})
}

func TestTheHostMayGoOnWhileTheBridgeEnds(t *testing.T) {
	for range 50 {
		with(t, signedIn, func(t *testing.T, d *desk) {
			d.open()
			go func() {
				for {
					if _, err := io.WriteString(d.in, `{"jsonrpc":"2.0","method":"notifications/progress"}`+"\n"); err != nil {
						return
					}
				}
			}()
			d.stop() // SIGTERM
			if err := <-d.ended; err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAHandshakeHonoursRetryAfter(t *testing.T) {
	with(t, signedIn, func(t *testing.T, d *desk) {
		d.remote.err = &remote.StatusError{Status: 429, RetryAfter: 15 * time.Second}
		d.send(initialize)
		d.expectPart(`"id":0`)
		d.send(listTools)
		time.Sleep(14 * time.Second)
		if n := d.remote.asked("initialize"); n != 1 {
			t.Errorf("%d attempts in 14 seconds, want 1", n)
		}
		d.remote.set(nil)
		d.expect(realTools)
		d.took(15*time.Second, 20*time.Second)
	})
	t.Run("within reason", func(t *testing.T) {
		with(t, signedIn, func(t *testing.T, d *desk) {
			d.remote.err = &remote.StatusError{Status: 503, RetryAfter: 24 * time.Hour}
			d.send(initialize)
			d.expectPart(`"id":0`)
			time.Sleep(time.Second)
			d.remote.set(nil)
			time.Sleep(2 * lastPause)
			d.send(callX)
			d.expectPart(`"id":9`, `"result"`)
		})
	})
}

func TestAGatewayWithoutItsServerIsAnOutageOfTheHandshake(t *testing.T) {
	for _, status := range []int{502, 503, 504} {
		with(t, signedIn, func(t *testing.T, d *desk) {
			d.remote.err = &remote.StatusError{Status: status}
			d.send(initialize)
			d.expectPart(`"id":0`)
			d.send(greeting)
			d.send(listTools)
			time.Sleep(5 * time.Second)
			d.silent()
			d.remote.set(nil)
			d.expect(realTools)
		})
	}
}
