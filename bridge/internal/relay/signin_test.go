package relay

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"mcp-gateway/bridge/internal/oauth"
	"mcp-gateway/bridge/internal/remote"
	"mcp-gateway/shared/wire"
)

const listenTools = `{"jsonrpc":"2.0","id":"L","method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true},` + modernMeta + `}}`

func TestAListenThatIsRefusedAgainDoesNotSpin(t *testing.T) {
	with(t, signedIn, func(t *testing.T, d *desk) {
		d.remote.answer = func(ctx context.Context, m wire.Message, _ remote.Receive) error {
			if d.remote.asked(m.Method) > 100 {
				<-ctx.Done() // lets time pass
			}
			return oauth.ErrSignIn
		}
		d.send(listenTools)
		synctest.Wait()
		d.auth.end <- nil // the server goes on refusing
		time.Sleep(30 * time.Second)
		if n := d.remote.asked("subscriptions/listen"); n > 3 {
			t.Errorf("%d requests in 30 seconds", n)
		}
	})
}

func TestASignInThatIsLostInASessionEndsWithListChanged(t *testing.T) {
	with(t, signedIn, func(t *testing.T, d *desk) {
		d.open()
		d.remote.set(oauth.ErrSignIn)
		d.send(listTools)
		d.expectPart(`"id":1`, `"sign_in"`)
		d.took(20*time.Second, 20*time.Second)
		d.remote.set(nil)
		d.auth.end <- nil
		d.expect(`{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`)
		d.send(listTools)
		d.expect(realTools)
		if d.auth.windows() != 1 {
			t.Errorf("%d windows, want 1", d.auth.windows())
		}
	})
	t.Run("also when the session comes before the stand-in is said", func(t *testing.T) {
		with(t, signedOut, func(t *testing.T, d *desk) {
			d.auth.silent = true // no address yet: the stand-in waits for it
			d.send(initialize)
			d.expectPart(`"id":0`)
			d.send(greeting)
			d.send(listTools)
			time.Sleep(21 * time.Second)
			d.remote.set(nil)
			d.auth.end <- nil
			d.expectPart(`"id":1`, `"sign_in"`)
			d.expect(`{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`)
		})
	})
}

func TestNobodyAtTheScreenIsAskedOnce(t *testing.T) {
	for name, outcome := range map[string]error{"declined": errors.New("the person declined"), "refused again": nil} {
		t.Run(name, func(t *testing.T) {
			// The token that is there is one that the server does not take.
			with(t, func(d *desk) { signedIn(d); signedOut(d) }, func(t *testing.T, d *desk) {
				d.send(initialize)
				d.expectPart(`"id":0`)
				synctest.Wait()
				go func() {
					for d.auth.windows() < 20 { // the browser knows the person: it answers by itself
						select {
						case d.auth.end <- outcome:
						case <-t.Context().Done():
							return
						}
					}
				}()
				time.Sleep(time.Hour)
				if n := d.auth.windows(); n != 1 {
					t.Errorf("%d windows in an hour without a call, want 1", n)
				}
				if n := d.remote.asked("initialize"); n > 100 && outcome == nil {
					t.Errorf("%d attempts in an hour", n)
				}
				d.send(callX)
				synctest.Wait()
				if n := d.auth.windows(); n != 2 {
					t.Errorf("%d windows after a call, want 2", n)
				}
				d.remote.set(nil)
				d.expectPart(`"id":9`)
			})
		})
	}
}
