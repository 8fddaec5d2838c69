package app_test

import (
	"maps"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mcp-gateway/shared/oauth"
)

// TestPKCECannotBeTakenAway: no request without an S256 challenge is answered
// with anything but an error, and no code is redeemed without its verifier.
func TestPKCECannotBeTakenAway(t *testing.T) {
	t.Parallel()
	g := start(t, wideRates)
	a := newAuthorization(g.registration())
	challenge := oauth.ChallengeS256(a.verifier)
	set := func(key string, values ...string) func(url.Values) { return func(q url.Values) { q[key] = values } }
	for _, tt := range []struct {
		name   string
		change func(url.Values)
	}{
		{name: "plain", change: set("code_challenge_method", "plain")},
		{name: "plain with the verifier as challenge", change: func(q url.Values) { q.Set("code_challenge_method", "plain"); q.Set("code_challenge", a.verifier) }},
		{name: "none", change: func(q url.Values) { q.Del("code_challenge"); q.Del("code_challenge_method") }},
		{name: "a method without a challenge", change: set("code_challenge")},
		{name: "a challenge without a method", change: set("code_challenge_method")},
		{name: "an empty challenge", change: set("code_challenge", "")},
		{name: "an empty method", change: set("code_challenge_method", "")},
		{name: "the method in lower case", change: set("code_challenge_method", "s256")},
		{name: "the method with a space", change: set("code_challenge_method", "S256 ")},
		{name: "a method that is not one", change: set("code_challenge_method", "S512")},
		{name: "both methods", change: set("code_challenge_method", "S256", "plain")},
		{name: "both challenges", change: set("code_challenge", challenge, oauth.ChallengeS256("x"))},
		{name: "a challenge of 42 characters", change: set("code_challenge", challenge[:42])},
		{name: "a challenge of 44 characters", change: set("code_challenge", challenge+"A")},
		{name: "a padded challenge", change: set("code_challenge", challenge+"=")},
		{name: "a challenge with unused bits", change: set("code_challenge", strings.Repeat("A", 42)+"B")},
		{name: "a challenge in plain base64", change: set("code_challenge", strings.Repeat("+", 43))},
		{name: "a challenge with a line break", change: set("code_challenge", challenge[:42]+"\n")},
		{name: "a challenge in hexadecimal", change: set("code_challenge", strings.Repeat("ab", 32))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g.in(t).refusesAtAuthorize(a, tt.change, oauth.CodeInvalidRequest)
		})
	}
	t.Run("a verifier where none was bound", func(t *testing.T) {
		code := g.in(t).signIn(newBrowser(t), a, "Ada").Get("code")
		breakTrail(t, filepath.Join(g.dir, "gateway.db"), `UPDATE codes SET challenge = ''`)
		for name, tt := range map[string]struct{ verifier, code string }{
			"the client's":             {verifier: a.verifier, code: oauth.CodeInvalidGrant},
			"an empty one":             {verifier: "", code: oauth.CodeInvalidRequest},
			"one that hashes to other": {verifier: oauth.NewVerifier(), code: oauth.CodeInvalidGrant},
		} {
			if got := g.redeem(a, code, set("code_verifier", tt.verifier)); got.status != http.StatusBadRequest || got.Error != tt.code {
				t.Errorf("%s: got %d %q, want %q", name, got.status, got.Error, tt.code)
			}
		}
	})
}

// refusesAtAuthorize checks an error that goes to the client's own redirect URI.
func (g *gateway) refusesAtAuthorize(a authorization, change func(url.Values), code string) {
	g.t.Helper()
	_, next := newBrowser(g.t).get(g.authorizeURL(a, change))
	if next == nil || !strings.HasPrefix(next.String(), clientRedirect+"?") {
		g.t.Fatalf("redirected to %v, want the client", next)
	}
	if q := next.Query(); q.Get("error") != code || q.Get("error_description") == "" || q.Get("state") != a.state || q.Get("iss") != g.url || q.Has("code") {
		g.t.Errorf("the client is told %v, want %s", q, code)
	}
}

const ping = `{"jsonrpc":"2.0","id":1,"method":"ping"}`

// testOnlyAnAccessTokenOfOursIsABearer asks every guarded address with what is
// none.
func testOnlyAnAccessTokenOfOursIsABearer(t *testing.T) {
	t.Parallel()
	g, other := start(t, wideRates), start(t, wideRates)
	a := newAuthorization(g.registration())
	b := newBrowser(t)
	tokens := g.redeem(a, g.signIn(b, a, "Ada").Get("code"), nil)
	code := g.signIn(b, a, "Ada").Get("code")
	_, foreign := other.grant("Ada")
	good := "Bearer " + tokens.AccessToken
	const invalidToken, invalidRequest, none = oauth.CodeInvalidToken, oauth.CodeInvalidRequest, ""
	for _, tt := range []struct {
		name          string
		authorization []string
		query         string
		status        int
		code          string
	}{
		{name: "a refresh token", authorization: []string{"Bearer " + tokens.RefreshToken}, status: 401, code: invalidToken},
		{name: "a code", authorization: []string{"Bearer " + code}, status: 401, code: invalidToken},
		{name: "a client_id", authorization: []string{"Bearer " + a.clientID}, status: 401, code: invalidToken},
		{name: "a verifier", authorization: []string{"Bearer " + a.verifier}, status: 401, code: invalidToken},
		{name: "a refresh token dressed as an access token", authorization: []string{"Bearer mcpat_" + tokens.RefreshToken[len("mcprt_"):]}, status: 401, code: invalidToken},
		{name: "a token of another gateway", authorization: []string{"Bearer " + foreign.AccessToken}, status: 401, code: invalidToken},
		{name: "a token in another case", authorization: []string{"Bearer " + strings.ToUpper(tokens.AccessToken)}, status: 401, code: invalidToken},
		{name: "a token with a tail", authorization: []string{good + "A"}, status: 401, code: invalidToken},
		{name: "a token cut short", authorization: []string{good[:len(good)-1]}, status: 401, code: invalidToken},
		{name: "an unsigned JWT", authorization: []string{"Bearer eyJhbGciOiJub25lIn0.e30."}, status: 401, code: invalidToken},
		{name: "no token after the scheme", authorization: []string{"Bearer"}, status: 400, code: invalidRequest},
		{name: "a token behind a comma", authorization: []string{"Bearer x," + good}, status: 400, code: invalidRequest},
		{name: "two headers, the good one first", authorization: []string{good, "Bearer x"}, status: 400, code: invalidRequest},
		{name: "two headers, the good one last", authorization: []string{"Bearer x", good}, status: 400, code: invalidRequest},
		{name: "one header twice", authorization: []string{good, good}, status: 400, code: invalidRequest},
		{name: "a header beside Basic", authorization: []string{"Basic eDp5", good}, status: 400, code: invalidRequest},
		{name: "the token as Basic password", authorization: []string{"Basic " + tokens.AccessToken}, status: 401, code: none},
		{name: "the token under another scheme", authorization: []string{"DPoP " + tokens.AccessToken}, status: 401, code: none},
		{name: "the token without a scheme", authorization: []string{tokens.AccessToken}, status: 401, code: none},
		{name: "the token in the query", query: "?access_token=" + tokens.AccessToken, status: 401, code: none},
		{name: "a bad token beside a good one in the query", authorization: []string{"Bearer x"}, query: "?access_token=" + tokens.AccessToken, status: 401, code: invalidToken},
		{name: "nothing", status: 401, code: none},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for path, method := range map[string]string{"/mcp": http.MethodPost, "/mcp/": http.MethodPost, "/sse": http.MethodGet, "/sse/messages": http.MethodPost} {
				page, _ := newBrowser(t).send(method, g.url+path+tt.query, ping, http.Header{"Authorization": tt.authorization, "Content-Type": {"application/json"}})
				checkChallenge(t, g.url, path, page, tt.status, tt.code)
			}
		})
	}
	t.Run("the token in the body", func(t *testing.T) {
		for _, body := range []string{"access_token=" + tokens.AccessToken, `{"access_token":"` + tokens.AccessToken + `"}`} {
			page, _ := newBrowser(t).send(http.MethodPost, g.url+"/mcp", body, nil)
			checkChallenge(t, g.url, "/mcp", page, http.StatusUnauthorized, "")
		}
	})
	if resp, body := g.callModern(tokens.AccessToken, "whoami", "{}"); resp.StatusCode != http.StatusOK {
		t.Errorf("after all of these the good token gets %d: %s", resp.StatusCode, body)
	}
}

// checkChallenge checks a refusal by the guard: its status, its code, and that
// it names the document of the path that was asked (RFC 9728 §5.1).
func checkChallenge(t *testing.T, base, path string, page document, status int, code string) {
	t.Helper()
	header := page.header["Www-Authenticate"]
	if page.status != status || len(header) != 1 {
		t.Errorf("%s: status %d, challenges %q, want %d and one", path, page.status, header, status)
		return
	}
	challenges, err := oauth.ParseChallenges(header)
	if err != nil || len(challenges) != 1 {
		t.Errorf("%s: %q: %v", path, header, err)
		return
	}
	params := challenges[0].Params
	want := base + oauth.PathResourceMetadata + strings.TrimSuffix(path, "/messages")
	if params["resource_metadata"] != want || params["scope"] != "mcp" || params["error"] != code {
		t.Errorf("%s: challenge %v, want error %q and %s", path, params, code, want)
	}
	if page.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s: the refusal may be stored", path)
	}
}

// testAGatewayThatMovesForgetsItsOldAudience: the same state under another
// public URL is another gateway, and "MCP servers MUST validate that access
// tokens were issued specifically for them" (MCP authorization, Token Handling).
func testAGatewayThatMovesForgetsItsOldAudience(t *testing.T) {
	t.Parallel()
	old := start(t, wideRates)
	a := newAuthorization(old.registration())
	b := newBrowser(t)
	tokens := old.redeem(a, old.signIn(b, a, "Ada").Get("code"), nil)
	code := old.signIn(b, a, "Ada").Get("code")
	if err := old.stop(); err != nil {
		t.Fatal(err)
	}
	l, address := listen(t)
	moved := &gateway{t: t, url: address, dir: old.dir, sim: old.sim, authority: old.authority, logs: &lockedBuffer{}}
	moved.serve(l, wideRates)
	resp, body := moved.callModern(tokens.AccessToken, "whoami", "{}")
	if resp.StatusCode != http.StatusUnauthorized || !strings.Contains(resp.Header.Get("WWW-Authenticate"), `error="invalid_token"`) {
		t.Errorf("its access token gets %d: %s", resp.StatusCode, body)
	}
	if got := moved.refresh(a.clientID, tokens.RefreshToken); got.status != http.StatusBadRequest || got.Error != oauth.CodeInvalidGrant {
		t.Errorf("its refresh token gets %d %q", got.status, got.Error)
	}
	if got := moved.redeem(a, code, nil); got.status != http.StatusBadRequest || got.Error != oauth.CodeInvalidGrant {
		t.Errorf("its code gets %d %q", got.status, got.Error)
	}
	for name, resource := range map[string]string{"the old resource": old.url + "/mcp", "the old root": old.url} {
		if got := moved.redeem(a, code, func(f url.Values) { f.Set("resource", resource) }); got.Error != oauth.CodeInvalidTarget && got.Error != oauth.CodeInvalidGrant || got.status != 400 {
			t.Errorf("its code for %s gets %d %q", name, got.status, got.Error)
		}
	}
	if got := moved.revoke(url.Values{"token": {tokens.RefreshToken}, "client_id": {a.clientID}}); got.status != http.StatusOK {
		t.Errorf("its token cannot be revoked: %d %s", got.status, got.body)
	}
}

// testNoParameterMayRepeat sends each parameter of each endpoint twice, with
// another value and with the same.
func testNoParameterMayRepeat(t *testing.T) {
	t.Parallel()
	g := start(t, wideRates)
	a := newAuthorization(g.registration())
	b := newBrowser(t)
	code := g.signIn(b, a, "Ada").Get("code")
	_, tokens := g.grant("Ada")
	authorize, err := url.Parse(g.authorizeURL(a, func(q url.Values) { q.Set("response_mode", "query"); q.Set("prompt", "login"); q.Set("unknown", "x") }))
	if err != nil {
		t.Fatal(err)
	}
	for _, endpoint := range []struct {
		method, path string
		form         url.Values
	}{
		{method: http.MethodGet, path: "/authorize", form: authorize.Query()},
		{method: http.MethodPost, path: "/token", form: url.Values{
			"grant_type": {"authorization_code"}, "client_id": {a.clientID}, "code": {code}, "redirect_uri": {clientRedirect},
			"code_verifier": {a.verifier}, "scope": {"mcp"}, "unknown": {"x"},
		}},
		{method: http.MethodPost, path: "/token", form: url.Values{
			"grant_type": {"refresh_token"}, "client_id": {a.clientID}, "refresh_token": {tokens.RefreshToken}, "scope": {"mcp"}, "unknown": {"x"},
		}},
		{method: http.MethodPost, path: "/revoke", form: url.Values{
			"token": {tokens.RefreshToken}, "client_id": {a.clientID}, "token_type_hint": {"refresh_token"}, "resource": {g.url}, "unknown": {"x"},
		}},
	} {
		for _, name := range slices.Sorted(maps.Keys(endpoint.form)) {
			if endpoint.path == "/authorize" && name == "resource" {
				continue // it may repeat (RFC 8707 §2)
			}
			for how, second := range map[string]string{"another": "other", "the same": endpoint.form.Get(name), "an empty": ""} {
				t.Run(endpoint.form.Get("grant_type")+endpoint.path+" with "+how+" "+name, func(t *testing.T) {
					form := maps.Clone(endpoint.form)
					form[name] = []string{form.Get(name), second}
					checkRepeated(t, g.in(t), endpoint.method, endpoint.path, name, form)
				})
			}
		}
	}
	if got := g.redeem(a, code, nil); got.status != http.StatusOK {
		t.Errorf("after all of these the code gets %d %s", got.status, got.Error)
	}
}

// checkRepeated: what says who asks and where the answer goes is refused on a
// page, the rest in the endpoint's own way.
func checkRepeated(t *testing.T, g *gateway, method, path, name string, form url.Values) {
	t.Helper()
	if method == http.MethodPost {
		page, _ := newBrowser(t).send(method, g.url+path, form.Encode(), nil)
		if page.status != http.StatusBadRequest || !strings.Contains(page.body, `"invalid_request"`) || !strings.Contains(page.body, "more than once") {
			t.Errorf("status %d: %s", page.status, page.body)
		}
		return
	}
	page, next := newBrowser(t).get(g.url + path + "?" + form.Encode())
	if slices.Contains([]string{"client_id", "redirect_uri", "state"}, name) {
		if next != nil || page.status != http.StatusBadRequest || !strings.Contains(page.body, name+" more than once") {
			t.Errorf("status %d to %v, want a page", page.status, next)
		}
		return
	}
	if next == nil || !strings.HasPrefix(next.String(), clientRedirect+"?") || next.Query().Get("error") != oauth.CodeInvalidRequest ||
		!strings.Contains(next.Query().Get("error_description"), "more than once") {
		t.Errorf("status %d to %v, want invalid_request for the client", page.status, next)
	}
}

// testASessionIsNoAuthentication: a session id is of one person and one
// client, and worth nothing with the token of another or with none.
func testASessionIsNoAuthentication(t *testing.T) {
	t.Parallel()
	g := start(t, wideRates)
	_, ada := g.grant("Ada")
	_, others := g.grant("Max")
	_, again := g.grant("Ada")
	resp, body := g.post(ada.AccessToken, `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"x","version":"1"}}}`, nil)
	session := resp.Header.Get("Mcp-Session-Id")
	if resp.StatusCode != http.StatusOK || session == "" {
		t.Fatalf("status %d: %s", resp.StatusCode, body)
	}
	const whoami = `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"whoami","arguments":{}}}`
	for _, tt := range []struct {
		name, bearer, session string
		status                int
		says                  string
	}{
		{name: "her own", bearer: ada.AccessToken, session: session, status: 200, says: "Ada"},
		{name: "with the token of somebody else", bearer: others.AccessToken, session: session, status: 404, says: "no such session"},
		{name: "with her token for another client", bearer: again.AccessToken, session: session, status: 404, says: "no such session"},
		{name: "with no token", bearer: "", session: session, status: 401, says: oauth.CodeInvalidToken},
		{name: "with a refresh token", bearer: ada.RefreshToken, session: session, status: 401, says: oauth.CodeInvalidToken},
		{name: "that is another one's token", bearer: ada.AccessToken, session: others.AccessToken, status: 404, says: "no such session"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			resp, body := g.in(t).post(tt.bearer, whoami, http.Header{"Mcp-Session-Id": {tt.session}, "Mcp-Protocol-Version": {"2025-11-25"}})
			if resp.StatusCode != tt.status || !strings.Contains(body, tt.says) {
				t.Errorf("status %d, want %d and %q: %s", resp.StatusCode, tt.status, tt.says, body)
			}
			if tt.status != 200 && strings.Contains(body, "Ada") {
				t.Errorf("the answer is hers: %s", body)
			}
		})
	}
}

// testNobodyElsesPageOrNameIsServed: a web page of others, or a name of others
// that resolves to this machine, gets nothing, even with a good token.
func testNobodyElsesPageOrNameIsServed(t *testing.T) {
	t.Parallel()
	g := start(t, wideRates)
	_, ada := g.grant("Ada")
	port := g.url[strings.LastIndexByte(g.url, ':'):]
	for _, tt := range []struct{ name, host, origin string }{
		{name: "the origin of others", origin: "https://evil.example"},
		{name: "no origin at all, as a sandboxed page says", origin: "null"},
		{name: "an origin that begins like ours", origin: "http://localhost.evil.example"},
		{name: "an origin with ours as the user", origin: "http://localhost@evil.example"},
		{name: "an origin of a file", origin: "file://"},
		{name: "an origin of an extension", origin: "chrome-extension://abcdefgh"},
		{name: "an origin with a path", origin: g.url + "/"},
		{name: "an empty origin", origin: " "},
		{name: "the name of others", host: "evil.example"},
		{name: "the name of others with our port", host: "evil.example" + port},
		{name: "a name that begins like ours", host: "localhost.evil.example" + port},
		{name: "our name with a dot and others", host: "localhost.evil"},
		{name: "an address of the network", host: "192.168.0.1" + port},
		{name: "every address", host: "0.0.0.0" + port},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for path, method := range map[string]string{"/mcp": http.MethodPost, "/sse": http.MethodGet, "/sse/messages": http.MethodPost} {
				req, err := http.NewRequestWithContext(t.Context(), method, g.url+path, strings.NewReader(ping))
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Authorization", "Bearer "+ada.AccessToken)
				req.Header.Set("Content-Type", "application/json")
				if tt.origin != "" {
					req.Header.Set("Origin", tt.origin)
				}
				req.Host = tt.host
				page, _ := newBrowser(t).do(req)
				if page.status != http.StatusForbidden || page.header.Get("Access-Control-Allow-Origin") != "" || page.header.Get("WWW-Authenticate") != "" {
					t.Errorf("%s: status %d, headers %v", path, page.status, page.header)
				}
			}
		})
	}
}
