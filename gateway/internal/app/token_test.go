package app_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"mcp-gateway/shared/oauth"
)

func testRedeemRefusals(t *testing.T) {
	t.Parallel()
	g := start(t, "")
	a, other := newAuthorization(g.registration()), g.registration()
	b := newBrowser(t)
	set := func(key, value string) func(url.Values) { return func(f url.Values) { f.Set(key, value) } }
	for _, tt := range []struct {
		name   string
		change func(url.Values)
		status int
		code   string
	}{
		{"no grant_type", func(f url.Values) { f.Del("grant_type") }, 400, oauth.CodeInvalidRequest},
		{"another grant_type", set("grant_type", "password"), 400, oauth.CodeUnsupportedGrantType},
		{"no client_id", func(f url.Values) { f.Del("client_id") }, 400, oauth.CodeInvalidRequest},
		{"an unknown client", set("client_id", "mcpc_x"), 401, oauth.CodeInvalidClient},
		{"another client", set("client_id", other), 400, oauth.CodeInvalidGrant},
		{"a secret", set("client_secret", "x"), 401, oauth.CodeInvalidClient},
		{"no code", func(f url.Values) { f.Del("code") }, 400, oauth.CodeInvalidRequest},
		{"an unknown code", set("code", "mcpac_x"), 400, oauth.CodeInvalidGrant},
		{"no verifier", func(f url.Values) { f.Del("code_verifier") }, 400, oauth.CodeInvalidRequest},
		{"a wrong verifier", set("code_verifier", oauth.NewVerifier()), 400, oauth.CodeInvalidGrant},
		{"the challenge as verifier", set("code_verifier", oauth.ChallengeS256(a.verifier)), 400, oauth.CodeInvalidGrant},
		{"another redirect_uri", set("redirect_uri", "http://127.0.0.1:4712/callback"), 400, oauth.CodeInvalidGrant},
		{"a foreign resource", set("resource", "https://other.example/mcp"), 400, oauth.CodeInvalidTarget},
		{"a parameter twice", func(f url.Values) { f.Add("code", "x") }, 400, oauth.CodeInvalidRequest},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code := g.signIn(b, a, "Ada").Get("code")
			if got := g.redeem(a, code, tt.change); got.status != tt.status || got.Error != tt.code || got.AccessToken != "" {
				t.Errorf("got %d %q (%s), want %d %q", got.status, got.Error, got.ErrorDescription, tt.status, tt.code)
			}
			// A wrong attempt leaves the code usable.
			if got := g.redeem(a, code, nil); got.status != http.StatusOK {
				t.Errorf("after it the right request gets %d %s", got.status, got.Error)
			}
		})
	}
}

func testTheFifthWrongAttemptBurnsTheCode(t *testing.T) {
	t.Parallel()
	g := start(t, "")
	a := newAuthorization(g.registration())
	code := g.signIn(newBrowser(t), a, "Ada").Get("code")
	for range 5 {
		g.redeem(a, code, func(f url.Values) { f.Set("code_verifier", oauth.NewVerifier()) })
	}
	if got := g.redeem(a, code, nil); got.Error != oauth.CodeInvalidGrant {
		t.Errorf("got %d %q, want invalid_grant", got.status, got.Error)
	}
}

func testTokenEndpointTakesFormsByPostOnly(t *testing.T) {
	t.Parallel()
	g := start(t, "")
	for _, tt := range []struct {
		name, method, query, contentType, body string
		status                                 int
	}{
		{"GET", http.MethodGet, "?grant_type=authorization_code", "", "", 405},
		{"JSON", http.MethodPost, "", "application/json", `{"grant_type":"authorization_code"}`, 400},
		{"parameters in the query", http.MethodPost, "?grant_type=refresh_token&client_id=x&refresh_token=y", "application/x-www-form-urlencoded", "", 400},
		{"an endless form", http.MethodPost, "", "application/x-www-form-urlencoded", "code=" + strings.Repeat("x", 20000), 400},
		{"a broken escape", http.MethodPost, "", "application/x-www-form-urlencoded", "code=%zz", 400},
	} {
		t.Run(tt.name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), tt.method, g.url+"/token"+tt.query, strings.NewReader(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", tt.contentType)
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if resp.StatusCode != tt.status {
				t.Errorf("status %d, want %d", resp.StatusCode, tt.status)
			}
		})
	}
}

func TestScopesAndLifetime(t *testing.T) {
	t.Parallel()
	g := start(t, "")
	_, got := g.grant("Ada")
	if got.Scope != "mcp offline_access" || got.TokenType != "Bearer" || got.ExpiresIn != 600 {
		t.Errorf("got scope %q, type %q, %d s", got.Scope, got.TokenType, got.ExpiresIn)
	}
	if !strings.HasPrefix(got.AccessToken, "mcpat_") || !strings.HasPrefix(got.RefreshToken, "mcprt_") {
		t.Errorf("tokens without the prefix that scanners know: %.8s, %.8s", got.AccessToken, got.RefreshToken)
	}
}

func testRefreshRotatesAndRepeatsALostAnswer(t *testing.T) {
	t.Parallel()
	g := start(t, "")
	clientID, first := g.grant("Ada")
	second := g.refresh(clientID, first.RefreshToken)
	if second.status != http.StatusOK || second.RefreshToken == first.RefreshToken {
		t.Fatalf("refresh: %+v", second)
	}
	again := g.refresh(clientID, first.RefreshToken)
	if again.status != http.StatusOK || again.RefreshToken != second.RefreshToken || again.AccessToken == second.AccessToken {
		t.Errorf("the lost answer was not repeated: %d %s", again.status, again.Error)
	}
	for _, bearer := range []string{first.AccessToken, second.AccessToken, again.AccessToken} {
		if resp, body := g.callModern(bearer, "whoami", "{}"); resp.StatusCode != http.StatusOK {
			t.Errorf("status %d: %s", resp.StatusCode, body)
		}
	}
	for name, got := range map[string]tokenAnswer{
		"another client":              g.refresh(g.registration(), second.RefreshToken),
		"an access token":             g.refresh(clientID, second.AccessToken),
		"an invented token":           g.refresh(clientID, "mcprt_"+oauth.NewVerifier()),
		"a foreign resource is tried": g.token(url.Values{"grant_type": {"refresh_token"}, "client_id": {clientID}, "refresh_token": {second.RefreshToken}, "resource": {"https://x.example"}}),
	} {
		if got.status != http.StatusBadRequest || got.Error != oauth.CodeInvalidGrant && got.Error != oauth.CodeInvalidTarget {
			t.Errorf("%s: %d %s", name, got.status, got.Error)
		}
	}
	if got := g.refresh(clientID, second.RefreshToken); got.status != http.StatusOK {
		t.Errorf("none of that must end the grant: %d %s", got.status, got.Error)
	}
}

func testReuseAfterTheGraceEndsTheGrant(t *testing.T) {
	t.Parallel()
	g := start(t, "tokens: {refresh_grace: 0s}\n")
	clientID, first := g.grant("Ada")
	second := g.refresh(clientID, first.RefreshToken)
	// The successor is used, so the predecessor's time is over.
	if resp, _ := g.callModern(second.AccessToken, "whoami", "{}"); resp.StatusCode != http.StatusOK {
		t.Fatalf("status %d", resp.StatusCode)
	}
	if got := g.refresh(clientID, first.RefreshToken); got.Error != oauth.CodeInvalidGrant {
		t.Errorf("reuse: %d %q", got.status, got.Error)
	}
	if got := g.refresh(clientID, second.RefreshToken); got.Error != oauth.CodeInvalidGrant {
		t.Errorf("the successor still works: %d", got.status)
	}
	// At once, not when the cache forgets.
	if resp, _ := g.callModern(second.AccessToken, "whoami", "{}"); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("the access token still works: status %d", resp.StatusCode)
	}
}

func testRegistration(t *testing.T) {
	t.Parallel()
	g := start(t, "")
	for _, tt := range []struct {
		name, body string
		status     int
		code       string
	}{
		{"Claude Code's name", `{"client_name":"Claude Code (x)","redirect_uris":["http://localhost/callback"]}`, 201, ""},
		{"no name", `{"redirect_uris":["https://claude.ai/api/mcp/auth_callback"],"token_endpoint_auth_method":"client_secret_post"}`, 201, ""},
		{"Cursor's scheme", `{"redirect_uris":["cursor://anysphere.cursor-retrieval/oauth/user-x/callback","https://cursor.example/cb"]}`, 201, ""},
		{"remote http", `{"redirect_uris":["http://evil.example/cb"]}`, 400, oauth.CodeInvalidRedirectURI},
		{"a fragment", `{"redirect_uris":["https://a.example/cb#x"]}`, 400, oauth.CodeInvalidRedirectURI},
		{"javascript", `{"redirect_uris":["javascript:alert(1)"]}`, 400, oauth.CodeInvalidRedirectURI},
		{"no redirect_uris", `{"client_name":"x"}`, 400, oauth.CodeInvalidRedirectURI},
		{"malformed JSON", `{"redirect_uris":`, 400, oauth.CodeInvalidClientMetadata},
		{"an array", `[]`, 400, oauth.CodeInvalidClientMetadata},
		{"the implicit flow only", `{"redirect_uris":["https://a.example/cb"],"response_types":["token"]}`, 400, oauth.CodeInvalidClientMetadata},
		{"a document without end", `{"client_name":"` + strings.Repeat("x", 40000) + `"}`, 400, oauth.CodeInvalidClientMetadata},
	} {
		t.Run(tt.name, func(t *testing.T) {
			resp, err := http.Post(g.url+"/register", "application/json", strings.NewReader(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = resp.Body.Close() }()
			body := make([]byte, 4096)
			n, _ := resp.Body.Read(body)
			if resp.StatusCode != tt.status || !strings.Contains(string(body[:n]), tt.code) || resp.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("status %d, %s, want %d and %q", resp.StatusCode, body[:n], tt.status, tt.code)
			}
		})
	}
}

func TestRateLimits(t *testing.T) {
	t.Parallel()
	g := start(t, "http: {rates: {token: {per_minute: 1, burst: 3}}}\n")
	for i := range 4 {
		resp, err := http.PostForm(g.url+"/token", url.Values{})
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		want := http.StatusBadRequest
		if i == 3 {
			want = http.StatusTooManyRequests
		}
		if resp.StatusCode != want || (resp.Header.Get("Retry-After") != "") != (i == 3) {
			t.Errorf("request %d: status %d, Retry-After %q", i, resp.StatusCode, resp.Header.Get("Retry-After"))
		}
	}
	if resp, err := http.Get(g.url + "/authorize"); err != nil || resp.StatusCode != http.StatusBadRequest {
		t.Errorf("another endpoint is limited too: %v, %v", resp, err)
	}
}

func TestNothingSecretIsLogged(t *testing.T) {
	t.Parallel()
	g := start(t, "")
	a := newAuthorization(g.registration())
	code := g.signIn(newBrowser(t), a, "Ada").Get("code")
	tokens := g.redeem(a, code, nil)
	more := g.refresh(a.clientID, tokens.RefreshToken)
	g.redeem(a, code, nil)
	if resp, _ := g.callModern(more.AccessToken, "math_add", `{"a":23,"b":19}`); resp.StatusCode != http.StatusOK {
		t.Fatalf("status %d", resp.StatusCode)
	}
	logs := g.logs.String()
	if !strings.Contains(logs, "token issued") {
		t.Fatal("nothing was logged")
	}
	for name, secret := range map[string]string{
		"code": code, "verifier": a.verifier, "access token": tokens.AccessToken, "refresh token": tokens.RefreshToken,
		"second access token": more.AccessToken, "second refresh token": more.RefreshToken, "client id": a.clientID,
		"client secret": demoSecret, "client state": a.state,
	} {
		if secret == "" || strings.Contains(logs, secret) {
			t.Errorf("the %s is in the log, or empty", name)
		}
	}
}
