package app_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"mcp-gateway/shared/oauth"
)

var tokenRequirements = []requirement{
	{level: must, name: "1.7 no answer of the token endpoint may be stored", check: tokenAnswersAreNotStored},
	{level: must, name: "1.7 the token endpoint takes forms by POST, and nothing from the query", check: alone(testTokenEndpointTakesFormsByPostOnly)},
	{level: must, name: "1.7 no parameter may stand twice, at any endpoint", check: alone(testNoParameterMayRepeat)},
	{level: must, name: "1.7 a resource may stand more than once, if each is this gateway", check: resourceMayRepeat},
	{level: must, name: "1.7 a redemption whose redirect, client, verifier or resource is wrong is refused", check: alone(testRedeemRefusals)},
	{level: must, name: "1.7 a resource that was not granted is refused, for a refresh too", check: refreshForAnotherResource},
	{level: must, name: "1.7 a token is for this gateway alone", check: alone(testAGatewayThatMovesForgetsItsOldAudience)},
	{level: must, name: "1.7 a token comes in the Authorization header and nowhere else", check: alone(testOnlyAnAccessTokenOfOursIsABearer)},
	{level: should, name: "1.7 access tokens are short-lived", check: accessTokensAreShortLived},
	{level: must, name: "1.7 refresh tokens rotate, and a lost answer is repeated", check: alone(testRefreshRotatesAndRepeatsALostAnswer)},
	{level: must, name: "1.7 refreshes at the same time share one successor", check: alone(testTwentyParallelRefreshesShareOneSuccessor)},
	{level: must, name: "1.7 reuse of a rotated refresh token ends the grant", check: alone(testReuseAfterTheGraceEndsTheGrant)},
	{level: must, name: "1.7 an expired refresh token is refused", check: alone(expiredRefreshIsRefused)},
	{level: must, name: "1.7 a grant ends, however often it was refreshed", check: alone(grantEnds)},
	{level: must, name: "1.7 a refresh token is bound to its client", check: refreshIsBoundToClient},
	{level: must, name: "1.7 the answer names the scope where it is not the one that was asked for", check: scopeIsNamed},
	{level: must, name: "1.7 a refresh gives no scope that was not granted", check: refreshGivesNoMore},
	{level: should, name: "1.7 a client that registered no refresh gets none", check: noRefreshUnregistered},
	{level: must, name: "1.7 every request is authenticated by itself, and a session authenticates nothing", check: alone(testASessionIsNoAuthentication)},
	{level: should, name: "1.7 revoking a token ends its grant", check: revocationEndsGrant},
}

func tokenAnswersAreNotStored(t *testing.T, g *gateway) {
	a, code := g.code()
	good := url.Values{"grant_type": {"authorization_code"}, "client_id": {a.clientID}, "code": {code}, "code_verifier": {a.verifier}}
	bad := url.Values{"grant_type": {"authorization_code"}, "client_id": {a.clientID}, "code": {"x"}, "code_verifier": {a.verifier}}
	for _, tt := range []struct {
		name   string
		form   url.Values
		status int
	}{
		{name: "a refusal", form: bad, status: 400}, {name: "nothing", form: url.Values{}, status: 400},
		{name: "an unknown client", form: url.Values{"grant_type": {"refresh_token"}, "client_id": {"x"}}, status: 401}, {name: "a success", form: good, status: 200},
	} {
		page, _ := newBrowser(t).send(http.MethodPost, g.url+"/token", tt.form.Encode(), nil)
		if page.status != tt.status || page.header.Get("Cache-Control") != "no-store" || page.header.Get("Pragma") != "no-cache" || page.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: status %d, headers %v", tt.name, page.status, page.header)
		}
	}
}

func resourceMayRepeat(t *testing.T, g *gateway) {
	b := newBrowser(t)
	a := newAuthorization(g.registration())
	consent, next := b.get(g.authorizeURL(a, func(q url.Values) { q["resource"] = []string{g.url + "/mcp", g.url + "/sse", g.url + "/mcp"} }))
	if next != nil || consent.status != http.StatusOK {
		t.Errorf("at the authorization endpoint: status %d, %v", consent.status, next)
	}
	a, code := g.code()
	g.refused("one of them is another's", g.redeem(a, code, func(f url.Values) { f.Add("resource", "https://other.example") }), 400, oauth.CodeInvalidTarget)
	if got := g.redeem(a, code, func(f url.Values) { f.Add("resource", g.url+"/sse") }); got.status != http.StatusOK {
		t.Errorf("at the token endpoint: %d %s", got.status, got.Error)
	}
}

func refreshForAnotherResource(t *testing.T, g *gateway) {
	clientID, tokens := g.grant("Ada")
	ask := func(resources ...string) tokenAnswer {
		return g.token(url.Values{"grant_type": {"refresh_token"}, "client_id": {clientID}, "refresh_token": {tokens.RefreshToken}, "resource": resources})
	}
	for _, resource := range []string{"https://other.example/mcp", g.url + "/mcp/x", g.url + "/mcp#x", "x", ""} {
		g.refused(resource, ask(resource), 400, oauth.CodeInvalidTarget)
	}
	g.refused("ours and another's", ask(g.url, "https://other.example"), 400, oauth.CodeInvalidTarget)
	for _, resource := range []string{g.url, g.url + "/", g.url + "/mcp/", g.url + "/sse"} {
		if got := ask(resource); got.status != http.StatusOK {
			t.Errorf("%s: %d %s", resource, got.status, got.Error)
		}
	}
}

func accessTokensAreShortLived(t *testing.T, _ *gateway) {
	t.Parallel()
	g := start(t, wideRates)
	_, tokens := g.grant("Ada")
	if tokens.ExpiresIn <= 0 || tokens.ExpiresIn > 3600 {
		t.Errorf("expires_in is %d", tokens.ExpiresIn)
	}
	g.alter(`UPDATE access_tokens SET expires_at = expires_at - 3600000000`)
	resp, body := g.callModern(tokens.AccessToken, "whoami", "{}")
	if challenge := resp.Header.Get("WWW-Authenticate"); resp.StatusCode != http.StatusUnauthorized || !strings.Contains(challenge, `error="invalid_token"`) || !strings.Contains(challenge, "expired") {
		t.Errorf("an expired token gets %d, %q: %s", resp.StatusCode, challenge, body)
	}
}

func expiredRefreshIsRefused(t *testing.T) {
	t.Parallel()
	g := start(t, wideRates)
	clientID, tokens := g.grant("Ada")
	g.alter(`UPDATE refresh_tokens SET expires_at = issued_at`)
	g.refused("the refresh token", g.refresh(clientID, tokens.RefreshToken), 400, oauth.CodeInvalidGrant)
}

func grantEnds(t *testing.T) {
	t.Parallel()
	g := start(t, wideRates)
	clientID, first := g.grant("Ada")
	second := g.refresh(clientID, first.RefreshToken)
	g.alter(`UPDATE grants SET expires_at = created_at + 1`)
	g.refused("the refresh token", g.refresh(clientID, second.RefreshToken), 400, oauth.CodeInvalidGrant)
	if resp, body := g.callModern(second.AccessToken, "whoami", "{}"); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("the access token gets %d: %s", resp.StatusCode, body)
	}
}

func refreshIsBoundToClient(t *testing.T, g *gateway) {
	clientID, tokens := g.grant("Ada")
	g.refused("another client", g.refresh(g.registration(), tokens.RefreshToken), 400, oauth.CodeInvalidGrant)
	g.refused("an unknown client", g.refresh("mcpc_x", tokens.RefreshToken), 401, oauth.CodeInvalidClient)
	g.refused("no client", g.refresh("", tokens.RefreshToken), 400, oauth.CodeInvalidRequest)
	g.works("after others tried", clientID, tokens)
}

// askedFor signs in for a new client that asks for a scope.
func (g *gateway) askedFor(scope ...string) (clientID string, tokens tokenAnswer) {
	g.t.Helper()
	b := newBrowser(g.t)
	a := newAuthorization(g.registration())
	consent, _ := b.open(g.t.Context(), g.authorizeURL(a, func(q url.Values) { q["scope"] = scope }))
	microsoft, _ := b.press(g.t.Context(), consent, "allow")
	_, back := b.press(g.t.Context(), microsoft, "Ada")
	return a.clientID, g.redeem(a, back.Query().Get("code"), nil)
}

func scopeIsNamed(t *testing.T, g *gateway) {
	for asked, want := range map[string]string{
		"mcp": "mcp", "": "mcp", "openid profile email": "mcp", "offline_access": "mcp offline_access", "mcp admin *": "mcp", "MCP offline_access x": "mcp offline_access",
	} {
		if _, got := g.askedFor(asked); got.status != http.StatusOK || got.Scope != want {
			t.Errorf("%q: %d, scope %q, want %q", asked, got.status, got.Scope, want)
		}
	}
	if _, got := g.askedFor(); got.Scope != "mcp" {
		t.Errorf("none at all: scope %q", got.Scope)
	}
}

func refreshGivesNoMore(t *testing.T, g *gateway) {
	clientID, tokens := g.askedFor("mcp")
	got := g.token(url.Values{"grant_type": {"refresh_token"}, "client_id": {clientID}, "refresh_token": {tokens.RefreshToken}, "scope": {"mcp offline_access admin"}})
	if got.status != http.StatusOK || got.Scope != "mcp" {
		t.Errorf("%d %s, scope %q, want mcp", got.status, got.Error, got.Scope)
	}
}

func noRefreshUnregistered(t *testing.T, g *gateway) {
	info := g.register(`{"redirect_uris":["http://127.0.0.1/callback"],"grant_types":["authorization_code"]}`)
	if info.status != http.StatusCreated || slices.Contains(info.GrantTypes, "refresh_token") {
		t.Fatalf("registration: %d %s", info.status, info.body)
	}
	a := newAuthorization(info.ClientID)
	tokens := g.redeem(a, g.signIn(newBrowser(t), a, "Ada").Get("code"), nil)
	if tokens.status != http.StatusOK || tokens.AccessToken == "" || tokens.RefreshToken != "" {
		t.Errorf("redeem: %d %s, refresh token %.6q", tokens.status, tokens.Error, tokens.RefreshToken)
	}
	_, others := g.grant("Ada")
	g.refused("a refresh", g.refresh(info.ClientID, others.RefreshToken), 400, oauth.CodeUnauthorizedClient)
}

func revocationEndsGrant(t *testing.T, g *gateway) {
	for _, pick := range []func(tokenAnswer) string{
		func(a tokenAnswer) string { return a.RefreshToken }, func(a tokenAnswer) string { return a.AccessToken },
	} {
		clientID, first := g.grant("Ada")
		second := g.refresh(clientID, first.RefreshToken)
		if resp, body := g.callModern(first.AccessToken, "whoami", "{}"); resp.StatusCode != http.StatusOK {
			t.Fatalf("status %d: %s", resp.StatusCode, body)
		}
		if got := g.revoke(url.Values{"token": {pick(first)}, "client_id": {clientID}}); got.status != http.StatusOK {
			t.Fatalf("revoke: %d %s", got.status, got.body)
		}
		g.over(clientID, first, second)
	}
}
