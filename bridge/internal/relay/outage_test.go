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

func TestAServerThatIsDownIsTriedUntilItAnswers(t *testing.T) {
	with(t, down, func(t *testing.T, d *desk) {
		d.send(initialize)
		d.expectPart(`"id":0`)
		d.took(0, 100*time.Millisecond)
		d.send(greeting)
		d.send(listTools)
		d.expectPart(`"connection_status"`, "connection refused")
		d.took(19*time.Second, 20*time.Second)
		time.Sleep(time.Hour)
		d.silent()
		if n := d.remote.asked("initialize"); n < 50 || n > 200 {
			t.Errorf("%d attempts in an hour", n)
		}
		d.remote.set(nil)
		d.began = time.Now()
		d.expect(`{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`)
		d.took(0, 75*time.Second)
		d.send(listTools)
		d.expect(realTools)
	})
}

func TestACallOutlastsAShortOutage(t *testing.T) {
	with(t, signedIn, func(t *testing.T, d *desk) {
		d.open()
		d.remote.set(errDown)
		d.send(`{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{"name":"x"}}`)
		time.Sleep(3 * time.Second)
		d.silent()
		d.remote.set(nil)
		d.expectPart(`"id":9`, `"result"`)
		d.took(3*time.Second, 6*time.Second)
		d.remote.set(errDown)
		d.send(`{"jsonrpc":"2.0","id":10,"method":"tools/call","params":{"name":"x"}}`)
		d.expectPart(`"id":10`, `"code":-32001`, "connection refused")
		d.took(15*time.Second, 20*time.Second)
	})
}

func TestARestartedServerGetsANewSessionAndTheCallOnce(t *testing.T) {
	with(t, signedIn, func(t *testing.T, d *desk) {
		d.open()
		d.send(`{"jsonrpc":"2.0","id":5,"method":"logging/setLevel","params":{"level":"debug"}}`)
		d.expectPart(`"id":5`)
		d.send(`{"jsonrpc":"2.0","id":6,"method":"resources/subscribe","params":{"uri":"a:b"}}`)
		d.expectPart(`"id":6`)
		refused := false
		d.remote.answer = func(_ context.Context, m wire.Message, receive remote.Receive) error {
			switch {
			case m.Method == "initialize":
				receive([]byte(welcome))
			case m.Method == "tools/call" && !refused:
				refused = true
				return remote.ErrSession
			default:
				receive(wire.AppendResult(nil, m.ID, []byte(`{}`)))
			}
			return nil
		}
		d.send(`{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{"name":"x"}}`)
		var lines strings.Builder
		for range 2 {
			lines.WriteString(d.next())
		}
		if !strings.Contains(lines.String(), `{"jsonrpc":"2.0","id":9,"result":{}}`) || !strings.Contains(lines.String(), "notifications/tools/list_changed") {
			t.Errorf("got %s", lines.String())
		}
		d.silent()
		for entry, want := range map[string]int{
			"initialize": 2, "notifications/initialized": 2, "logging/setLevel": 2, "resources/subscribe": 2, "tools/call": 2, "listen": 2,
		} {
			if got := d.remote.asked(entry); got != want {
				t.Errorf("%s: %d times, want %d", entry, got, want)
			}
		}
	})
}

func TestALostStreamRenewsTheSession(t *testing.T) {
	with(t, signedIn, func(t *testing.T, d *desk) {
		d.open()
		d.remote.lost <- remote.ErrSession
		d.expect(`{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`)
		if d.remote.asked("initialize") != 2 {
			t.Errorf("%q", d.remote.log)
		}
	})
}

func TestAServerThatAlwaysForgetsIsNotAskedForEver(t *testing.T) {
	with(t, signedIn, func(t *testing.T, d *desk) {
		d.open()
		d.remote.answer = func(_ context.Context, m wire.Message, receive remote.Receive) error {
			if m.Method == "initialize" {
				receive([]byte(welcome))
				return nil
			}
			return remote.ErrSession
		}
		d.send(`{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{"name":"x"}}`)
		for !strings.Contains(d.next(), `"id":9,"error":{"code":-32001`) {
		}
		if n := d.remote.asked("tools/call"); n != 2 {
			t.Errorf("%d attempts, want 2", n)
		}
	})
}

func TestAnInterruptedCallIsNotRepeated(t *testing.T) {
	with(t, signedIn, func(t *testing.T, d *desk) {
		d.open()
		for name, err := range map[string]error{"interrupted": remote.ErrInterrupted, "no answer": nil, "gateway timeout": &remote.StatusError{Status: 504}} {
			d.remote.answer = func(context.Context, wire.Message, remote.Receive) error { return err }
			before := d.remote.asked("tools/call")
			d.send(`{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{"name":"x"}}`)
			d.expectPart(`"id":9`, `"code":-32001`)
			if n := d.remote.asked("tools/call"); n != before+1 {
				t.Errorf("%s: %d attempts", name, n-before)
			}
		}
	})
}

func TestABusyServerIsAskedAgain(t *testing.T) {
	with(t, signedIn, func(t *testing.T, d *desk) {
		d.open()
		d.remote.set(&remote.StatusError{Status: 503, RetryAfter: 3 * time.Second})
		d.send(listTools)
		time.Sleep(time.Second)
		d.remote.set(nil)
		d.expect(realTools)
		d.took(3*time.Second, 3*time.Second)
	})
}

func TestAForbiddenCallFailsAtOnce(t *testing.T) {
	with(t, signedIn, func(t *testing.T, d *desk) {
		d.open()
		d.remote.set(&remote.StatusError{Status: 403})
		d.send(listTools)
		d.expectPart(`"id":1`, `"code":-32001`)
		d.took(0, 0)
	})
}
