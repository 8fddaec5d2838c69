package app_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mcp-gateway/gateway/internal/store"
	"mcp-gateway/shared/entrasim"
	"mcp-gateway/shared/oauth"
)

// crmSecret and erpSecret are those of two resource servers, crm and erp.
const (
	crmSecret = "crm-secret-0123456789-0123456789"
	erpSecret = "erp-secret-0123456789-0123456789"
)

// inspected starts a gateway with two resource servers.
func inspected(t *testing.T, extra string) (*gateway, string) {
	t.Helper()
	extra += fmt.Sprintf("resource_servers:\n  - {id: crm, secret_file: %q}\n  - {id: erp, secret_file: %q}\n", secretFile(t, crmSecret), secretFile(t, erpSecret))
	return start(t, extra), extra
}

// introspect asks about a token as the resource server crm.
func (g *gateway) introspect(token string) reply {
	g.t.Helper()
	return g.send("/introspect", url.Values{"token": {token}}, basic("crm", crmSecret))
}

const inactive = `{"active":false}`

func testIntrospectionOfAGoodToken(t *testing.T) {
	t.Parallel()
	g, _ := inspected(t, "scopes:\n  - {name: calc.divide, description: divide, tools: [math_divide]}\n")
	a := newAuthorization(g.registration())
	before := time.Now()
	code := g.visit(newBrowser(t), a, clientRedirect, "Ada", true, func(q url.Values) { q.Set("scope", "calc.divide openid") }).Get("code")
	tokens := g.redeem(a, code, nil)
	after := time.Now()
	for name, got := range map[string]reply{
		"in the header":                 g.introspect(tokens.AccessToken),
		"in the body":                   g.send("/introspect", url.Values{"token": {tokens.AccessToken}, "client_id": {"crm"}, "client_secret": {crmSecret}}, nil),
		"another server":                g.send("/introspect", url.Values{"token": {tokens.AccessToken}}, basic("erp", erpSecret)),
		"with a hint, here a wrong one": g.send("/introspect", url.Values{"token": {tokens.AccessToken}, "token_type_hint": {"refresh_token"}}, basic("crm", crmSecret)),
	} {
		var members map[string]any
		if err := json.Unmarshal([]byte(got.body), &members); err != nil || got.status != http.StatusOK {
			t.Fatalf("%s: %d %s", name, got.status, got.body)
		}
		end, _ := members["exp"].(float64)
		if end < float64(before.Add(10*time.Minute).Unix()) || end > float64(after.Add(10*time.Minute).Unix()) {
			t.Errorf("%s: exp = %v", name, members["exp"])
		}
		want := map[string]any{
			"active": true, "scope": "mcp calc.divide", "client_id": a.clientID, "username": entrasim.Ada, "token_type": "Bearer", "exp": end,
			"sub": entrasim.DemoTenant + "/" + entrasim.AdaObject, "aud": g.url, "iss": g.url,
		}
		if diff := cmp.Diff(want, members); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if got.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: pages of any origin can read the answer", name)
		}
	}
}

// testIntrospectionTellsNothingOfOtherTokens: whatever is wrong, the answer is
// the same (RFC 7662 §2.2).
func testIntrospectionTellsNothingOfOtherTokens(t *testing.T) {
	t.Parallel()
	g, extra := inspected(t, "")
	other, _ := inspected(t, "")
	clientID, tokens := g.grant("Ada")
	_, foreign := other.grant("Ada")
	a := newAuthorization(clientID)
	code := g.signIn(newBrowser(t), a, "Ada").Get("code")
	_, expired := g.grant("Nora")
	g.expire(expired.AccessToken)
	for name, token := range map[string]string{
		"an unknown token": "mcpat_" + oauth.NewVerifier(), "no token of ours": "x", "a refresh token": tokens.RefreshToken, "a code": code,
		"another gateway's token": foreign.AccessToken, "a token with a space": tokens.AccessToken + " ", "an expired token": expired.AccessToken,
		"a bearer header": "Bearer " + tokens.AccessToken, "an endless token": strings.Repeat("x", 9000), "a client_id": clientID,
	} {
		if got := g.introspect(token); got.status != http.StatusOK || got.body != inactive {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	if got := g.redeem(a, code, nil); got.status != http.StatusOK {
		t.Errorf("the code was used up: %d %s", got.status, got.Error)
	}
	if got := g.refresh(clientID, tokens.RefreshToken); got.status != http.StatusOK {
		t.Errorf("the refresh token was used up: %d %s", got.status, got.Error)
	}
	g.restart(extra, nil)
	if got := g.introspect(expired.AccessToken); got.body != inactive {
		t.Errorf("an expired token after a restart: %s", got.body)
	}
}

// expire puts the end of an access token into the past.
func (g *gateway) expire(bearer string) {
	g.t.Helper()
	hash := store.HashOf(bearer)
	breakTrail(g.t, filepath.Join(g.dir, "gateway.db"), fmt.Sprintf(`UPDATE access_tokens SET expires_at = 1 WHERE hash = x'%x'`, hash[:]))
}

func testIntrospectionEndsWithTheGrant(t *testing.T) {
	t.Parallel()
	g, _ := inspected(t, "")
	clientID, first := g.grant("Ada")
	second := g.refresh(clientID, first.RefreshToken)
	for _, bearer := range []string{first.AccessToken, second.AccessToken} {
		if got := g.introspect(bearer); !strings.Contains(got.body, `"active":true`) {
			t.Fatalf("before its end: %s", got.body)
		}
	}
	if got := g.revoke(url.Values{"token": {second.RefreshToken}, "client_id": {clientID}}); got.status != http.StatusOK {
		t.Fatalf("revoke: %d %s", got.status, got.body)
	}
	for _, bearer := range []string{first.AccessToken, second.AccessToken} {
		if got := g.introspect(bearer); got.status != http.StatusOK || got.body != inactive {
			t.Errorf("after its end: %d %s", got.status, got.body)
		}
	}
}

func testIntrospectionRefusals(t *testing.T) {
	t.Parallel()
	g, _ := inspected(t, "")
	public, tokens := g.grant("Ada")
	info := g.registerAs(oauth.AuthMethodSecretBasic, serverRedirect)
	form := url.Values{"token": {tokens.AccessToken}}
	right := basic("crm", crmSecret)
	const notListed = "only resource servers"
	for _, tt := range []struct {
		name       string
		form       url.Values
		header     http.Header
		status     int
		code, says string
	}{
		{name: "no credentials", form: form, status: 401, code: oauth.CodeInvalidClient, says: notListed},
		{name: "the right id alone", form: with(form, "client_id", "crm"), status: 401, code: oauth.CodeInvalidClient, says: notListed},
		{name: "a wrong secret", form: form, header: basic("crm", crmSecret+"x"), status: 401, code: oauth.CodeInvalidClient, says: notListed},
		{name: "an empty secret", form: form, header: basic("crm", ""), status: 401, code: oauth.CodeInvalidClient, says: notListed},
		{name: "another server's secret", form: form, header: basic("crm", erpSecret), status: 401, code: oauth.CodeInvalidClient, says: notListed},
		{name: "an unknown server", form: form, header: basic("hr", crmSecret), status: 401, code: oauth.CodeInvalidClient, says: notListed},
		{name: "nobody's name", form: form, header: basic("", ""), status: 401, code: oauth.CodeInvalidClient, says: notListed},
		{name: "the client's own credentials", form: form, header: basic(info.ClientID, info.ClientSecret), status: 401, code: oauth.CodeInvalidClient, says: notListed},
		{name: "a public client", form: with(form, "client_id", public), status: 401, code: oauth.CodeInvalidClient, says: notListed},
		{name: "the token itself as bearer", form: form, header: http.Header{"Authorization": {"Bearer " + tokens.AccessToken}}, status: 401, code: oauth.CodeInvalidClient, says: "scheme Basic"},
		{name: "an assertion", form: asserting(form, "x"), status: 401, code: oauth.CodeInvalidClient, says: notListed},
		{name: "a wrong secret and no token", form: nil, header: basic("crm", "x"), status: 401, code: oauth.CodeInvalidClient, says: notListed},
		{name: "no token", form: nil, header: right, status: 400, code: oauth.CodeInvalidRequest, says: "token is missing"},
		{name: "an empty token", form: url.Values{"token": {""}}, header: right, status: 400, code: oauth.CodeInvalidRequest, says: "token is missing"},
		{name: "two tokens", form: url.Values{"token": {tokens.AccessToken, tokens.AccessToken}}, header: right, status: 400, code: oauth.CodeInvalidRequest, says: "more than once"},
		{name: "two hints", form: url.Values{"token": {tokens.AccessToken}, "token_type_hint": {"a", "b"}}, header: right, status: 400, code: oauth.CodeInvalidRequest, says: "more than once"},
		{name: "both ways", form: with(form, "client_secret", crmSecret), header: right, status: 400, code: oauth.CodeInvalidRequest, says: "more than one way"},
		{name: "another id in the body", form: with(form, "client_id", "erp"), header: right, status: 400, code: oauth.CodeInvalidRequest, says: "another than that"},
		{name: "an endless form", form: with(form, "x", strings.Repeat("x", 20000)), header: right, status: 400, code: oauth.CodeInvalidRequest, says: "larger than 16 KB"},
		{name: "JSON", form: form, header: http.Header{"Authorization": right["Authorization"], "Content-Type": {"application/json"}}, status: 400, code: oauth.CodeInvalidRequest, says: "x-www-form-urlencoded"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := g.send("/introspect", tt.form, tt.header)
			got.wants(t, tt.status, tt.code, tt.says)
			if challenge := got.header.Get("WWW-Authenticate"); tt.status == 401 && strings.HasPrefix(challenge, `Basic realm="`) != (tt.header != nil) {
				t.Errorf("challenge %q", challenge)
			}
		})
	}
	t.Run("the token in the query", func(t *testing.T) {
		g.send("/introspect?token="+tokens.AccessToken, nil, right).wants(t, 400, oauth.CodeInvalidRequest, "token is missing")
	})
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodOptions} {
		req, err := http.NewRequestWithContext(t.Context(), method, g.url+"/introspect?token="+tokens.AccessToken, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header = right.Clone()
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusMethodNotAllowed || resp.Header.Get("Allow") != http.MethodPost {
			t.Errorf("%s: %d, Allow %q", method, resp.StatusCode, resp.Header.Get("Allow"))
		}
	}
	for name, secret := range map[string]string{"crm's secret": crmSecret, "erp's secret": erpSecret} {
		if strings.Contains(g.logs.String(), secret) {
			t.Errorf("%s is in the log", name)
		}
	}
}

// TestResourceServersAreNoClients: they may ask, and get nothing.
func TestResourceServersAreNoClients(t *testing.T) {
	t.Parallel()
	g, _ := inspected(t, "")
	page, next := newBrowser(t).get(g.authorizeURL(newAuthorization("crm"), nil))
	if next != nil || !strings.Contains(page.body, "not registered") {
		t.Errorf("/authorize: status %d, redirected to %v", page.status, next)
	}
	g.send("/token", g.refreshForm("", "x"), basic("crm", crmSecret)).wants(t, 401, oauth.CodeInvalidClient, "not issued")
	doc, _ := g.serverMetadata()
	want := []string{oauth.AuthMethodSecretBasic, oauth.AuthMethodSecretPost}
	if diff := cmp.Diff(want, doc.IntrospectionEndpointAuthMethodsSupported); doc.IntrospectionEndpoint != g.url+"/introspect" || diff != "" {
		t.Errorf("advertised at %q (-want +got):\n%s", doc.IntrospectionEndpoint, diff)
	}
}

// TestAStoreOutageIsNeverAnInactiveToken: a resource server would log people
// out.
func TestAStoreOutageIsNeverAnInactiveToken(t *testing.T) {
	t.Parallel()
	g, _ := inspected(t, "")
	_, tokens := g.grant("Ada")
	path := filepath.Join(g.dir, "gateway.db")
	breakTrail(t, path, `ALTER TABLE grants RENAME TO hidden`)
	for _, token := range []string{tokens.AccessToken, "mcpat_" + oauth.NewVerifier()} {
		got := g.introspect(token)
		got.wants(t, 503, oauth.CodeTemporarilyUnavailable, "try again")
		if strings.Contains(got.body, "active") {
			t.Errorf("an outage answers %s", got.body)
		}
	}
	breakTrail(t, path, `ALTER TABLE hidden RENAME TO grants`)
	if got := g.introspect(tokens.AccessToken); !strings.Contains(got.body, `"active":true`) {
		t.Errorf("after the outage: %d %s", got.status, got.body)
	}
}
