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
