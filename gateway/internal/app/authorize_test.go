package app_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"mcp-gateway/shared/entrasim"
	"mcp-gateway/shared/oauth"
)

// get opens an address without following anything.
func (b *browser) get(address string) (document, *url.URL) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, address, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.do(req)
}

func testAuthorizeRefusesOnAPageUntilTheClientIsKnown(t *testing.T) {
	t.Parallel()
	g := start(t, "")
	a := newAuthorization(g.registration())
	flipped := []byte(a.clientID)
	flipped[len(flipped)-1] ^= 1
	for _, tt := range []struct {
		name   string
		change func(url.Values)
		says   string
	}{
		{"no client_id", func(q url.Values) { q.Del("client_id") }, "not registered"},
		{"an invented client_id", func(q url.Values) { q.Set("client_id", "mcpc_AAAA") }, "not registered"},
		{"a client_id with a changed bit", func(q url.Values) { q.Set("client_id", string(flipped)) }, "not registered"},
		{"two client_ids", func(q url.Values) { q.Add("client_id", a.clientID) }, "more than once"},
		{"another redirect host", func(q url.Values) { q.Set("redirect_uri", "https://evil.example/callback") }, "did not register"},
		{"another loopback path", func(q url.Values) { q.Set("redirect_uri", "http://127.0.0.1:4711/other") }, "did not register"},
		{"localhost for 127.0.0.1", func(q url.Values) { q.Set("redirect_uri", "http://localhost:4711/callback") }, "did not register"},
		{"a user in the redirect", func(q url.Values) { q.Set("redirect_uri", "http://127.0.0.1:4711@evil.example/callback") }, "did not register"},
		{"two redirect_uris", func(q url.Values) { q.Add("redirect_uri", "https://evil.example/") }, "more than once"},
		{"two states", func(q url.Values) { q.Add("state", "x") }, "more than once"},
		{"an endless state", func(q url.Values) { q.Set("state", strings.Repeat("x", 3000)) }, "2048"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			page, next := newBrowser(t).get(g.authorizeURL(a, tt.change))
			if next != nil {
				t.Fatalf("redirected to %s", next)
			}
			if page.status != http.StatusBadRequest || !strings.Contains(page.body, tt.says) {
				t.Errorf("status %d, page without %q:\n%s", page.status, tt.says, page.body)
			}
			if page.header.Get("Access-Control-Allow-Origin") != "" {
				t.Error("the authorization endpoint has CORS")
			}
		})
	}
}

func TestAuthorizeAnswersTheClientOnceItIsKnown(t *testing.T) {
	t.Parallel()
	g := start(t, "")
	a := newAuthorization(g.registration())
	for _, tt := range []struct {
		name   string
		change func(url.Values)
		code   string
	}{
		{"no response_type", func(q url.Values) { q.Del("response_type") }, oauth.CodeInvalidRequest},
		{"response_type=token", func(q url.Values) { q.Set("response_type", "token") }, oauth.CodeUnsupportedResponseType},
		{"no PKCE", func(q url.Values) { q.Del("code_challenge"); q.Del("code_challenge_method") }, oauth.CodeInvalidRequest},
		{"PKCE plain", func(q url.Values) { q.Set("code_challenge_method", "plain") }, oauth.CodeInvalidRequest},
		{"PKCE with the method left out, which means plain", func(q url.Values) { q.Del("code_challenge_method") }, oauth.CodeInvalidRequest},
		{"a short challenge", func(q url.Values) { q.Set("code_challenge", "abc") }, oauth.CodeInvalidRequest},
		{"two challenges", func(q url.Values) { q.Add("code_challenge", "x") }, oauth.CodeInvalidRequest},
		{"a foreign resource", func(q url.Values) { q.Set("resource", "https://other.example/mcp") }, oauth.CodeInvalidTarget},
		{"a foreign resource beside ours", func(q url.Values) { q.Add("resource", "https://other.example/mcp") }, oauth.CodeInvalidTarget},
		{"a path of ours that is no resource", func(q url.Values) { q.Set("resource", g.url+"/mcp/other") }, oauth.CodeInvalidTarget},
		{"response_mode=fragment", func(q url.Values) { q.Set("response_mode", "fragment") }, oauth.CodeInvalidRequest},
		{"a request object", func(q url.Values) { q.Set("request_uri", "https://evil.example/r") }, oauth.CodeInvalidRequest},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, next := newBrowser(t).get(g.authorizeURL(a, tt.change))
			if next == nil || !strings.HasPrefix(next.String(), clientRedirect+"?") {
				t.Fatalf("redirected to %v, want the client", next)
			}
			q := next.Query()
			if q.Get("error") != tt.code || q.Get("state") != a.state || q.Get("iss") != g.url || q.Get("code") != "" {
				t.Errorf("answer = %v, want error %s with state and iss", q, tt.code)
			}
		})
	}
}

func testAuthorizeAcceptsEveryFormOfTheResource(t *testing.T) {
	t.Parallel()
	g := start(t, "")
	a := newAuthorization(g.registration())
	upper := strings.Replace(g.url, "http://localhost", "HTTP://LOCALHOST", 1)
	for _, resource := range []string{"", g.url, g.url + "/", g.url + "/mcp", g.url + "/mcp/", g.url + "/sse", upper + "/mcp"} {
		page, next := newBrowser(t).get(g.authorizeURL(a, func(q url.Values) {
			q.Del("resource")
			if resource != "" {
				q.Set("resource", resource)
			}
		}))
		if next != nil || page.status != http.StatusOK || len(page.forms) != 1 {
			t.Errorf("resource %q: redirected to %v, status %d", resource, next, page.status)
		}
	}
}

// testConsentComesFirstAndIsBoundToTheBrowser is the confused deputy: an
// attacker's client, a victim with a session at Microsoft.
func testConsentComesFirstAndIsBoundToTheBrowser(t *testing.T) {
	t.Parallel()
	g := start(t, "")
	ctx := t.Context()
	attacker, victim := newBrowser(t), newBrowser(t)
	a := newAuthorization(g.registration())

	consent, _ := attacker.open(ctx, g.authorizeURL(a, nil))
	if !strings.Contains(consent.body, "Test client") || !strings.Contains(consent.body, "127.0.0.1:4711") {
		t.Errorf("the page shows neither who asks nor where the answer goes:\n%s", consent.body)
	}
	csp := consent.header.Get("Content-Security-Policy")
	for _, want := range []string{"form-action 'self' " + g.authority + " http://127.0.0.1:4711", "frame-ancestors 'none'"} {
		if !strings.Contains(csp, want) {
			t.Errorf("the policy lacks %q: %s", want, csp)
		}
	}

	t.Run("a form of another browser is refused", func(t *testing.T) {
		page, next := victim.press(ctx, consent, "allow")
		if next != nil || page.status != http.StatusBadRequest || !strings.Contains(page.body, "no longer valid") {
			t.Errorf("status %d, redirected to %v", page.status, next)
		}
	})
	t.Run("a form posted by another site is refused", func(t *testing.T) {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, g.url+"/consent", strings.NewReader(consent.forms[0].fields.Encode()+"&decision=allow"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Sec-Fetch-Site", "cross-site")
		if page, next := attacker.do(req); next != nil || page.status != http.StatusForbidden {
			t.Errorf("status %d, redirected to %v", page.status, next)
		}
	})
	t.Run("a callback in another browser is refused", func(t *testing.T) {
		microsoft, _ := attacker.press(ctx, consent, "allow")
		callback, err := entrasim.SignIn(ctx, http.DefaultClient, microsoft.url.String(), entrasim.Ada)
		if err != nil {
			t.Fatal(err)
		}
		page, next := victim.get(callback)
		if next != nil || page.status != http.StatusBadRequest || !strings.Contains(page.body, "cannot be finished") {
			t.Errorf("status %d, redirected to %v", page.status, next)
		}
		// It was not consumed either: the browser that started it can finish,
		// once.
		if _, next := attacker.get(callback); next == nil || next.Query().Get("code") == "" {
			t.Errorf("the own browser got %v", next)
		}
		if page, next := attacker.get(callback); next != nil || page.status != http.StatusBadRequest {
			t.Errorf("the callback worked twice: status %d, %v", page.status, next)
		}
	})
}

func TestAHeadRequestDoesNotConsumeTheCallback(t *testing.T) {
	t.Parallel()
	g := start(t, "")
	b := newBrowser(t)
	consent, _ := b.open(t.Context(), g.authorizeURL(newAuthorization(g.registration()), nil))
	microsoft, _ := b.press(t.Context(), consent, "allow")
	callback, err := entrasim.SignIn(t.Context(), http.DefaultClient, microsoft.url.String(), entrasim.Ada)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodHead, callback, nil)
	if err != nil {
		t.Fatal(err)
	}
	if page, _ := b.do(req); page.status != http.StatusMethodNotAllowed {
		t.Errorf("HEAD: status %d", page.status)
	}
	if _, next := b.get(callback); next == nil || next.Query().Get("code") == "" {
		t.Errorf("GET after HEAD got %v", next)
	}
}

func TestDenyingTellsTheClient(t *testing.T) {
	t.Parallel()
	g := start(t, "")
	b := newBrowser(t)
	a := newAuthorization(g.registration())
	consent, _ := b.open(t.Context(), g.authorizeURL(a, nil))
	_, back := b.press(t.Context(), consent, "deny")
	if back == nil || back.Query().Get("error") != oauth.CodeAccessDenied || back.Query().Get("state") != a.state || back.Query().Get("iss") != g.url {
		t.Errorf("the client was told %v", back)
	}
}

// TestFailuresAtMicrosoft: each shows a page in plain words and hands the
// client an answer; none ends in a dead end.
func TestFailuresAtMicrosoft(t *testing.T) {
	t.Parallel()
	type outcome = entrasim.Outcome
	authorize := func(o outcome) func(*entrasim.Sim) { return func(s *entrasim.Sim) { s.FailAuthorize(o) } }
	token := func(o outcome) func(*entrasim.Sim) { return func(s *entrasim.Sim) { s.FailToken(o) } }
	for _, tt := range []struct {
		name   string
		fail   func(*entrasim.Sim)
		status int
		says   string
		code   string
	}{
		{"Conditional Access", authorize(outcome{AADSTS: 53003}), 403, "AADSTS53003", oauth.CodeAccessDenied},
		{"not assigned", authorize(outcome{AADSTS: 50105}), 403, "AADSTS50105", oauth.CodeAccessDenied},
		{"an admin must approve", authorize(outcome{AADSTS: 90094}), 403, "AADSTS90094", oauth.CodeAccessDenied},
		{"Microsoft is busy", authorize(outcome{Error: "temporarily_unavailable", AADSTS: 90033}), 503, "AADSTS90033", oauth.CodeTemporarilyUnavailable},
		{"a script as description", authorize(outcome{Error: "server_error", AADSTS: 1234567, Description: "<script>alert(1)</script>"}), 503, "AADSTS1234567", oauth.CodeTemporarilyUnavailable},
		{"the secret is wrong", token(outcome{AADSTS: 7000215}), 502, "AADSTS7000215", oauth.CodeServerError},
		{"the secret has expired", token(outcome{AADSTS: 7000222}), 502, "AADSTS7000222", oauth.CodeServerError},
		{"a second factor", token(outcome{AADSTS: 50076}), 403, "AADSTS50076", oauth.CodeAccessDenied},
		{"throttled", token(outcome{Fault: entrasim.Throttled}), 503, "cannot be reached", oauth.CodeTemporarilyUnavailable},
		{"an outage page", token(outcome{Fault: entrasim.Outage}), 503, "cannot be reached", oauth.CodeTemporarilyUnavailable},
		{"a cut-off answer", token(outcome{Fault: entrasim.Truncated}), 503, "cannot be reached", oauth.CodeTemporarilyUnavailable},
		{"an answer without ID token", token(outcome{Fault: entrasim.NoIDToken}), 502, "not set up correctly", oauth.CodeServerError},
		{"a connection that hangs up", token(outcome{Fault: entrasim.HangUp}), 503, "cannot be reached", oauth.CodeTemporarilyUnavailable},
		{"a redirect with the secret", token(outcome{Fault: entrasim.Redirected}), 502, "not set up correctly", oauth.CodeServerError},
		{"broken keys", func(s *entrasim.Sim) { s.FailKeys(outcome{Fault: entrasim.Outage}) }, 503, "cannot be reached", oauth.CodeTemporarilyUnavailable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := start(t, "")
			b := newBrowser(t)
			a := newAuthorization(g.registration())
			consent, _ := b.open(t.Context(), g.authorizeURL(a, nil))
			microsoft, _ := b.press(t.Context(), consent, "allow")
			tt.fail(g.sim)
			page, next := b.press(t.Context(), microsoft, "Ada")
			if next != nil {
				t.Fatalf("redirected to %s without a page", next)
			}
			if page.status != tt.status || !strings.Contains(page.body, tt.says) || strings.Contains(page.body, "<script") {
				t.Errorf("status %d, want %d and %q:\n%s", page.status, tt.status, tt.says, page.body)
			}
			back := strings.ReplaceAll(page.body, "&amp;", "&")
			for _, want := range []string{clientRedirect + "?error=" + tt.code + "&", "state=" + a.state, "iss=" + url.QueryEscape(g.url)} {
				if !strings.Contains(back, want) {
					t.Errorf("the way back lacks %q", want)
				}
			}
		})
	}
}

func TestDiscoveryFailureIsTemporary(t *testing.T) {
	t.Parallel()
	g := start(t, "")
	g.sim.FailDiscovery(entrasim.Outcome{Fault: entrasim.Outage})
	b := newBrowser(t)
	consent, _ := b.open(t.Context(), g.authorizeURL(newAuthorization(g.registration()), nil))
	page, _ := b.press(t.Context(), consent, "allow")
	if page.status != http.StatusServiceUnavailable || !strings.Contains(page.body, "error="+oauth.CodeTemporarilyUnavailable) {
		t.Errorf("status %d:\n%s", page.status, page.body)
	}
}

func TestMetadata(t *testing.T) {
	t.Parallel()
	g := start(t, "")
	for path, want := range map[string]string{
		"/.well-known/oauth-authorization-server":    `"issuer":"` + g.url + `"`,
		"/.well-known/openid-configuration":          `"code_challenge_methods_supported":["S256"]`,
		"/.well-known/oauth-protected-resource":      `"resource":"` + g.url + `"`,
		"/.well-known/oauth-protected-resource/":     `"resource":"` + g.url + `/"`,
		"/.well-known/oauth-protected-resource/mcp":  `"resource":"` + g.url + `/mcp"`,
		"/.well-known/oauth-protected-resource/mcp/": `"resource":"` + g.url + `/mcp/"`,
		"/.well-known/oauth-protected-resource/sse":  `"resource":"` + g.url + `/sse"`,
	} {
		resp, err := http.Get(g.url + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(body), want) {
			t.Errorf("%s: status %d, %s, want %s", path, resp.StatusCode, body, want)
		}
		if resp.Header.Get("Access-Control-Allow-Origin") != "*" || resp.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: headers %v", path, resp.Header)
		}
		if strings.Contains(path, "protected") && strings.Contains(string(body), "offline_access") {
			t.Errorf("%s: the resource asks for offline_access", path)
		}
	}
}
