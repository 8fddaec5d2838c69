package app_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"mcp-gateway/shared/oauth"
)

// TestThePageForCodesIsTheGatewaysOwn: no other site's page may send a code or a
// decision.
func TestThePageForCodesIsTheGatewaysOwn(t *testing.T) {
	t.Parallel()
	g := start(t, deviceSignIn)
	d, b := g.device(), newBrowser(t)
	consent := g.types(b, d.UserCode)
	for path, form := range map[string]url.Values{
		"/device":  {"user_code": {d.UserCode}},
		"/consent": with(consent.forms[0].fields, "decision", "allow"),
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.url+path, strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		req.Header = http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://evil.example"}}
		if doc, next := b.do(req); doc.status != http.StatusForbidden || next != nil {
			t.Errorf("%s from elsewhere: status %d, sent to %v", path, doc.status, next)
		}
	}
	d.polls("then", oauth.CodeAuthorizationPending)
	for name, body := range map[string]string{"a code twice": "user_code=A&user_code=B", "a broken escape": "user_code=%zz", "an endless form": "user_code=" + strings.Repeat("A", 20<<10)} {
		resp, err := http.Post(g.url+"/device", "application/x-www-form-urlencoded", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if page, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusBadRequest || !strings.Contains(string(page), "The form is damaged") {
			t.Errorf("%s: %d %s %v", name, resp.StatusCode, page, err)
		}
		_ = resp.Body.Close()
	}
}

func TestGuessesOfCodesAreBounded(t *testing.T) {
	t.Parallel()
	g := start(t, "clients: {device_sign_in: true}\nhttp: {rates: {device: {per_minute: 1, burst: 3}}}\n")
	d := g.device()
	for range 2 {
		if doc := g.types(newBrowser(t), "BCDF-GHJK"); doc.status != http.StatusBadRequest {
			t.Fatalf("status %d", doc.status)
		}
	}
	if doc := g.types(newBrowser(t), d.UserCode); doc.status != http.StatusOK || !strings.Contains(doc.body, "Yes, allow") {
		t.Errorf("the right code (status %d):\n%s", doc.status, doc.body)
	}
	for _, code := range []string{"BCDF-GHJK", d.UserCode, "?"} {
		doc := g.types(newBrowser(t), code)
		if doc.status != http.StatusTooManyRequests || doc.header.Get("Retry-After") == "" || !strings.Contains(doc.body, "Too many codes") || strings.Contains(doc.body, "Yes, allow") {
			t.Errorf("one guess too many (status %d):\n%s", doc.status, doc.body)
		}
	}
	form := url.Values{"client_id": {d.clientID}}
	for range 2 {
		g.send("/device_authorization", form, nil)
	}
	g.send("/device_authorization", form, nil).wants(t, 429, oauth.CodeTemporarilyUnavailable, "too many requests")
}

func TestDevicesAreServedOnlyWhereTheOperatorSaysSo(t *testing.T) {
	t.Parallel()
	g := start(t, deviceSignIn)
	d := g.device()
	if doc, _ := g.serverMetadata(); doc.DeviceAuthorizationEndpoint != g.url+"/device_authorization" || !slices.Contains(doc.GrantTypesSupported, oauth.GrantTypeDeviceCode) {
		t.Errorf("the metadata has %q and %q", doc.DeviceAuthorizationEndpoint, doc.GrantTypesSupported)
	}
	g.restart("", nil)
	doc, raw := g.serverMetadata()
	if _, ok := raw["device_authorization_endpoint"]; ok || slices.Contains(doc.GrantTypesSupported, oauth.GrantTypeDeviceCode) {
		t.Errorf("the metadata has %v", raw)
	}
	for _, path := range []string{"/device_authorization", "/device"} {
		if got := g.send(path, url.Values{"client_id": {d.clientID}}, nil); got.status != http.StatusNotFound {
			t.Errorf("%s: %d", path, got.status)
		}
	}
	d.poll().wants(t, 400, oauth.CodeUnsupportedGrantType, "none of those")
	got := g.register(`{"redirect_uris":["http://127.0.0.1/callback"],"grant_types":["authorization_code","` + oauth.GrantTypeDeviceCode + `"]}`)
	if got.status != http.StatusCreated || !slices.Equal(got.GrantTypes, []string{"authorization_code"}) {
		t.Errorf("registered: %d %s", got.status, got.body)
	}
}

func TestAClientOfTheConfigurationMaySignInDevices(t *testing.T) {
	t.Parallel()
	g := start(t, deviceSignIn+"registered_clients:\n"+
		"  - {id: kiosk, name: The kiosk, grant_types: [\""+oauth.GrantTypeDeviceCode+"\"], auth_method: none}\n"+
		"  - {id: desk, name: Desk, redirect_uris: [\"https://desk.example/cb\"], auth_method: none}\n")
	g.send("/device_authorization", url.Values{"client_id": {"desk"}}, nil).wants(t, 400, oauth.CodeUnauthorizedClient, "did not register")
	got := g.send("/device_authorization", url.Values{"client_id": {"kiosk"}}, nil)
	d := device{gateway: g, clientID: "kiosk"}
	if err := json.Unmarshal([]byte(got.body), &d.DeviceAuthorization); err != nil || got.status != http.StatusOK {
		t.Fatalf("%d %s %v", got.status, got.body, err)
	}
	if doc := g.types(newBrowser(t), d.UserCode); !strings.Contains(doc.body, "The kiosk") || !strings.Contains(doc.body, "An administrator of this gateway has registered the program") {
		t.Errorf("status %d:\n%s", doc.status, doc.body)
	}
	d.signedIn(newBrowser(t), "Ada")
	if tokens := d.poll(); tokens.status != http.StatusOK || tokens.Scope != "mcp" {
		t.Errorf("%d %s", tokens.status, tokens.body)
	}
}
