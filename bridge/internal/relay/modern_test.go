package relay

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mcp-gateway/bridge/internal/oauth"
	"mcp-gateway/bridge/internal/remote"
	"mcp-gateway/shared/wire"
)

func TestCancellationModern(t *testing.T) {
	with(t, signedIn, func(t *testing.T, d *desk) {
		cut := make(chan struct{})
		d.remote.answer = func(ctx context.Context, _ wire.Message, _ remote.Receive) error {
			<-ctx.Done()
			close(cut)
			return ctx.Err()
		}
		d.send(`{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{"name":"x",` + modernMeta + `}}`)
		synctest.Wait()
		d.send(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":9}}`)
		<-cut
		d.took(0, 0)
		d.silent()
		if d.remote.asked("notifications/cancelled") != 0 || d.remote.asked("initialize") != 0 {
			t.Errorf("posted: %q", d.remote.log)
		}
	})
}

func TestDiscover(t *testing.T) {
	found := `{"jsonrpc":"2.0","id":0,"result":{"supportedVersions":["2026-07-28"],"resultType":"complete"}}`
	answering := func(d *desk) {
		d.remote.answer = func(_ context.Context, _ wire.Message, receive remote.Receive) error {
			receive([]byte(found))
			return nil
		}
	}
	var kept []byte
	t.Run("passes", func(t *testing.T) {
		with(t, func(d *desk) { signedIn(d); answering(d) }, func(t *testing.T, d *desk) {
			d.send(discover)
			d.expect(found)
			d.took(0, 0)
			synctest.Wait()
			kept = d.remembered()
		})
	})
	t.Run("is remembered", func(t *testing.T) {
		with(t, func(d *desk) { signedOut(d); d.kept = kept }, func(t *testing.T, d *desk) {
			d.send(discover)
			d.expect(found)
			d.took(0, 100*time.Millisecond)
		})
	})
	t.Run("without a memory leads to initialize after two seconds", func(t *testing.T) {
		with(t, signedOut, func(t *testing.T, d *desk) {
			d.send(discover)
			d.expectPart(`"id":0,"error":{"code":-32601`)
			d.took(2*time.Second, 2*time.Second)
			d.send(strings.Replace(initialize, `"id":0`, `"id":1`, 1))
			d.expectPart(`"id":1,"result"`)
			d.took(0, 100*time.Millisecond)
			synctest.Wait()
			if d.auth.windows() != 1 {
				t.Errorf("%d windows, want 1", d.auth.windows())
			}
		})
	})
	t.Run("of a server that is known to be of before leads there at once", func(t *testing.T) {
		legacy := func(d *desk) {
			signedOut(d)
			d.kept = []byte(`{"initialize":{"2025-11-25":{"capabilities":{}}}}`)
		}
		with(t, legacy, func(t *testing.T, d *desk) {
			d.send(discover)
			d.expectPart(`"code":-32601`)
			d.took(0, 100*time.Millisecond)
		})
	})
	t.Run("refused by status leads to initialize", func(t *testing.T) {
		for _, status := range []int{400, 404, 405, 406, 415} {
			with(t, func(d *desk) { signedIn(d); d.remote.err = &remote.StatusError{Status: status} }, func(t *testing.T, d *desk) {
				d.send(discover)
				d.expectPart(`"id":0,"error":{"code":-32601`)
				d.took(0, 0)
			})
		}
	})
	t.Run("forbidden does not", func(t *testing.T) {
		with(t, func(d *desk) { signedIn(d); d.remote.err = &remote.StatusError{Status: 403} }, func(t *testing.T, d *desk) {
			d.send(discover)
			d.expectPart(`"id":0,"error":{"code":-32001`)
		})
	})
}

func TestModernStandInAndItsEnd(t *testing.T) {
	with(t, signedOut, func(t *testing.T, d *desk) {
		d.send(`{"jsonrpc":"2.0","id":"L","method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true},` + modernMeta + `}}`)
		d.send(`{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{` + modernMeta + `}}`)
		d.expectPart(`"name":"sign_in"`, `"resultType":"complete"`, `"ttlMs":0`, `"cacheScope":"private"`)
		d.remote.answer = func(ctx context.Context, m wire.Message, receive remote.Receive) error {
			receive([]byte(`{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":"L"}}}`))
			<-ctx.Done()
			return ctx.Err()
		}
		time.Sleep(10 * time.Minute)
		d.remote.set(nil)
		d.auth.end <- nil
		d.expectPart("acknowledged")
		d.expect(`{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":"L"}}}`)
	})
}

func TestALostModernStreamIsOpenedAgain(t *testing.T) {
	with(t, signedIn, func(t *testing.T, d *desk) {
		cut := make(chan struct{})
		ack := `{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":"L"}}}`
		d.remote.answer = func(ctx context.Context, _ wire.Message, receive remote.Receive) error {
			receive([]byte(ack))
			select {
			case <-cut:
				return remote.ErrInterrupted
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		d.send(`{"jsonrpc":"2.0","id":"L","method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true,"promptsListChanged":false},` + modernMeta + `}}`)
		d.expect(ack)
		d.silent()
		cut <- struct{}{}
		d.expect(`{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":"L"}}}`)
		d.silent()
		if n := d.remote.asked("subscriptions/listen"); n != 2 {
			t.Errorf("%d streams, want 2", n)
		}
	})
}

func TestALateAnswerIsNotTheOneOfTheNextCall(t *testing.T) {
	with(t, signedIn, func(t *testing.T, d *desk) {
		late := make(chan struct{})
		d.remote.answer = func(_ context.Context, m wire.Message, receive remote.Receive) error {
			if m.Method == "server/discover" {
				<-late
				receive([]byte(`{"jsonrpc":"2.0","id":0,"result":{"supportedVersions":["2026-07-28"]}}`))
				return nil
			}
			receive([]byte(welcome))
			return nil
		}
		d.send(discover)
		d.expectPart(`"id":0`, `-32601`)
		close(late)
		d.send(initialize) // with the same id
		d.expect(welcome)
		d.silent()
		synctest.Wait()
		if kept := d.remembered(); !strings.Contains(string(kept), `"discover"`) {
			t.Errorf("the late answer was not remembered: %s", kept)
		}
	})
}

func TestAModernHostHearsOfALateSignInOnTheStreamThatItHas(t *testing.T) {
	with(t, signedIn, func(t *testing.T, d *desk) {
		d.remote.answer = func(ctx context.Context, m wire.Message, receive remote.Receive) error {
			if m.Method != "subscriptions/listen" {
				receive(wire.AppendResult(nil, m.ID, []byte(`{"tools":[]}`)))
				return nil
			}
			receive([]byte(`{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{}}`))
			<-ctx.Done()
			return ctx.Err()
		}
		d.send(`{"jsonrpc":"2.0","id":"L","method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true},` + modernMeta + `}}`)
		d.expectPart("acknowledged")
		d.remote.set(fmt.Errorf("post: %w", oauth.ErrSignIn)) // the token has died meanwhile
		d.auth.set("")
		d.send(`{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{` + modernMeta + `}}`)
		d.expectPart(`"id":1`, `"sign_in"`)
		d.remote.set(nil)
		d.auth.end <- nil
		d.expect(`{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":"L"}}}`)
	})
}
