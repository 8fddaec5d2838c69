package app_test

import (
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"mcp-gateway/gateway/internal/store"
	"mcp-gateway/gateway/internal/store/sqlite"
	"mcp-gateway/shared/oauth"
)

// TestBehaviours has a subtest for each behaviour that comparable servers were
// measured by, and that some of them have wrong.
func TestBehaviours(t *testing.T) {
	t.Parallel()
	g := start(t, wideRates)
	for _, row := range []struct {
		name  string
		check func(t *testing.T, g *gateway)
	}{
		{name: "a 401 names the resource metadata, and no error where there was no token", check: missingTokenIsChallenged},
		{name: "only what exists is advertised", check: advertisedIsServed},
		{name: "each address in the metadata answers", check: alone(everyAddressAnswers)},
		{name: "plain PKCE, or none, is told to the client with iss", check: pkceIsRequired},
		{name: "an unknown client or a foreign redirect sees an HTML page with 400", check: unknownClientSeesPage},
		{name: "a loopback redirect on another port gets its code", check: otherPortGetsCode},
		{name: "response_type=token is unsupported_response_type, and nothing is issued", check: noImplicitFlow},
		{name: "a foreign resource is invalid_target at both endpoints and burns no code", check: foreignResource},
		{name: "a resource may be left out", check: missingResourceIsOurs},
		{name: "a resource with a trailing slash is an alias", check: alone(testAuthorizeAcceptsEveryFormOfTheResource)},
		{name: "an unknown scope is dropped and the answer says so", check: scopeIsNamed},
		{name: "iss is in every answer, errors too", check: alone(testEveryAnswerNamesItsIssuer)},
		{name: "a wrong verifier, redirect or client leaves the code usable", check: alone(testRedeemRefusals)},
		{name: "the fifth wrong attempt burns the code", check: alone(testTheFifthWrongAttemptBurnsTheCode)},
		{name: "a code replayed later is invalid_grant and its tokens are revoked", check: alone(secondUseEndsTokens)},
		{name: "of 16 redemptions at once one succeeds and its tokens live", check: oneOfManyRedemptions},
		{name: "a refresh is atomic, and repeating it repeats its answer", check: alone(testRefreshRotatesAndRepeatsALostAnswer)},
		{name: "refreshes at once share one successor", check: alone(testTwentyParallelRefreshesShareOneSuccessor)},
		{name: "a refresh token rotated twice ends the family and is written down", check: alone(twiceRotatedEndsFamily)},
		{name: "a confidential client with no, a wrong or an empty secret is 401", check: secretIsNeeded},
		{name: "a secret in the body is 401 where Basic was registered, and the other way round", check: secretIsWhereItWasRegistered},
		{name: "a repeated parameter at the token endpoint is 400 in JSON", check: alone(testNoParameterMayRepeat)},
		{name: "JSON at the token endpoint is 400, and GET is 405", check: alone(testTokenEndpointTakesFormsByPostOnly)},
		{name: "revoking the refresh token ends its access token at once", check: revocationEndsGrant},
		{name: "a token exchange is not served, and nobody is told that it is", check: noTokenExchange},
		{name: "registrations are taken with any name or none, and refused with a bad redirect or bad JSON", check: alone(testRegistration)},
		{name: "an evil Origin is 403", check: alone(testNobodyElsesPageOrNameIsServed)},
		{name: "CORS at /mcp reflects only an allowed origin", check: corsAtMCP},
		{name: "another one's token on a session id is 404", check: alone(testASessionIsNoAuthentication)},
		{name: "server/discover of 2026-07-28 is answered", check: discoverIsAnswered},
		{name: "the metadata of the root resource is there", check: resourceNamesItself},
		{name: "nobody calls a tool without a token, by any transport", check: nobodyCallsWithoutToken},
	} {
		t.Run(row.name, func(t *testing.T) { row.check(t, g.in(t)) })
	}
}

func unknownClientSeesPage(t *testing.T, g *gateway) {
	a := newAuthorization(g.registration())
	for name, change := range map[string]func(url.Values){
		"an unknown client":    func(q url.Values) { q.Set("client_id", "mcpc_"+oauth.NewVerifier()) },
		"no client":            func(q url.Values) { q.Del("client_id") },
		"a foreign redirect":   func(q url.Values) { q.Set("redirect_uri", evilRedirect) },
		"a foreign path of it": func(q url.Values) { q.Set("redirect_uri", clientRedirect+"/x") },
	} {
		page, next := newBrowser(t).get(g.authorizeURL(a, change))
		if next != nil || page.status != http.StatusBadRequest || page.header.Get("Content-Type") != "text/html; charset=utf-8" || !strings.Contains(page.body, "<h1>") {
			t.Errorf("%s: status %d, type %q, redirected to %v", name, page.status, page.header.Get("Content-Type"), next)
		}
	}
}

func otherPortGetsCode(t *testing.T, g *gateway) {
	info := g.register(`{"redirect_uris":["http://127.0.0.1:3000/callback"],"application_type":"native"}`)
	a := newAuthorization(info.ClientID)
	// clientRedirect is on port 4711.
	if got := g.redeem(a, g.signIn(newBrowser(t), a, "Ada").Get("code"), nil); got.status != http.StatusOK {
		t.Errorf("%d %s", got.status, got.Error)
	}
}

func noImplicitFlow(t *testing.T, g *gateway) {
	a := newAuthorization(g.registration())
	for _, responseType := range []string{"token", "code token", "id_token"} {
		g.refusesAtAuthorize(a, func(q url.Values) { q.Set("response_type", responseType) }, oauth.CodeUnsupportedResponseType)
	}
}

func foreignResource(t *testing.T, g *gateway) {
	a, code := g.code()
	foreign := func(q url.Values) { q.Set("resource", "https://other.example/mcp") }
	g.refusesAtAuthorize(a, foreign, oauth.CodeInvalidTarget)
	g.refused("at the token endpoint", g.redeem(a, code, foreign), http.StatusBadRequest, oauth.CodeInvalidTarget)
	if got := g.redeem(a, code, nil); got.status != http.StatusOK {
		t.Errorf("the code is burnt: %d %s", got.status, got.Error)
	}
}

func twiceRotatedEndsFamily(t *testing.T) {
	t.Parallel()
	g := start(t, wideRates)
	clientID, first := g.grant("Ada")
	other, others := g.grant("Ada")
	second := g.refresh(clientID, first.RefreshToken)
	third := g.refresh(clientID, second.RefreshToken)
	if third.status != http.StatusOK {
		t.Fatalf("refresh: %d %s", third.status, third.Error)
	}
	// The grace of the first is over: its successor was used a minute ago.
	g.alter(`UPDATE refresh_tokens SET rotated_at = rotated_at - 61000000, first_used_at = first_used_at - 61000000`)
	g.refused("the first token", g.refresh(clientID, first.RefreshToken), http.StatusBadRequest, oauth.CodeInvalidGrant)
	g.over(clientID, first, second, third)
	g.works("the person's other client", other, others)
	if err := g.stop(); err != nil {
		t.Fatal(err)
	}
	db, err := sqlite.Open(t.Context(), filepath.Join(g.dir, "gateway.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	events, err := db.Events(t.Context(), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	var theft []store.Event
	for _, e := range events {
		if e.Reason == "replay_of_refresh_token" {
			theft = append(theft, e)
		}
	}
	if len(theft) == 0 || theft[0].Kind != "grant" || theft[0].Outcome != "denied" || theft[0].GrantID == "" || theft[0].Object == "" {
		t.Errorf("the trail has %+v", theft)
	}
}

func noTokenExchange(t *testing.T, g *gateway) {
	const exchange = "urn:ietf:params:oauth:grant-type:token-exchange"
	_, tokens := g.grant("Ada")
	for _, clientID := range []string{g.registration(), "mcpc_x", ""} {
		g.refused(clientID, g.token(url.Values{
			"grant_type": {exchange}, "client_id": {clientID}, "subject_token": {tokens.AccessToken},
			"subject_token_type": {"urn:ietf:params:oauth:token-type:access_token"},
		}), http.StatusBadRequest, oauth.CodeUnsupportedGrantType)
	}
	for _, grantType := range g.metadata().GrantTypesSupported {
		if grantType == exchange {
			t.Error("it is advertised")
		}
	}
}

func corsAtMCP(t *testing.T, g *gateway) {
	for origin, allowed := range map[string]bool{
		"http://localhost:6274": true, g.url: true, "http://[::1]:80": true,
		"https://evil.example": false, "null": false, "*": false, "http://localhost.evil.example": false, "https://claude.ai": false,
	} {
		for _, method := range []string{http.MethodPost, http.MethodOptions} {
			page, _ := newBrowser(t).send(method, g.url+"/mcp", ping, http.Header{"Origin": {origin}, "Access-Control-Request-Method": {"POST"}})
			got, vary := page.header.Get("Access-Control-Allow-Origin"), page.header.Values("Vary")
			if allowed && got != origin || !allowed && (got != "" || page.status != http.StatusForbidden) {
				t.Errorf("%s from %s: status %d, allowed %q", method, origin, page.status, got)
			}
			if !strings.Contains(strings.Join(vary, ","), "Origin") {
				t.Errorf("%s from %s: a cache may give the answer to another origin (Vary %q)", method, origin, vary)
			}
		}
	}
}

// everyAddressAnswers dereferences whatever is an address of the gateway in any
// of its documents: 404 is no answer.
func everyAddressAnswers(t *testing.T) {
	t.Parallel()
	g, _ := inspected(t, wideRates)
	paths := []string{oauth.PathServerMetadata, oauth.PathOpenIDConfiguration}
	for _, path := range resourceForms {
		paths = append(paths, oauth.PathResourceMetadata+path)
	}
	found := make(map[string]bool)
	for _, path := range paths {
		var members map[string]any
		g.document(path, &members)
		for name, value := range members {
			values, ok := value.([]any)
			if !ok {
				values = []any{value}
			}
			for _, value := range values {
				if address, ok := value.(string); ok && strings.Contains(address, "://") {
					found[address] = true
					if !strings.HasPrefix(address, g.url) {
						t.Errorf("%s: %s leads to %s", path, name, address)
					}
				}
			}
		}
	}
	for address := range found {
		if page, _ := newBrowser(t).get(address); page.status == http.StatusNotFound || page.status >= http.StatusInternalServerError {
			t.Errorf("%s: status %d", address, page.status)
		}
	}
	// The issuer, which is a resource too, five spellings more and five endpoints.
	if len(found) != 11 {
		t.Errorf("%d addresses, want 11: %v", len(found), found)
	}
}

func secretIsNeeded(t *testing.T, g *gateway) {
	for _, method := range []string{oauth.AuthMethodSecretBasic, oauth.AuthMethodSecretPost} {
		info := g.registerAs(method, serverRedirect)
		a := newAuthorization(info.ClientID)
		form := g.codeForm(a, g.visit(newBrowser(t), a, serverRedirect, "Ada", true, nil).Get("code"), serverRedirect)
		unnamed := with(form, "client_id", "")
		emptyInBody := with(form)
		emptyInBody["client_secret"] = []string{""}
		for name, try := range map[string]struct {
			form   url.Values
			header http.Header
		}{
			"no secret": {form: form}, "an empty secret in the body": {form: emptyInBody}, "an empty secret in the header": {form: unnamed, header: basic(info.ClientID, "")},
			"a wrong secret in the body": {form: with(form, "client_secret", "x")}, "a wrong secret in the header": {form: unnamed, header: basic(info.ClientID, "x")},
			"the client_id as its secret": {form: unnamed, header: basic(info.ClientID, info.ClientID)},
		} {
			got := g.send("/token", try.form, try.header)
			got.wants(t, http.StatusUnauthorized, oauth.CodeInvalidClient, "did not prove")
			if got.AccessToken != "" || strings.HasPrefix(got.header.Get("WWW-Authenticate"), "Basic ") != (try.header != nil) {
				t.Errorf("%s, %s: challenge %q, %s", method, name, got.header.Get("WWW-Authenticate"), got.body)
			}
		}
		proved, header := proving(info, form)
		if got := g.send("/token", proved, header); got.status != http.StatusOK {
			t.Errorf("%s: the code is burnt: %d %s", method, got.status, got.body)
		}
	}
}

func secretIsWhereItWasRegistered(t *testing.T, g *gateway) {
	inHeader, inBody := g.registerAs(oauth.AuthMethodSecretBasic, serverRedirect), g.registerAs(oauth.AuthMethodSecretPost, serverRedirect)
	form := g.refreshForm("", "mcprt_x")
	g.send("/token", with(form, "client_id", inHeader.ClientID, "client_secret", inHeader.ClientSecret), nil).wants(t, http.StatusUnauthorized, oauth.CodeInvalidClient, "did not prove")
	g.send("/token", with(form, "client_id", ""), basic(inBody.ClientID, inBody.ClientSecret)).wants(t, http.StatusUnauthorized, oauth.CodeInvalidClient, "did not prove")
	for _, info := range []oauth.ClientInformation{inHeader, inBody} {
		proved, header := proving(info, form)
		g.send("/token", proved, header).wants(t, http.StatusBadRequest, oauth.CodeInvalidGrant, "unknown")
	}
}

func discoverIsAnswered(t *testing.T, g *gateway) {
	_, tokens := g.grant("Ada")
	resp, body := g.post(tokens.AccessToken, `{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{`+modernMeta+`}}`,
		http.Header{"Mcp-Protocol-Version": {"2026-07-28"}, "Mcp-Method": {"server/discover"}})
	if resp.StatusCode != http.StatusOK || !strings.Contains(body, `"supportedVersions":["2026-07-28"`) || resp.Header.Get("Mcp-Session-Id") != "" {
		t.Errorf("status %d: %s", resp.StatusCode, body)
	}
}

func nobodyCallsWithoutToken(t *testing.T, g *gateway) {
	for path, methods := range guarded {
		for _, method := range methods {
			for name, call := range map[string]struct {
				body   string
				header http.Header
			}{
				"modern": {
					body:   `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"whoami","arguments":{},` + modernMeta + `}}`,
					header: http.Header{"Content-Type": {"application/json"}, "Mcp-Protocol-Version": {"2026-07-28"}, "Mcp-Method": {"tools/call"}, "Mcp-Name": {"whoami"}},
				},
				"legacy": {
					body:   `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"whoami","arguments":{}}}`,
					header: http.Header{"Content-Type": {"application/json"}, "Mcp-Session-Id": {"x"}},
				},
				"initialize": {
					body:   `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"x","version":"1"}}}`,
					header: http.Header{"Content-Type": {"application/json"}},
				},
			} {
				page, _ := newBrowser(t).send(method, g.url+path, call.body, call.header)
				if page.status != http.StatusUnauthorized || strings.Contains(page.body, "jsonrpc") || page.header.Get("Mcp-Session-Id") != "" {
					t.Errorf("%s %s %s: status %d: %s", name, method, path, page.status, page.body)
				}
			}
		}
	}
}
