package app_test

import (
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"mcp-gateway/shared/oauth"
)

// serverRedirect is where a client that is a server is answered.
const serverRedirect = "https://app.example/callback"

// registerAs registers a client with a method and where it is answered, and
// returns it with its secret.
func (g *gateway) registerAs(method string, redirects ...string) oauth.ClientInformation {
	g.t.Helper()
	got := g.register(`{"client_name":"Server client","redirect_uris":["` + strings.Join(redirects, `","`) + `"],"token_endpoint_auth_method":"` + method + `"}`)
	if got.status != http.StatusCreated {
		g.t.Fatalf("register: %d %s", got.status, got.body)
	}
	secretive := method != oauth.AuthMethodNone
	if got.TokenEndpointAuthMethod != method || (got.ClientSecret != "") != secretive || strings.Contains(got.body, `"client_secret_expires_at":0`) != secretive {
		g.t.Fatalf("registered as %s", got.body)
	}
	return got.ClientInformation
}

// proving adds a client's secret to a request in the client's own way.
func proving(info oauth.ClientInformation, form url.Values) (url.Values, http.Header) {
	if info.TokenEndpointAuthMethod == oauth.AuthMethodSecretPost {
		return with(form, "client_id", info.ClientID, "client_secret", info.ClientSecret), nil
	}
	return with(form, "client_id", ""), basic(info.ClientID, info.ClientSecret)
}

// granted signs Ada in at a client with a secret.
func (g *gateway) granted(info oauth.ClientInformation) reply {
	g.t.Helper()
	a := newAuthorization(info.ClientID)
	code := g.visit(newBrowser(g.t), a, serverRedirect, "Ada", true, nil).Get("code")
	form, header := proving(info, g.codeForm(a, code, serverRedirect))
	got := g.send("/token", form, header)
	if got.status != http.StatusOK {
		g.t.Fatalf("redeem: %d %s", got.status, got.body)
	}
	return got
}

func testAClientWithASecretUsesItAtEachEndpoint(t *testing.T) {
	t.Parallel()
	g := start(t, "")
	for _, method := range []string{oauth.AuthMethodSecretBasic, oauth.AuthMethodSecretPost} {
		info := g.registerAs(method, serverRedirect)
		first := g.granted(info)
		form, header := proving(info, g.refreshForm(info.ClientID, first.RefreshToken))
		second := g.send("/token", form, header)
		if second.status != http.StatusOK {
			t.Fatalf("%s: refresh: %d %s", method, second.status, second.body)
		}
		revocation := url.Values{"client_id": {info.ClientID}, "token": {second.RefreshToken}}
		g.send("/revoke", revocation, nil).wants(t, 401, oauth.CodeInvalidClient, "did not prove")
		if resp, body := g.callModern(second.AccessToken, "whoami", "{}"); resp.StatusCode != http.StatusOK {
			t.Errorf("%s: a revocation without secret did something: %d %s", method, resp.StatusCode, body)
		}
		form, header = proving(info, revocation)
		if got := g.send("/revoke", form, header); got.status != http.StatusOK {
			t.Errorf("%s: revoke: %d %s", method, got.status, got.body)
		}
		if resp, _ := g.callModern(second.AccessToken, "whoami", "{}"); resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: after the revocation: %d", method, resp.StatusCode)
		}
	}
}

func testSecretRefusals(t *testing.T) {
	t.Parallel()
	g := start(t, "")
	inHeader, inBody := g.registerAs(oauth.AuthMethodSecretBasic, serverRedirect), g.registerAs(oauth.AuthMethodSecretPost, serverRedirect)
	public, publicTokens := g.grant("Ada")
	headerTokens, bodyTokens := g.granted(inHeader), g.granted(inBody)
	byHeader := with(g.refreshForm("", headerTokens.RefreshToken), "client_id", "")
	byBody := g.refreshForm(inBody.ClientID, bodyTokens.RefreshToken)
	byNone := g.refreshForm(public, publicTokens.RefreshToken)
	for _, tt := range []struct {
		name   string
		form   url.Values
		header http.Header
		// status is 401 invalid_client about the proof if it is 0.
		status     int
		code, says string
	}{
		{name: "no secret, where it comes in the header", form: with(byHeader, "client_id", inHeader.ClientID)},
		{name: "no secret, where it comes in the body", form: byBody},
		{name: "a wrong secret in the header", form: byHeader, header: basic(inHeader.ClientID, inHeader.ClientSecret+"x")},
		{name: "a wrong secret in the body", form: with(byBody, "client_secret", "x")},
		{name: "an empty secret in the header", form: byHeader, header: basic(inHeader.ClientID, "")},
		{name: "an empty secret in the body", form: url.Values{"grant_type": {"refresh_token"}, "client_id": {inBody.ClientID}, "refresh_token": {bodyTokens.RefreshToken}, "client_secret": {""}}},
		{name: "another client's secret in the header", form: byHeader, header: basic(inHeader.ClientID, inBody.ClientSecret)},
		{name: "another client's secret in the body", form: with(byBody, "client_secret", inHeader.ClientSecret)},
		{name: "a secret in other case", form: byHeader, header: basic(inHeader.ClientID, strings.ToUpper(inHeader.ClientSecret))},
		{name: "the right secret in the body, registered for the header", form: with(byHeader, "client_id", inHeader.ClientID, "client_secret", inHeader.ClientSecret)},
		{name: "the right secret in the header, registered for the body", form: byBody, header: basic(inBody.ClientID, inBody.ClientSecret)},
		{name: "a public client with a secret in the body", form: with(byNone, "client_secret", "x")},
		{name: "a public client with HTTP Basic", form: byNone, header: basic(public, "x")},
		{name: "a public client with HTTP Basic and no secret", form: byNone, header: basic(public, "")},
		{name: "an unknown client in the header", form: byHeader, header: basic("mcpc_x", "x"), status: 401, code: oauth.CodeInvalidClient, says: "not issued by this gateway"},
		{name: "a bearer token in the header", form: byHeader, header: http.Header{"Authorization": {"Bearer x"}}, status: 401, code: oauth.CodeInvalidClient, says: "scheme Basic"},
		{name: "two headers", form: byHeader, status: 401, code: oauth.CodeInvalidClient, says: "must be one",
			header: http.Header{"Authorization": {basic(inHeader.ClientID, inHeader.ClientSecret).Get("Authorization"), "Basic eDp5"}}},
		{name: "a broken escape in the header", form: byHeader, header: rawBasic(inHeader.ClientID, "%zz"), status: 401, code: oauth.CodeInvalidClient, says: "form-encoded"},
		{name: "no colon in the header", form: byHeader, header: http.Header{"Authorization": {"Basic eA=="}}, status: 401, code: oauth.CodeInvalidClient, says: "scheme Basic"},
		{name: "no base64 in the header", form: byHeader, header: http.Header{"Authorization": {"Basic !"}}, status: 401, code: oauth.CodeInvalidClient, says: "scheme Basic"},
		{name: "both ways", form: with(byHeader, "client_secret", inHeader.ClientSecret), header: basic(inHeader.ClientID, inHeader.ClientSecret), status: 400, code: oauth.CodeInvalidRequest, says: "more than one way"},
		{name: "another client in the body", form: with(byHeader, "client_id", public), header: basic(inHeader.ClientID, inHeader.ClientSecret), status: 400, code: oauth.CodeInvalidRequest, says: "another than that"},
		{name: "a secret and nobody", form: with(byNone, "client_id", "", "client_secret", "x"), status: 400, code: oauth.CodeInvalidRequest, says: "client_id is missing"},
		{name: "two secrets", form: url.Values{"grant_type": {"refresh_token"}, "client_id": {inBody.ClientID}, "client_secret": {inBody.ClientSecret, "x"}}, status: 400, code: oauth.CodeInvalidRequest, says: "more than once"},
		{name: "another client's token", form: with(byHeader, "refresh_token", bodyTokens.RefreshToken), header: basic(inHeader.ClientID, inHeader.ClientSecret), status: 400, code: oauth.CodeInvalidGrant, says: "another client"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.status == 0 {
				tt.status, tt.code, tt.says = http.StatusUnauthorized, oauth.CodeInvalidClient, "did not prove"
			}
			got := g.send("/token", tt.form, tt.header)
			got.wants(t, tt.status, tt.code, tt.says)
			_, used := tt.header["Authorization"]
			if challenge := got.header.Get("WWW-Authenticate"); tt.status == 401 && strings.HasPrefix(challenge, `Basic realm="`) != used {
				t.Errorf("challenge %q", challenge)
			}
		})
	}
	// None of these ended anything, and all of the encodings are read.
	escaped := rawBasic(strings.ReplaceAll(inHeader.ClientID, "_", "%5F"), strings.ReplaceAll(inHeader.ClientSecret, "_", "%5f"))
	again := g.send("/token", with(byHeader, "client_id", inHeader.ClientID), escaped)
	if again.status != http.StatusOK {
		t.Errorf("percent-encoded: %d %s", again.status, again.body)
	}
	if got := g.send("/token", with(byBody, "client_secret", inBody.ClientSecret), nil); got.status != http.StatusOK {
		t.Errorf("in the body: %d %s", got.status, got.body)
	}
	// Some public clients send the parameter empty, which is as if it were not
	// there (RFC 6749 §3.2).
	empty := maps.Clone(byNone)
	empty["client_secret"] = []string{""}
	if got := g.send("/token", empty, nil); got.status != http.StatusOK {
		t.Errorf("a public client with an empty secret: %d %s", got.status, got.body)
	}
	g.works("the public client", public, publicTokens)
}

func testMethodsThatCannotBeRegistered(t *testing.T) {
	t.Parallel()
	g := start(t, "")
	for method, says := range map[string]string{
		"private_key_jwt": "publish a client ID metadata document", "client_secret_jwt": "must be none", "tls_client_auth": "must be none",
		"NONE": "must be none", "client_secret_basic ": "must be none",
	} {
		got := g.register(`{"redirect_uris":["` + serverRedirect + `"],"token_endpoint_auth_method":"` + method + `"}`)
		if got.status != http.StatusBadRequest || got.Error != oauth.CodeInvalidClientMetadata || !strings.Contains(got.ErrorDescription, says) {
			t.Errorf("%q: %d %s", method, got.status, got.body)
		}
	}
}

// TestASecretIsNowhereAndOutlivesTheDatabase: only its hash is kept, and that
// in the client_id.
func TestASecretIsNowhereAndOutlivesTheDatabase(t *testing.T) {
	t.Parallel()
	g := start(t, "")
	info := g.registerAs(oauth.AuthMethodSecretBasic, serverRedirect)
	g.granted(info)
	g.send("/token", g.refreshForm(info.ClientID, "x"), basic(info.ClientID, info.ClientSecret+"x"))
	g.restart("", func() {
		if g.stored(info.ClientSecret) {
			t.Error("the secret is in the database")
		}
		g.wipe()
	})
	if got := g.granted(info); got.status != http.StatusOK {
		t.Errorf("after the database was lost: %d", got.status)
	}
	if strings.Contains(g.logs.String(), info.ClientSecret) {
		t.Error("the secret is in the log")
	}
}

func TestAClientOfTheConfigurationNeedsNoRegistration(t *testing.T) {
	t.Parallel()
	const secret = "a-secret-of-the-configuration-0123456789"
	extra := "clients: {registration: closed, documents: closed}\nregistered_clients:\n" +
		"  - {id: crm, name: The CRM, redirect_uris: [\"" + serverRedirect + "\"], auth_method: client_secret_basic, secret_file: \"" + secretFile(t, secret) + "\"}\n" +
		"  - {id: desk, name: Desk, redirect_uris: [\"http://127.0.0.1/callback\"], auth_method: none}\n"
	g := start(t, extra)
	info := oauth.ClientInformation{ClientID: "crm", ClientSecret: secret}
	info.TokenEndpointAuthMethod = oauth.AuthMethodSecretBasic
	tokens := g.granted(info)
	form := g.refreshForm("crm", tokens.RefreshToken)
	g.send("/token", form, nil).wants(t, 401, oauth.CodeInvalidClient, "did not prove")
	g.send("/token", form, basic("crm", "wrong")).wants(t, 401, oauth.CodeInvalidClient, "did not prove")
	g.send("/token", with(form, "client_secret", secret), nil).wants(t, 401, oauth.CodeInvalidClient, "did not prove")
	g.send("/token", with(form, "client_id", "CRM"), nil).wants(t, 401, oauth.CodeInvalidClient, "not issued")
	if got := g.send("/token", form, basic("crm", secret)); got.status != http.StatusOK {
		t.Errorf("refresh: %d %s", got.status, got.body)
	}
	a := newAuthorization("desk")
	if got := g.redeem(a, g.signIn(newBrowser(t), a, "Ada").Get("code"), nil); got.status != http.StatusOK {
		t.Errorf("the public one: %+v", got)
	}
	page, next := newBrowser(t).get(g.authorizeURL(newAuthorization("crm"), nil))
	if next != nil || !strings.Contains(page.body, "did not register") {
		t.Errorf("another redirect URI: redirected to %v:\n%s", next, page.body)
	}
	if strings.Contains(g.logs.String(), secret) {
		t.Error("the secret is in the log")
	}
}
