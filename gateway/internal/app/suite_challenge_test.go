package app_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"mcp-gateway/shared/oauth"
)

var challengeRequirements = []requirement{
	{level: must, name: "1.8 a request without a token is challenged, without an error code", check: missingTokenIsChallenged},
	{level: must, name: "1.8 an invalid token is challenged with invalid_token", check: invalidTokenIsChallenged},
	{level: must, name: "1.8 a revoked token is challenged with invalid_token", check: revokedTokenIsChallenged},
	{level: must, name: "1.8 a malformed Authorization header is a bad request", check: malformedHeaderIsRefused},
	{level: should, name: "1.8 the challenge names the smallest scope, no wildcard and nothing twice", check: challengeIsSmall},
	{level: must, name: "1.8 a token without the scope is told which one is missing", check: missingScopeIsNamed},
	{level: should, name: "1.8 a call without its scopes is told all of them at once, in every era", check: alone(testACallWithoutItsScopeIsToldWhatToAskFor)},
	{level: must, name: "1.8 the scopes that were asked for open the tool, and those before stay as they were", check: alone(testAskingForTheScopeOpensTheTool)},
	{level: must, name: "1.8 a preflight and a refused origin are not challenged", check: noChallengeForPages},
	{level: should, name: "1.8 a page that may call can read the challenge", check: pagesReadTheChallenge},
	{level: must, name: "1.8 a token that cannot be checked is not called invalid", check: alone(testAStoreOutageIsNeverAnInvalidGrant)},
}

// guarded are the addresses behind the guard and how they are asked.
var guarded = map[string][]string{
	"/mcp": {http.MethodPost, http.MethodGet, http.MethodDelete}, "/mcp/": {http.MethodPost, http.MethodGet, http.MethodDelete},
	"/sse": {http.MethodGet, http.MethodPost}, "/sse/": {http.MethodGet, http.MethodPost}, "/sse/messages": {http.MethodPost, http.MethodGet},
}

func missingTokenIsChallenged(t *testing.T, g *gateway) {
	for path, methods := range guarded {
		for _, method := range methods {
			// Whatever it asks, nothing is read before the token.
			for _, body := range []string{ping, "", "not JSON", strings.Repeat("x", 100_000), `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"whoami"}}`} {
				page, _ := newBrowser(t).send(method, g.url+path, body, http.Header{"Content-Type": {"application/json"}})
				checkChallenge(t, g.url, path, page, http.StatusUnauthorized, "")
			}
		}
	}
}

func invalidTokenIsChallenged(t *testing.T, g *gateway) {
	for path, methods := range guarded {
		for _, method := range methods {
			page, _ := newBrowser(t).send(method, g.url+path, ping, http.Header{"Authorization": {"Bearer mcpat_" + oauth.NewVerifier()}})
			checkChallenge(t, g.url, path, page, http.StatusUnauthorized, oauth.CodeInvalidToken)
		}
	}
}

func revokedTokenIsChallenged(t *testing.T, g *gateway) {
	clientID, tokens := g.grant("Ada")
	if got := g.revoke(url.Values{"token": {tokens.AccessToken}, "client_id": {clientID}}); got.status != http.StatusOK {
		t.Fatalf("revoke: %d %s", got.status, got.body)
	}
	for path, methods := range guarded {
		page, _ := newBrowser(t).send(methods[0], g.url+path, ping, http.Header{"Authorization": {"Bearer " + tokens.AccessToken}})
		checkChallenge(t, g.url, path, page, http.StatusUnauthorized, oauth.CodeInvalidToken)
	}
}

func malformedHeaderIsRefused(t *testing.T, g *gateway) {
	for _, header := range []string{"Bearer", "Bearer ", "bearer", "Bearer a b", "Bearer a,b", "Bearer a\tb", "Bearer , "} {
		page, _ := newBrowser(t).send(http.MethodPost, g.url+"/mcp", ping, http.Header{"Authorization": {header}})
		checkChallenge(t, g.url, "/mcp", page, http.StatusBadRequest, oauth.CodeInvalidRequest)
	}
	// The scheme is case-insensitive (RFC 9110 §11.1).
	_, tokens := g.grant("Ada")
	for _, scheme := range []string{"bearer", "BEARER", "Bearer  "} {
		resp, body := g.post("", `{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{`+modernMeta+`}}`, http.Header{
			"Authorization": {scheme + " " + tokens.AccessToken}, "Mcp-Protocol-Version": {"2026-07-28"}, "Mcp-Method": {"server/discover"},
		})
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%q: status %d: %s", scheme, resp.StatusCode, body)
		}
	}
}

func challengeIsSmall(t *testing.T, g *gateway) {
	resp, body := g.post("", ping, nil)
	challenge := resp.Header.Get("WWW-Authenticate")
	for _, want := range []string{"resource_metadata=", "scope="} {
		if strings.Count(challenge, want) != 1 {
			t.Errorf("%s stands %d times in %s", want, strings.Count(challenge, want), challenge)
		}
	}
	for _, bad := range []string{"*", "offline_access", "admin", "realm"} {
		if strings.Contains(challenge, bad) {
			t.Errorf("the challenge has %s: %s", bad, challenge)
		}
	}
	if resp.Header.Get("Content-Type") != "application/json" || !strings.Contains(body, "WWW-Authenticate") {
		t.Errorf("the body does not help: %s", body)
	}
}

func missingScopeIsNamed(t *testing.T, _ *gateway) {
	t.Parallel()
	g := start(t, wideRates)
	_, tokens := g.grant("Ada")
	g.alter(`UPDATE access_tokens SET scopes = '["offline_access"]'`)
	for path, methods := range guarded {
		page, _ := newBrowser(t).send(methods[0], g.url+path, ping, http.Header{"Authorization": {"Bearer " + tokens.AccessToken}})
		checkChallenge(t, g.url, path, page, http.StatusForbidden, oauth.CodeInsufficientScope)
	}
}

func noChallengeForPages(t *testing.T, g *gateway) {
	preflight := http.Header{"Origin": {"http://localhost:6274"}, "Access-Control-Request-Method": {http.MethodPost}, "Access-Control-Request-Headers": {"authorization"}}
	for path := range guarded {
		page, _ := newBrowser(t).send(http.MethodOptions, g.url+path, "", preflight)
		if page.status != http.StatusNoContent || page.header.Get("WWW-Authenticate") != "" || !strings.Contains(page.header.Get("Access-Control-Allow-Headers"), "Authorization") {
			t.Errorf("a preflight for %s: status %d, headers %v", path, page.status, page.header)
		}
		page, _ = newBrowser(t).send(http.MethodPost, g.url+path, ping, http.Header{"Origin": {"https://evil.example"}})
		if page.status != http.StatusForbidden || page.header.Get("WWW-Authenticate") != "" {
			t.Errorf("a refused origin at %s: status %d, headers %v", path, page.status, page.header)
		}
	}
}

func pagesReadTheChallenge(t *testing.T, g *gateway) {
	for _, origin := range []string{"http://localhost:6274", "http://127.0.0.1:1", g.url} {
		page, _ := newBrowser(t).send(http.MethodPost, g.url+"/mcp", ping, http.Header{"Origin": {origin}})
		if page.status != http.StatusUnauthorized || page.header.Get("Access-Control-Allow-Origin") != origin ||
			!strings.Contains(page.header.Get("Access-Control-Expose-Headers"), "WWW-Authenticate") || page.header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: status %d, headers %v", origin, page.status, page.header)
		}
	}
}
