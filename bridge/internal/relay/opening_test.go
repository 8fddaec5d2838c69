package relay

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mcp-gateway/bridge/internal/remote"
	"mcp-gateway/shared/wire"
)

func TestALateDiscoverIsRemembered(t *testing.T) {
	with(t, signedIn, func(t *testing.T, d *desk) {
		d.remote.answer = func(_ context.Context, m wire.Message, receive remote.Receive) error {
			time.Sleep(3 * time.Second)
			receive(wire.AppendResult(nil, m.ID, []byte(`{"supportedVersions":["2026-07-28"]}`)))
			return nil
		}
		d.send(discover)
		d.expectPart(`"code":-32601`)
		time.Sleep(2 * time.Second)
		d.silent()
		if !strings.Contains(string(d.kept), "2026-07-28") {
			t.Errorf("kept %s", d.kept)
		}
	})
}

func TestASecondInitializeOpensItsOwnSession(t *testing.T) {
	second := strings.Replace(strings.Replace(initialize, `"id":0`, `"id":1`, 1), "2025-11-25", "2025-06-18", 1)
	with(t, signedIn, func(t *testing.T, d *desk) {
		var versions []string
		d.remote.answer = func(_ context.Context, m wire.Message, receive remote.Receive) error {
			value, _ := wire.Member(m.Params, "protocolVersion")
			versions = append(versions, string(value))
			time.Sleep(time.Second)
			receive(wire.AppendResult(nil, m.ID, []byte(`{"protocolVersion":`+string(value)+`,"capabilities":{"tools":{}}}`)))
			return nil
		}
		d.send(initialize)
		synctest.Wait()
		d.send(second) // while the first is on its way
		d.expectPart(`"id":0`)
		d.expectPart(`"id":1`)
		d.send(greeting)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if got := strings.Join(versions, " "); got != `"2025-11-25" "2025-06-18"` {
			t.Errorf("sessions of %s", got)
		}
	})
	t.Run("without what the first had set", func(t *testing.T) {
		with(t, signedIn, func(t *testing.T, d *desk) {
			d.open()
			d.send(`{"jsonrpc":"2.0","id":5,"method":"resources/subscribe","params":{"uri":"a:b"}}`)
			d.expectPart(`"id":5`)
			d.remote.answer = slowly(0)
			d.send(initialize)
			d.expect(welcome)
			d.send(greeting)
			time.Sleep(10 * time.Second)
			if n := d.remote.asked("resources/subscribe"); n != 1 {
				t.Errorf("subscribed %d times, want 1", n)
			}
		})
	})
}
