package app_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"mcp-gateway/shared/oauth"
)

// TestRightCodesAreNoGuesses: what all addresses may get wrong together is not used
// up by those who type what they see.
func TestRightCodesAreNoGuesses(t *testing.T) {
	t.Parallel()
	g := start(t, "clients: {device_sign_in: true}\nhttp: {rates: {device: {per_minute: 100000, burst: 100000}, authorize: {per_minute: 100000, burst: 100000}}}\n")
	d, b := g.device(), newBrowser(t)
	for i := range 200 {
		if doc := g.types(b, d.UserCode); doc.status != http.StatusOK {
			t.Fatalf("time %d (status %d):\n%s", i, doc.status, doc.body)
		}
	}
}

// TestAClientThatLosesTheGrantOfDevices, while one of its devices waits: each step
// asks anew.
func TestAClientThatLosesTheGrantOfDevices(t *testing.T) {
	t.Parallel()
	const kiosk = deviceSignIn + "registered_clients:\n  - {id: kiosk, name: The kiosk, redirect_uris: [\"https://kiosk.example/cb\"], auth_method: none, grant_types: ["
	g := start(t, kiosk+`authorization_code, "`+oauth.GrantTypeDeviceCode+"\"]}\n")
	typing, allowing := device{gateway: g, clientID: "kiosk"}, device{gateway: g, clientID: "kiosk"}
	for _, d := range []*device{&typing, &allowing} {
		got := g.send("/device_authorization", url.Values{"client_id": {"kiosk"}}, nil)
		if err := json.Unmarshal([]byte(got.body), &d.DeviceAuthorization); err != nil || got.status != http.StatusOK {
			t.Fatalf("%d %s %v", got.status, got.body, err)
		}
	}
	b := newBrowser(t)
	open := g.types(b, allowing.UserCode)
	g.restart(kiosk+"authorization_code]}\n", nil)
	doc := g.types(b, typing.UserCode)
	if doc.status < 400 || !strings.Contains(doc.body, "may not use this gateway") {
		t.Errorf("its code (status %d):\n%s", doc.status, doc.body)
	}
	doc, next := b.press(t.Context(), open, "allow")
	if next != nil || doc.status < 400 || !strings.Contains(doc.body, "may not use this gateway") {
		t.Errorf("its consent page (status %d):\n%s", doc.status, doc.body)
	}
	allowing.poll().wants(t, 400, oauth.CodeUnauthorizedClient, "did not register")
}

// TestAnApprovedDeviceMayAskUntilItsCodesAreOver, as it was told: it may poll every
// minute, when an authorization code is over.
func TestAnApprovedDeviceMayAskUntilItsCodesAreOver(t *testing.T) {
	t.Parallel()
	g := start(t, deviceSignIn)
	d := g.device()
	d.signedIn(newBrowser(t), "Ada")
	if late := g.one(`SELECT c.expires_at - d.expires_at FROM codes c JOIN devices d ON d.hash = c.hash`); late != "0" {
		t.Errorf("its code ends %s microseconds after the device's", late)
	}
}

// TestThePageSaysThatADeviceIsElsewhere: it is how a person notices that the code
// which somebody sent them is not their own device's.
func TestThePageSaysThatADeviceIsElsewhere(t *testing.T) {
	t.Parallel()
	g := start(t, "trusted_proxies: [127.0.0.0/8]\n"+deviceSignIn)
	d := device{gateway: g, clientID: g.deviceClient()}
	got := g.send("/device_authorization", url.Values{"client_id": {d.clientID}}, http.Header{"X-Forwarded-For": {"203.0.113.9"}})
	if err := json.Unmarshal([]byte(got.body), &d.DeviceAuthorization); err != nil || got.status != http.StatusOK {
		t.Fatalf("%d %s %v", got.status, got.body, err)
	}
	b := newBrowser(t)
	doc := g.types(b, d.UserCode)
	if !strings.Contains(doc.body, "from the address <code>203.0.113.9</code>; this browser's is another") {
		t.Errorf("status %d:\n%s", doc.status, doc.body)
	}
	b.press(t.Context(), doc, "deny")
	d.polls("denied", oauth.CodeAccessDenied)
	if story := g.story(); !strings.Contains(story, "device denied denied by the person\n") {
		t.Errorf("the trail tells\n%s", story)
	}
}
