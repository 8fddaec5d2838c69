package app_test

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"mcp-gateway/gateway/internal/config"
	"mcp-gateway/shared/entrasim"
	"mcp-gateway/shared/oauth"
)

var authorizeRequirements = []requirement{
	{level: must, name: "1.3 every endpoint is HTTPS", check: endpointsAreHTTPS},
	{level: must, name: "1.3 PKCE with S256 is required", check: pkceIsRequired},
	{level: must, name: "1.3 a code is redeemed once", check: codeIsRedeemedOnce},
	{level: must, name: "1.3 of many redemptions at once one succeeds", check: oneOfManyRedemptions},
	{level: must, name: "1.3 a second use of a code ends the tokens that the first gave", check: alone(secondUseEndsTokens)},
	{level: must, name: "1.3 a code lives no longer than ten minutes", check: codeLifetimeIsBounded},
	{level: must, name: "1.3 an expired code is refused", check: alone(expiredCodeIsRefused)},
	{level: must, name: "1.3 a redirect URI matches exactly, loopback ports excepted", check: redirectMatchesExactly},
	{level: must, name: "1.3 any port of a loopback redirect URI is accepted", check: loopbackPortsAreAccepted},
	{level: must, name: "1.3 at the token endpoint even the port must be the one of the request", check: redirectIsBoundToCode},
	{level: must, name: "1.3 a redirect URI is https or loopback", check: redirectIsSafe},
	{level: should, name: "1.3 every answer carries iss and state and its outcome once each", check: alone(testEveryAnswerNamesItsIssuer)},
	{level: must, name: "1.3 state comes back as it was sent", check: stateComesBack},
	{level: must, name: "1.3 an unknown client or redirect URI is never redirected", check: alone(testAuthorizeRefusesOnAPageUntilTheClientIsKnown)},
	{level: must, name: "1.3 an unknown resource is an invalid_target", check: unknownResourceIsRefused},
	{level: should, name: "1.3 a request without a resource is for this gateway", check: missingResourceIsOurs},
	{level: should, name: "1.3 unknown parameters are ignored", check: unknownParametersAreIgnored},
}

// loadConfig loads what an operator would have written, without the switch for
// development.
func loadConfig(public, extra string) error {
	_, err := config.Load(config.Source{
		File: "test.yaml",
		Data: []byte("public_url: " + public + "\nstate_dir: /var/lib/x\ntrusted_proxies: [10.0.0.0/8]\n" +
			"microsoft: {client_id: " + entrasim.DemoClientID + ", tenant_id: " + entrasim.DemoDomain + "}\n" + demoRules + extra),
		Env: func(k string) (string, bool) { return demoSecret, k == "MICROSOFT_CLIENT_SECRET" },
	})
	return err
}

func endpointsAreHTTPS(t *testing.T, g *gateway) {
	if err := loadConfig("https://gateway.example", ""); err != nil {
		t.Fatal(err)
	}
	for _, public := range []string{"http://gateway.example", "http://10.0.0.1:8080", "ftp://gateway.example"} {
		if err := loadConfig(public, ""); err == nil || !strings.Contains(err.Error(), "public_url") {
			t.Errorf("%s: err = %v", public, err)
		}
	}
	doc := g.metadata()
	for _, endpoint := range []string{doc.AuthorizationEndpoint, doc.TokenEndpoint, doc.RegistrationEndpoint, doc.RevocationEndpoint} {
		if !strings.HasPrefix(endpoint, g.url+"/") {
			t.Errorf("the endpoint %s is not below the public URL", endpoint)
		}
	}
}

func pkceIsRequired(t *testing.T, g *gateway) {
	a, code := g.code()
	g.refusesAtAuthorize(a, func(q url.Values) { q.Del("code_challenge"); q.Del("code_challenge_method") }, oauth.CodeInvalidRequest)
	g.refusesAtAuthorize(a, func(q url.Values) { q.Set("code_challenge_method", "plain") }, oauth.CodeInvalidRequest)
	g.refused("no verifier", g.redeem(a, code, func(f url.Values) { f.Del("code_verifier") }), 400, oauth.CodeInvalidRequest)
	g.refused("a wrong verifier", g.redeem(a, code, func(f url.Values) { f.Set("code_verifier", oauth.NewVerifier()) }), 400, oauth.CodeInvalidGrant)
	if got := g.redeem(a, code, nil); got.status != http.StatusOK {
		t.Errorf("the verifier: %d %s", got.status, got.Error)
	}
}

func codeIsRedeemedOnce(t *testing.T, g *gateway) {
	a, code := g.code()
	tokens := g.redeem(a, code, nil)
	g.refused("the second time", g.redeem(a, code, nil), 400, oauth.CodeInvalidGrant)
	// Within ten seconds it is a client that asked twice, and no theft.
	g.works("after a repeated redemption", a.clientID, tokens)
}

func oneOfManyRedemptions(t *testing.T, g *gateway) {
	a, code := g.code()
	answers := make([]tokenAnswer, 16)
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() { answers[i] = g.redeem(a, code, nil) })
	}
	wg.Wait()
	var won []tokenAnswer
	for _, got := range answers {
		if got.status == http.StatusOK {
			won = append(won, got)
			continue
		}
		g.refused("a redemption that came later", got, 400, oauth.CodeInvalidGrant)
	}
	if len(won) != 1 {
		t.Fatalf("%d of %d redemptions succeeded", len(won), len(answers))
	}
	g.works("after a burst", a.clientID, won[0])
}

func secondUseEndsTokens(t *testing.T) {
	t.Parallel()
	g := start(t, wideRates)
	a, code := g.code()
	first := g.redeem(a, code, nil)
	second := g.refresh(a.clientID, first.RefreshToken)
	g.alter(`UPDATE codes SET used_at = used_at - 11000000`)
	g.refused("the second use", g.redeem(a, code, nil), 400, oauth.CodeInvalidGrant)
	g.over(a.clientID, first, second)
	if kinds := g.kinds(); !strings.Contains(kinds, "grant denied replay_of_authorization_code") {
		t.Errorf("the trail tells %s", kinds)
	}
}

func codeLifetimeIsBounded(t *testing.T, g *gateway) {
	for lifetime, fits := range map[string]bool{"10m": true, "601s": false, "1h": false, "0s": false} {
		err := loadConfig("https://gateway.example", "tokens: {code_lifetime: "+lifetime+"}\n")
		if fits != (err == nil) || !fits && !strings.Contains(err.Error(), "code_lifetime") {
			t.Errorf("%s: err = %v", lifetime, err)
		}
	}
	_, _ = g.code()
	if n := g.rows("codes WHERE expires_at - created_at > 600000000"); n != 0 {
		t.Errorf("%d codes live longer", n)
	}
}

func expiredCodeIsRefused(t *testing.T) {
	t.Parallel()
	g := start(t, wideRates)
	a, code := g.code()
	g.alter(`UPDATE codes SET expires_at = expires_at - 3600000000`)
	g.refused("the code", g.redeem(a, code, nil), 400, oauth.CodeInvalidGrant)
	if n := g.rows("grants"); n != 0 {
		t.Errorf("it gave %d grants", n)
	}
}

// matchingClient registered each kind of redirect URI.
func (g *gateway) matchingClient() string {
	g.t.Helper()
	return g.register(`{"redirect_uris":["https://a.example/cb?x=1","http://127.0.0.1/cb","http://localhost/cb","http://[::1]/cb"]}`).ClientID
}

func redirectMatchesExactly(t *testing.T, g *gateway) {
	clientID := g.matchingClient()
	for _, uri := range []string{
		"https://a.example/cb", "https://a.example/cb?x=2", "https://a.example/cb?x=1&y=2", "https://a.example/cb/?x=1", "https://A.example/cb?x=1",
		"https://a.example:443/cb?x=1", "https://a.example:8443/cb?x=1", "http://a.example/cb?x=1", "https://b.a.example/cb?x=1", "https://a.example/%63b?x=1",
		"http://127.0.0.1:80/cb/", "http://127.0.0.1:80/CB", "http://127.0.0.1:80/cb?x=1", "https://127.0.0.1/cb", "http://127.0.0.2/cb", "http://localhost:80/",
	} {
		g.goesNowhere(clientID, uri)
	}
	// Hosts are not mapped onto each other either.
	only := g.register(`{"redirect_uris":["http://localhost/cb"]}`).ClientID
	for _, uri := range []string{"http://127.0.0.1/cb", "http://[::1]/cb", "http://127.0.0.1:4711/cb"} {
		g.goesNowhere(only, uri)
	}
	g.goesTo(clientID, "https://a.example/cb?x=1")
}

func loopbackPortsAreAccepted(t *testing.T, g *gateway) {
	clientID := g.matchingClient()
	for _, host := range []string{"127.0.0.1", "localhost", "[::1]"} {
		for _, port := range []string{"", ":1", ":80", ":49152", ":65535"} {
			g.goesTo(clientID, "http://"+host+port+"/cb")
		}
	}
	// A port that was registered is no more binding than none.
	g.goesTo(g.register(`{"redirect_uris":["http://127.0.0.1:3000/cb"]}`).ClientID, "http://127.0.0.1:3001/cb")
}

func redirectIsBoundToCode(t *testing.T, g *gateway) {
	a, code := g.code()
	for _, uri := range []string{"http://127.0.0.1:4712/callback", "http://127.0.0.1/callback", "http://localhost:4711/callback", clientRedirect + "/", clientRedirect + "?"} {
		// Five wrong attempts would burn the code, so each has its own.
		g.refused(uri, g.redeem(a, code, func(f url.Values) { f.Set("redirect_uri", uri) }), 400, oauth.CodeInvalidGrant)
		a, code = g.code()
	}
	// OAuth 2.1 clients send none.
	if got := g.redeem(a, code, func(f url.Values) { f.Del("redirect_uri") }); got.status != http.StatusOK {
		t.Errorf("without redirect_uri: %d %s", got.status, got.Error)
	}
}

func redirectIsSafe(t *testing.T, g *gateway) {
	for _, uri := range []string{"http://a.example/cb", "http://192.168.0.1/cb", "http://localhost.a.example/cb", "ftp://a.example/cb", "javascript:alert(1)", "data:text/html,x"} {
		if got := g.register(`{"redirect_uris":["` + uri + `"]}`); got.status != http.StatusBadRequest || got.Error != oauth.CodeInvalidRedirectURI {
			t.Errorf("%s: %d %s", uri, got.status, got.body)
		}
		// One bad URI spoils the registration.
		if got := g.register(`{"redirect_uris":["https://a.example/cb","` + uri + `"]}`); got.status != http.StatusBadRequest || got.Error != oauth.CodeInvalidRedirectURI {
			t.Errorf("%s beside a good one: %d %s", uri, got.status, got.body)
		}
	}
}

func stateComesBack(t *testing.T, g *gateway) {
	for _, state := range []string{"x", `a b&c=d#e"'<>\%2F`, "\u00fc\u2028", strings.Repeat("s", 2048), "\r\nLocation: https://evil.example/"} {
		a := newAuthorization(g.registration())
		a.state = state
		if got := g.signIn(newBrowser(t), a, "Ada"); got.Get("state") != state || got.Get("code") == "" {
			t.Errorf("%q comes back as %q", state, got.Get("state"))
		}
	}
	a := newAuthorization(g.registration())
	_, back := newBrowser(t).get(g.authorizeURL(a, func(q url.Values) { q.Del("state"); q.Set("response_type", "x") }))
	if back == nil || back.Query().Has("state") {
		t.Errorf("where none was sent the answer is %v", back)
	}
}

func unknownResourceIsRefused(t *testing.T, g *gateway) {
	a := newAuthorization(g.registration())
	for _, resource := range []string{
		"https://other.example/mcp", "https://other.example", g.url + "/mcp/x", g.url + "/mcp?x=1", g.url + "/mcp#x", g.url + "/MCP", g.url + "x/mcp",
		strings.Replace(g.url, "http://", "https://", 1) + "/mcp", strings.Replace(g.url, "//", "//user@", 1) + "/mcp", "/mcp", "mcp", " ", "urn:x",
	} {
		g.refusesAtAuthorize(a, func(q url.Values) { q.Set("resource", resource) }, oauth.CodeInvalidTarget)
	}
	g.refusesAtAuthorize(a, func(q url.Values) { q.Add("resource", "https://other.example") }, oauth.CodeInvalidTarget)
}

func missingResourceIsOurs(t *testing.T, g *gateway) {
	a := newAuthorization(g.registration())
	b := newBrowser(t)
	consent, _ := b.open(t.Context(), g.authorizeURL(a, func(q url.Values) { q.Del("resource") }))
	microsoft, _ := b.press(t.Context(), consent, "allow")
	_, back := b.press(t.Context(), microsoft, "Ada")
	tokens := g.redeem(a, back.Query().Get("code"), func(f url.Values) { f.Del("resource") })
	if resp, body := g.callModern(tokens.AccessToken, "whoami", "{}"); resp.StatusCode != http.StatusOK {
		t.Errorf("status %d: %s", resp.StatusCode, body)
	}
}

func unknownParametersAreIgnored(t *testing.T, g *gateway) {
	a := newAuthorization(g.registration())
	page, next := newBrowser(t).get(g.authorizeURL(a, func(q url.Values) {
		for _, name := range []string{"nonce", "prompt", "display", "ui_locales", "login_hint", "audience", "dpop_jkt", "utm_source"} {
			q.Set(name, "x")
		}
	}))
	if next != nil || page.status != http.StatusOK || len(page.forms) != 1 {
		t.Errorf("status %d, redirected to %v", page.status, next)
	}
	b, code := g.code()
	if got := g.redeem(b, code, func(f url.Values) { f.Set("audience", "x"); f.Set("scope", "mcp") }); got.status != http.StatusOK {
		t.Errorf("at the token endpoint: %d %s", got.status, got.Error)
	}
}
