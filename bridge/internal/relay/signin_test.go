package relay

import (
	"context"
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
