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

func TestSignedInMessagesPassAsTheyAre(t *testing.T) {
	with(t, signedIn, func(t *testing.T, d *desk) {
		d.open()
		d.send(listTools)
		d.expect(realTools)
		d.took(0, 0)
		d.remote.answer = func(_ context.Context, m wire.Message, receive remote.Receive) error {
			receive([]byte(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"p","progress":0.10}}`))
			receive([]byte(`{"jsonrpc":"2.0","id":"s1","method":"roots/list"}`))
			receive([]byte(`{"jsonrpc":"2.0", "id":12345678901234567890,"result":{"x":1e400,"u":"\u00e9"}}`))
			return nil
		}
		d.send(`{"jsonrpc":"2.0","id":12345678901234567890,"method":"tools/call","params":{"name":"x"}}`)
		d.expect(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"p","progress":0.10}}`)
		d.expect(`{"jsonrpc":"2.0","id":"s1","method":"roots/list"}`)
		d.expect(`{"jsonrpc":"2.0", "id":12345678901234567890,"result":{"x":1e400,"u":"\u00e9"}}`)
		d.send(`{"jsonrpc":"2.0","id":"s1","result":{"roots":[]}}`)
		synctest.Wait()
		if d.remote.asked(`response {"jsonrpc":"2.0","id":"s1","result":{"roots":[]}}`) != 1 {
			t.Errorf("the host's response did not arrive: %q", d.remote.log)
		}
		d.remote.hear([]byte(`{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`))
		d.expect(`{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`)
		if got := strings.Join(d.remote.log[:4], " "); got != "initialize notifications/initialized listen tools/list" && got != "initialize notifications/initialized tools/list listen" {
			t.Errorf("order: %s", got)
		}
	})
}

func TestASlowServerIsAnsweredForAfterTwoSeconds(t *testing.T) {
	with(t, signedIn, func(t *testing.T, d *desk) {
		answer := make(chan struct{})
		d.remote.answer = func(_ context.Context, m wire.Message, receive remote.Receive) error {
			<-answer
			receive([]byte(welcome))
			return nil
		}
		d.send(initialize)
		d.expectPart(`"id":0`, `"name":"mcp-bridge"`)
		d.took(2*time.Second, 2*time.Second)
		close(answer)
		d.send(greeting)
		synctest.Wait()
		if d.remote.asked("notifications/initialized") != 1 {
			t.Errorf("the server did not hear of the host: %q", d.remote.log)
		}
	})
}

func TestAServerThatDoesNotAnswerDoesNotDelayInitialize(t *testing.T) {
	with(t, func(*desk) {}, func(t *testing.T, d *desk) {
		d.remote.answer = func(ctx context.Context, _ wire.Message, _ remote.Receive) error { <-ctx.Done(); return ctx.Err() }
		d.send(initialize)
		d.expectPart(`"id":0`, `"result"`)
		d.took(0, 100*time.Millisecond)
	})
}

func TestGenericResultSpeaksARevisionOfTheHost(t *testing.T) {
	for asked, want := range map[string]string{
		"2024-11-05": "2024-11-05", "2025-03-26": "2025-03-26", "2025-06-18": "2025-06-18", "2025-11-25": "2025-11-25",
		"2026-07-28": "2025-11-25", "1999-01-01": "2025-11-25", "": "2025-11-25",
	} {
		t.Run("asked "+asked, func(t *testing.T) {
			with(t, down, func(t *testing.T, d *desk) {
				d.send(strings.Replace(initialize, "2025-11-25", asked, 1))
				d.expectPart(`"protocolVersion":"` + want + `"`)
			})
		})
	}
}

func TestTheLastResultIsRememberedByRevision(t *testing.T) {
	var kept []byte
	t.Run("first", func(t *testing.T) {
		with(t, signedIn, func(t *testing.T, d *desk) { d.open(); d.stop(); synctest.Wait(); kept = d.remembered() })
	})
	remembered := func(d *desk) { signedOut(d); d.kept = kept }
	t.Run("same revision", func(t *testing.T) {
		with(t, remembered, func(t *testing.T, d *desk) {
			d.send(initialize)
			d.expect(`{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{"listChanged":true}},"serverInfo":{"name":"real","version":"9"},"big":9007199254740993}}`)
			d.took(0, 100*time.Millisecond)
		})
	})
	t.Run("another revision", func(t *testing.T) {
		with(t, remembered, func(t *testing.T, d *desk) {
			d.send(strings.Replace(initialize, "2025-11-25", "2025-06-18", 1))
			d.expectPart(`"protocolVersion":"2025-06-18"`, `"name":"mcp-bridge"`)
		})
	})
	t.Run("nonsense", func(t *testing.T) {
		with(t, func(d *desk) { signedOut(d); d.kept = []byte("{broken") }, func(t *testing.T, d *desk) {
			d.send(initialize)
			d.expectPart(`"name":"mcp-bridge"`)
		})
	})
}

func TestAServerThatRefusesInitializeIsHeard(t *testing.T) {
	refusal := `{"jsonrpc":"2.0","id":0,"error":{"code":-32022, "message":"unsupported","data":{"supported":["2026-07-28"]}}}`
	with(t, signedIn, func(t *testing.T, d *desk) {
		d.remote.answer = func(_ context.Context, _ wire.Message, receive remote.Receive) error {
			receive([]byte(refusal))
			return nil
		}
		d.send(initialize)
		d.expect(refusal)
	})
}

func TestWhatIsNoMessageIsRefused(t *testing.T) {
	with(t, signedIn, func(t *testing.T, d *desk) {
		d.open()
		for line, want := range map[string]string{
			`hello`:                              `{"jsonrpc":"2.0","error":{"code":-32700`,
			`[{"jsonrpc":"2.0","method":"x"}]`:   `"code":-32600`,
			`{"jsonrpc":"2.0","id":null}`:        `"code":-32600`,
			`{"jsonrpc":"1.0","id":3}`:           `"id":3,"error":{"code":-32600`,
			`{"jsonrpc":"2.0","id":7,"id":8}`:    `"code":-32600`,
			`{"jsonrpc":"2.0","id":4,"method":}`: `"code":-32700`,
		} {
			d.send(line)
			d.expectPart(want)
		}
	})
}

func TestAnIDInUseIsRefused(t *testing.T) {
	with(t, signedIn, func(t *testing.T, d *desk) {
		d.open()
		release := make(chan struct{})
		d.remote.answer = func(_ context.Context, m wire.Message, receive remote.Receive) error {
			<-release
			receive(wire.AppendResult(nil, m.ID, []byte(`{}`)))
			return nil
		}
		d.send(`{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{}}`)
		synctest.Wait()
		d.send(`{"jsonrpc":"2.0","id":"\u0061","method":"tools/call","params":{}}`)
		d.expectPart(`"code":-32600`)
		close(release)
		d.expect(`{"jsonrpc":"2.0","id":"a","result":{}}`)
		d.silent()
	})
}

func TestAHostMayBeginAnew(t *testing.T) {
	with(t, signedIn, func(t *testing.T, d *desk) {
		d.open()
		d.send(initialize)
		d.expect(welcome)
		d.send(greeting)
		d.expect(`{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`)
		d.send(listTools)
		d.expect(realTools)
		if d.remote.asked("initialize") != 2 {
			t.Errorf("%q", d.remote.log)
		}
	})
	t.Run("while the first is on its way", func(t *testing.T) {
		with(t, signedIn, func(t *testing.T, d *desk) {
			slow := true
			d.remote.answer = func(_ context.Context, m wire.Message, receive remote.Receive) error {
				if slow {
					slow = false
					time.Sleep(time.Second)
				}
				receive(wire.AppendResult(nil, m.ID, []byte(`{"capabilities":{}}`)))
				return nil
			}
			d.send(initialize)
			synctest.Wait() // it is on its way
			d.send(strings.Replace(initialize, `"id":0`, `"id":1`, 1))
			d.expect(`{"jsonrpc":"2.0","id":0,"result":{"capabilities":{}}}`)
			d.expect(`{"jsonrpc":"2.0","id":1,"result":{"capabilities":{}}}`)
		})
	})
}
