package app_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"mcp-gateway/gateway/internal/admin"
)

// acquaintance is a person whose consent to a client is remembered, with what the
// client got by it.
type acquaintance struct {
	*gateway
	browser           *browser
	clientID, grantID string
	username          string
}

func (g *gateway) acquainted() acquaintance {
	g.t.Helper()
	info := g.register(`{"client_name":"Test client","redirect_uris":["http://127.0.0.1/callback"],"token_endpoint_auth_method":"client_secret_post"}`)
	p := acquaintance{gateway: g, browser: newBrowser(g.t), clientID: info.ClientID}
	a := newAuthorization(p.clientID)
	code := g.signIn(p.browser, a, "Ada").Get("code")
	if got := g.redeem(a, code, func(q url.Values) { q.Set("client_secret", info.ClientSecret) }); got.status != http.StatusOK {
		g.t.Fatalf("redeem: %+v", got)
	}
	grant := g.must(admin.Request{Command: admin.GrantsList}).Grants[0]
	p.grantID, p.username = grant.ID, grant.Username
	if p.isAsked() {
		g.t.Fatal("the consent is not remembered")
	}
	return p
}

// isAsked reports whether a sign-in begins with the consent page.
func (p acquaintance) isAsked() bool {
	p.t.Helper()
	page, next := p.browser.get(p.authorizeURL(newAuthorization(p.clientID), nil))
	if next != nil && !strings.HasPrefix(next.String(), p.authority) || next == nil && page.status != http.StatusOK {
		p.t.Fatalf("status %d, redirected to %v", page.status, next)
	}
	return next == nil
}

// TestWhatAnAdministratorEndedIsAskedAgain: a client whose access was ended must
// not get it back by sending the person's browser round, with nobody asked.
func TestWhatAnAdministratorEndedIsAskedAgain(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		do   func(p acquaintance)
	}{
		{name: "a grant", do: func(p acquaintance) {
			p.must(admin.Request{Command: admin.GrantsRevoke, Grants: []string{p.grantID}})
		}},
		{name: "a user", do: func(p acquaintance) { p.must(admin.Request{Command: admin.UsersRevoke, User: p.username}) }},
		{name: "a client", do: func(p acquaintance) { p.must(admin.Request{Command: admin.ClientsRevoke, Client: p.clientID}) }},
		{name: "a user who was disabled for a while", do: func(p acquaintance) {
			p.must(admin.Request{Command: admin.UsersDisable, User: p.username})
			p.must(admin.Request{Command: admin.UsersEnable, User: p.username})
		}},
		{name: "a client that was disabled for a while", do: func(p acquaintance) {
			p.must(admin.Request{Command: admin.ClientsDisable, Client: p.clientID})
			p.must(admin.Request{Command: admin.ClientsEnable, Client: p.clientID})
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := start(t, wideRates)
			p := g.acquainted()
			tt.do(p)
			if !p.isAsked() {
				t.Error("the next sign-in goes to Microsoft at once")
			}
		})
		t.Run(tt.name+", during a sign-in", func(t *testing.T) {
			t.Parallel()
			g := start(t, wideRates)
			p := g.acquainted()
			microsoft, _ := p.browser.open(t.Context(), p.authorizeURL(newAuthorization(p.clientID), nil))
			tt.do(p)
			page, back := p.browser.press(t.Context(), microsoft, "Ada")
			if back != nil || page.status != http.StatusOK || !strings.Contains(page.body, `value="allow"`) {
				t.Errorf("status %d, the client was answered at %v; want a page that asks", page.status, back)
			}
		})
	}
}

// TestWhoIsKeptOutConsentsToNothing: what a person allowed while they could not
// come in is not remembered for when they can.
func TestWhoIsKeptOutConsentsToNothing(t *testing.T) {
	t.Parallel()
	g := start(t, wideRates)
	p := g.acquainted()
	g.must(admin.Request{Command: admin.UsersDisable, User: p.username})
	consent, _ := p.browser.open(t.Context(), p.authorizeURL(newAuthorization(p.clientID), func(q url.Values) { q.Set("prompt", "consent") }))
	microsoft, _ := p.browser.press(t.Context(), consent, "allow")
	if page, _ := p.browser.press(t.Context(), microsoft, "Ada"); page.status != http.StatusForbidden {
		t.Fatalf("status %d, want 403", page.status)
	}
	g.must(admin.Request{Command: admin.UsersEnable, User: p.username})
	if n := g.rows("consents"); n != 0 {
		t.Errorf("%d consents are remembered", n)
	}
	if !p.isAsked() {
		t.Error("the next sign-in goes to Microsoft at once")
	}
}
