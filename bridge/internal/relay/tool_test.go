package relay

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
)

// callTool calls a stand-in as a modern host does.
func callTool(name string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":%q,%s}}`, name, modernMeta)
}

func TestTheStatusToolDoesNotSayThatADownServerAnswers(t *testing.T) {
	with(t, down, func(t *testing.T, d *desk) {
		d.send(`{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{` + modernMeta + `}}`)
		d.expectPart(`"connection_status"`)
		d.send(callTool(statusTool))
		d.expectPart(`"id":7`, "connection refused", `"isError":true`)
		d.remote.set(nil)
		d.send(callTool(statusTool))
		d.expectPart(`"id":7`, `"isError":false`)
	})
}

func TestTheSignInToolAsksThoughATokenIsThere(t *testing.T) {
	refused := func(d *desk) { signedIn(d); signedOut(d) } // the server does not take the token
	for name, list := range map[string]string{"legacy": listTools, "modern": `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{` + modernMeta + `}}`} {
		t.Run(name, func(t *testing.T) {
			with(t, refused, func(t *testing.T, d *desk) {
				if name == "legacy" {
					d.send(initialize)
					d.expectPart(`"id":0`)
				}
				d.send(list)
				synctest.Wait()
				d.auth.end <- errors.New("the person declined")
				d.expectPart(`"sign_in"`)
				if name == "legacy" {
					d.send(`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"sign_in"}}`)
				} else {
					d.send(callTool(signInTool))
				}
				synctest.Wait()
				if d.auth.windows() != 2 {
					t.Errorf("%d windows, want 2", d.auth.windows())
				}
				d.expectPart(`"id":7`, signInPage)
			})
		})
	}
}

func TestACancelledStandInIsNotAnswered(t *testing.T) {
	with(t, signedOut, func(t *testing.T, d *desk) {
		d.send(`{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{` + modernMeta + `}}`)
		d.expectPart(`"sign_in"`)
		d.send(callTool(signInTool))
		synctest.Wait()
		d.send(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}`)
		d.silent()
	})
}

// TestACodeIsToldWhereverTheAddressIs, for who signs in on another machine.
func TestACodeIsToldWhereverTheAddressIs(t *testing.T) {
	with(t, func(d *desk) { signedOut(d); d.auth.code = "WDJB-MJHT" }, func(t *testing.T, d *desk) {
		d.send(`{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{` + modernMeta + `}}`)
		d.expectPart(`"sign_in"`, signInPage, "on any machine", "the code WDJB-MJHT")
		d.send(callTool(signInTool))
		d.expectPart(`"id":7`, signInPage, "the code WDJB-MJHT", `"isError":true`)
		d.send(`{"jsonrpc":"2.0","id":8,"method":"prompts/get","params":{"name":"x",` + modernMeta + `}}`)
		d.expectPart(`"id":8`, "the code WDJB-MJHT", `"code":"WDJB-MJHT"`, `"url":"`+signInPage)
	})
}
