package relay

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mcp-gateway/bridge/internal/oauth"
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

func TestSignedOutInitializeIsAnsweredAtOnce(t *testing.T) {
	with(t, signedOut, func(t *testing.T, d *desk) {
		d.send(initialize)
		d.expectPart(`"id":0`, `"protocolVersion":"2025-11-25"`, `"listChanged":true`)
		d.took(0, 100*time.Millisecond)
		synctest.Wait()
		if d.auth.windows() != 1 {
			t.Errorf("%d sign-ins, want 1", d.auth.windows())
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

func TestToolsListWaitsThenListsSignIn(t *testing.T) {
	with(t, signedOut, func(t *testing.T, d *desk) {
		d.send(initialize)
		d.expectPart(`"id":0`)
		d.send(greeting)
		d.began = time.Now()
		d.send(listTools)
		d.expectPart(`"id":1`, `"name":"sign_in"`, signInPage)
		d.took(20*time.Second, 20*time.Second)
		d.remote.set(nil)
		d.auth.end <- nil
		d.expect(`{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`)
		d.send(strings.Replace(listTools, `"id":1`, `"id":2`, 1))
		d.expectPart(`"id":2`, `math_add`)
		if d.auth.windows() != 1 {
			t.Errorf("%d sign-ins, want 1", d.auth.windows())
		}
	})
}

func TestASignInWithinTheWaitNeedsNoStandIn(t *testing.T) {
	with(t, signedOut, func(t *testing.T, d *desk) {
		d.send(initialize)
		d.expectPart(`"id":0`)
		d.send(greeting)
		d.send(listTools)
		d.send(`{"jsonrpc":"2.0","id":"c","method":"tools/call","params":{"name":"math_add"}}`)
		time.Sleep(5 * time.Second)
		d.remote.set(nil)
		d.auth.end <- nil
		d.expectPart(`"result"`)
		d.expectPart(`"result"`)
		d.silent() // nothing stood in, so nothing has changed
	})
}

func TestCallsWaitThenFailWithTheAddress(t *testing.T) {
	with(t, signedOut, func(t *testing.T, d *desk) {
		d.send(initialize)
		d.expectPart(`"id":0`)
		d.began = time.Now()
		d.send(`{"jsonrpc":"2.0","id":"c","method":"tools/call","params":{"name":"math_add","_meta":{"progressToken":7}}}`)
		last := -100.0
		for range 9 {
			d.expectPart(`"notifications/progress"`, `"progressToken":7`, `"progress":-`, signInPage)
		}
		_ = last
		line := d.next()
		if strings.Contains(line, "progress") {
			line = d.next()
		}
		if !strings.Contains(line, `"id":"c","error":{"code":-32001`) || !strings.Contains(line, `"data":{"url":"`+signInPage) {
			t.Errorf("got %s", line)
		}
		d.took(50*time.Second, 50*time.Second)
	})
}

func TestOtherListsStandInEmpty(t *testing.T) {
	with(t, signedOut, func(t *testing.T, d *desk) {
		d.send(initialize)
		d.expectPart(`"id":0`)
		d.send(greeting)
		d.send(`{"jsonrpc":"2.0","id":2,"method":"prompts/list"}`)
		d.expect(`{"jsonrpc":"2.0","id":2,"result":{"prompts":[]}}`)
		d.send(`{"jsonrpc":"2.0","id":3,"method":"resources/templates/list"}`)
		d.expect(`{"jsonrpc":"2.0","id":3,"result":{"resourceTemplates":[]}}`)
		d.send(`{"jsonrpc":"2.0","id":4,"method":"ping"}`)
		d.expect(`{"jsonrpc":"2.0","id":4,"result":{}}`)
		d.remote.set(nil)
		d.auth.end <- nil
		d.expect(`{"jsonrpc":"2.0","method":"notifications/prompts/list_changed"}`)
		d.expect(`{"jsonrpc":"2.0","method":"notifications/resources/list_changed"}`)
		// The host was told of prompts that this server does not have.
		d.send(`{"jsonrpc":"2.0","id":5,"method":"prompts/list"}`)
		d.expect(`{"jsonrpc":"2.0","id":5,"result":{"prompts":[]}}`)
		if d.remote.asked("prompts/list") != 0 {
			t.Error("the server was asked for what it does not have")
		}
	})
}

func TestSomebodyElsesSignInIsFound(t *testing.T) {
	with(t, signedOut, func(t *testing.T, d *desk) {
		d.send(initialize)
		d.expectPart(`"id":0`)
		d.send(greeting)
		d.auth.end <- errors.New("denied")
		d.send(listTools)
		d.expectPart(`"sign_in"`, "denied")
		d.remote.set(nil)
		d.auth.set("token") // mcp-bridge login in a terminal
		d.expect(`{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`)
		if d.auth.windows() != 1 {
			t.Errorf("%d windows, want 1", d.auth.windows())
		}
	})
}

func TestADeniedSignInIsNotAskedAgainForAMinute(t *testing.T) {
	call := `{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{"name":"math_add"}}`
	with(t, signedOut, func(t *testing.T, d *desk) {
		d.send(initialize)
		d.expectPart(`"id":0`)
		d.auth.end <- errors.New("the person declined")
		d.began = time.Now()
		d.send(call)
		d.expectPart(`"code":-32001`, "the person declined", "sign_in")
		d.took(0, 0)
		if d.auth.windows() != 1 {
			t.Errorf("%d windows at once, want 1", d.auth.windows())
		}
		time.Sleep(2 * time.Minute)
		d.send(call)
		synctest.Wait()
		if d.auth.windows() != 2 {
			t.Errorf("%d windows after two minutes and a call, want 2", d.auth.windows())
		}
		d.remote.set(nil)
		d.auth.end <- nil
		d.expectPart(`"id":9`, `"result"`)
	})
}

func TestTheSignInToolAsksAtOnce(t *testing.T) {
	call := `{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{"name":"sign_in","arguments":{}}}`
	with(t, signedOut, func(t *testing.T, d *desk) {
		d.send(initialize)
		d.expectPart(`"id":0`)
		d.send(greeting)
		d.auth.end <- errors.New("the person declined")
		d.send(listTools)
		d.expectPart(`"sign_in"`)
		d.send(call)
		synctest.Wait()
		if d.auth.windows() != 2 {
			t.Fatalf("%d windows, want 2", d.auth.windows())
		}
		d.remote.set(nil)
		d.auth.end <- nil
		var lines []string
		for range 2 {
			lines = append(lines, d.next())
		}
		all := strings.Join(lines, "\n")
		if !strings.Contains(all, "tools/list_changed") || !strings.Contains(all, "you are signed in") || !strings.Contains(all, `"isError":false`) {
			t.Errorf("got %s", all)
		}
	})
	t.Run("and says where when nobody comes", func(t *testing.T) {
		with(t, signedOut, func(t *testing.T, d *desk) {
			d.send(initialize)
			d.expectPart(`"id":0`)
			d.send(listTools)
			d.expectPart(`"sign_in"`)
			d.send(call)
			d.expectPart(`"id":9`, signInPage, `"isError":true`)
		})
	})
}

func TestAFreshTokenThatIsRefusedIsNotTriedForEver(t *testing.T) {
	with(t, signedOut, func(t *testing.T, d *desk) {
		d.send(initialize)
		d.expectPart(`"id":0`)
		d.auth.end <- nil // the server goes on refusing
		d.send(`{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{"name":"math_add"}}`)
		d.expectPart(`"id":9`, `"code":-32001`)
		synctest.Wait()
		if n := d.remote.asked("initialize"); n > 5 {
			t.Errorf("the server was asked %d times", n)
		}
		if d.auth.windows() > 2 {
			t.Errorf("%d windows", d.auth.windows())
		}
	})
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

func TestALockedKeychainIsSaidAndOpensNoBrowser(t *testing.T) {
	locked := errors.New("token store locked: unlock the keychain")
	with(t, func(d *desk) { d.remote.err = locked }, func(t *testing.T, d *desk) {
		d.send(initialize)
		d.expectPart(`"id":0`)
		d.send(`{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{"name":"x"}}`)
		d.expectPart(`"id":9`, "unlock the keychain")
		if d.auth.windows() != 0 || errors.Is(locked, oauth.ErrSignIn) {
			t.Error("a browser was opened")
		}
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
