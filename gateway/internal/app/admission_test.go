package app_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"mcp-gateway/shared/oauth"
)

func testARegistrationClosesForThoseWhoCameBefore(t *testing.T) {
	t.Parallel()
	g := start(t, "")
	local, tokens := g.grant("Ada")
	remote := g.registerAs(oauth.AuthMethodSecretBasic, serverRedirect)
	for _, tt := range []struct {
		name, extra   string
		advertised    bool
		local, remote bool
	}{
		{name: "closed", extra: "clients: {registration: closed}\n"},
		{name: "listed, with another host", extra: "clients: {registration: listed, redirect_hosts: [other.example]}\n", advertised: true, local: true},
		{name: "listed, with the host", extra: "clients: {registration: listed, redirect_hosts: [app.example]}\n", advertised: true, local: true, remote: true},
		{name: "open again", advertised: true, local: true, remote: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g.restart(tt.extra, nil)
			if _, raw := g.serverMetadata(); (raw["registration_endpoint"] != nil) != tt.advertised {
				t.Errorf("the registration endpoint is advertised: %v", raw["registration_endpoint"])
			}
			for redirect, admitted := range map[string]bool{clientRedirect: tt.local, serverRedirect: tt.remote} {
				g.mayRegister(t, redirect, admitted, tt.advertised)
			}
			page, _ := newBrowser(t).get(g.authorizeURL(newAuthorization(local), nil))
			if isConsent(page) != tt.local || !tt.local && !strings.Contains(page.body, "may not use this gateway") {
				t.Errorf("the local client: status %d:\n%s", page.status, page.body)
			}
			page, _ = newBrowser(t).get(g.authorizeURL(newAuthorization(remote.ClientID), func(q url.Values) { q.Set("redirect_uri", serverRedirect) }))
			if isConsent(page) != tt.remote || !tt.remote && !strings.Contains(page.body, "may not use this gateway") {
				t.Errorf("the remote client: status %d:\n%s", page.status, page.body)
			}
			if got := g.send("/token", g.refreshForm(local, "mcprt_x"), nil); !tt.local {
				got.wants(t, 400, oauth.CodeUnauthorizedClient, "ask its administrator")
			} else {
				got.wants(t, 400, oauth.CodeInvalidGrant, "unknown")
			}
			if got := g.send("/token", g.refreshForm(remote.ClientID, "mcprt_x"), basic(remote.ClientID, remote.ClientSecret)); !tt.remote {
				got.wants(t, 400, oauth.CodeUnauthorizedClient, "ask its administrator")
			}
		})
	}
	g.works("after the registration was open again", local, tokens)
}

// mayRegister checks whether a client with that redirect URI may register.
func (g *gateway) mayRegister(t *testing.T, redirect string, admitted, open bool) {
	t.Helper()
	resp, err := http.Post(g.url+"/register", "application/json", strings.NewReader(`{"redirect_uris":["`+redirect+`"]}`))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	status, says := http.StatusCreated, `"client_id"`
	switch {
	case !open:
		status, says = http.StatusForbidden, `"error":"access_denied"`
	case !admitted:
		status, says = http.StatusBadRequest, `"error":"invalid_redirect_uri"`
	}
	if resp.StatusCode != status || !strings.Contains(string(data), says) {
		t.Errorf("registering %s: %d %s, want %d and %s", redirect, resp.StatusCode, data, status, says)
	}
}

// TestPrivateUseRedirectsCanBeTurnedOff, also for who registered before: of
// several redirect URIs the others stay.
func TestPrivateUseRedirectsCanBeTurnedOff(t *testing.T) {
	t.Parallel()
	g := start(t, "")
	const private = "cursor://anysphere.cursor/callback"
	alone, both := g.registerAs(oauth.AuthMethodNone, private).ClientID, g.registerAs(oauth.AuthMethodNone, private, serverRedirect).ClientID
	open := func(clientID, redirect string) document {
		page, next := newBrowser(t).get(g.authorizeURL(newAuthorization(clientID), func(q url.Values) { q.Set("redirect_uri", redirect) }))
		if next != nil {
			t.Fatalf("redirected to %v", next)
		}
		return page
	}
	for _, clientID := range []string{alone, both} {
		if page := open(clientID, private); !isConsent(page) || !strings.Contains(page.body, "<code>cursor:</code>") {
			t.Errorf("while it is on: status %d:\n%s", page.status, page.body)
		}
	}
	g.restart("clients: {private_use_redirects: false}\n", nil)
	if page := open(alone, private); isConsent(page) || !strings.Contains(page.body, "may not use this gateway") {
		t.Errorf("the one with nothing else: status %d:\n%s", page.status, page.body)
	}
	if page := open(both, private); isConsent(page) || !strings.Contains(page.body, "did not register") {
		t.Errorf("the one with others, there: status %d:\n%s", page.status, page.body)
	}
	if page := open(both, serverRedirect); !isConsent(page) {
		t.Errorf("the one with others, elsewhere: status %d:\n%s", page.status, page.body)
	}
	g.send("/token", g.refreshForm(alone, "mcprt_x"), nil).wants(t, 400, oauth.CodeUnauthorizedClient, "ask its administrator")
	g.mayRegister(t, private, false, true)
	g.mayRegister(t, serverRedirect, true, true)
}
