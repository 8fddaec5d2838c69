package app_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"mcp-gateway/gateway/internal/admin"
	"mcp-gateway/gateway/internal/store/sqlite"
	"mcp-gateway/shared/oauth"
)

// programSecret is that of each program with one.
const programSecret = "a-secret-of-programs-0123456789"

// programs are clients that act for themselves: ci and form with a secret, robot with
// a key, and both, through which people sign in too. Nobody may act through portal but
// people. The first line goes on with the demonstration's rules.
func programs(t *testing.T) string {
	t.Helper()
	secret := secretFile(t, programSecret)
	own := "grant_types: [client_credentials]"
	people := fmt.Sprintf("redirect_uris: [%q]", serverRedirect)
	return "  - {name: programs, clients: [ci, form, robot], tools: [math_add, math_divide, whoami]}\n" +
		"  - {name: both, clients: [both], tools: [math_subtract]}\n" + stepScopes + "registered_clients:\n" +
		fmt.Sprintf("  - {id: ci, name: CI, %s, scopes: [calc.divide, calc.all], auth_method: client_secret_basic, secret_file: %q}\n", own, secret) +
		fmt.Sprintf("  - {id: form, name: Form, %s, scopes: [calc.all], auth_method: client_secret_post, secret_file: %q}\n", own, secret) +
		fmt.Sprintf("  - {id: robot, name: Robot, %s, auth_method: private_key_jwt, jwks_uri: \"https://client.example/jwks.json\"}\n", own) +
		fmt.Sprintf("  - {id: both, name: Both, grant_types: [authorization_code, client_credentials], %s, auth_method: client_secret_basic, secret_file: %q}\n", people, secret) +
		fmt.Sprintf("  - {id: portal, name: Portal, %s, auth_method: client_secret_basic, secret_file: %q}\n", people, secret) +
		"  - {id: desk, name: Desk, redirect_uris: [\"http://127.0.0.1/callback\"], auth_method: none}\n"
}

// staffed starts a gateway with programs; key is robot's.
func staffed(t *testing.T, extra string) (g *gateway, key signer, configuration string) {
	t.Helper()
	key = newSigner(t, "one")
	p := publish(t, map[string]string{"/app.json": described(t, nil), "/jwks.json": key.published()})
	configuration = programs(t) + extra
	return startWith(t, configuration, p.http), key, configuration
}

// ownForm is the request of a program for a token.
func (g *gateway) ownForm(pairs ...string) url.Values {
	return with(url.Values{"grant_type": {"client_credentials"}, "resource": {g.url + "/mcp"}}, pairs...)
}

// own gets a program its token, by its secret in the header.
func (g *gateway) own(clientID string, pairs ...string) tokenAnswer {
	g.t.Helper()
	got := g.send("/token", g.ownForm(pairs...), basic(clientID, programSecret))
	if got.status != http.StatusOK {
		g.t.Fatalf("%s: %d %s", clientID, got.status, got.body)
	}
	return tokenAnswer{got.status, got.TokenResponse, got.ErrorResponse}
}

// calls checks whether a token may call tools.
func (g *gateway) calls(who, bearer string, tools map[string]bool) {
	g.t.Helper()
	for tool, may := range tools {
		resp, body := g.callModern(bearer, tool, `{"a":42,"b":2}`)
		if refused := strings.Contains(body, "may not call it"); resp.StatusCode != http.StatusOK || refused == may {
			g.t.Errorf("%s calls %s: %d %s", who, tool, resp.StatusCode, body)
		}
	}
}

// testProgramsGetATokenForThemselves by a client that we did not write: with a secret in
// either place, or found out, and with a key.
func testProgramsGetATokenForThemselves(t *testing.T) {
	t.Parallel()
	g, key, _ := staffed(t, "")
	resource := url.Values{"resource": {g.url + "/mcp"}}
	for _, tt := range []struct {
		name   string
		config clientcredentials.Config
		scope  string
	}{
		{"a secret in the header", clientcredentials.Config{ClientID: "ci", ClientSecret: programSecret, EndpointParams: resource, AuthStyle: oauth2.AuthStyleInHeader}, "mcp"},
		{"a secret in the body", clientcredentials.Config{ClientID: "form", ClientSecret: programSecret, EndpointParams: resource, AuthStyle: oauth2.AuthStyleInParams}, "mcp"},
		{"a secret in the header, found out", clientcredentials.Config{ClientID: "ci", ClientSecret: programSecret}, "mcp"},
		{"a secret in the body, found out", clientcredentials.Config{ClientID: "form", ClientSecret: programSecret}, "mcp"},
		{"a key", clientcredentials.Config{ClientID: "robot", AuthStyle: oauth2.AuthStyleInParams, EndpointParams: asserting(resource, key.assertion(g, "robot", nil))}, "mcp"},
		{"scopes", clientcredentials.Config{ClientID: "ci", ClientSecret: programSecret, Scopes: []string{"openid", "calc.all", "offline_access", "calc.divide", "calc.all", "mcp"}}, "mcp calc.divide calc.all"},
		{"scopes of another program", clientcredentials.Config{ClientID: "form", ClientSecret: programSecret, Scopes: []string{"calc.divide", "calc.all"}}, "mcp calc.all"},
		{"scopes, and none was given", clientcredentials.Config{ClientID: "both", ClientSecret: programSecret, Scopes: []string{"calc.all", "offline_access"}}, "mcp"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.config.TokenURL = g.url + "/token"
			got, err := tt.config.Token(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			left := time.Until(got.Expiry)
			if got.RefreshToken != "" || got.TokenType != "Bearer" || got.Extra("scope") != tt.scope || left < 9*time.Minute || left > 10*time.Minute {
				t.Errorf("got type %q, scope %q, ends in %s, a refresh token: %v", got.TokenType, got.Extra("scope"), left, got.RefreshToken != "")
			}
			if _, body := g.in(t).post(got.AccessToken, initialize, nil); !strings.Contains(body, `"serverInfo"`) {
				t.Errorf("initialize: %s", body)
			}
		})
	}
	if strings.Contains(g.logs.String(), programSecret) {
		t.Error("a secret is in the log")
	}
}

func testProgramsThatGetNothing(t *testing.T) {
	t.Parallel()
	g, key, _ := staffed(t, "http: {rates: {token: {per_minute: 100000, burst: 100000}}}\n")
	stranger, public := g.registerAs(oauth.AuthMethodSecretBasic, serverRedirect), g.registration()
	form, right := g.ownForm(), basic("ci", programSecret)
	used := asserting(form, key.assertion(g, "robot", nil))
	if got := g.send("/token", used, nil); got.status != http.StatusOK {
		t.Fatalf("robot: %d %s", got.status, got.body)
	}
	token := g.own("ci").AccessToken
	const noProof, notAllowed = "did not prove", "did not register this grant type"
	before := g.rows("grants")
	for _, tt := range []struct {
		name       string
		form       url.Values
		header     http.Header
		status     int
		code, says string
	}{
		{name: "nobody", form: form, status: 400, code: oauth.CodeInvalidRequest, says: "client_id is missing"},
		{name: "an unknown client", form: form, header: basic("cd", programSecret), status: 401, code: oauth.CodeInvalidClient, says: "not issued"},
		{name: "a client in another case", form: form, header: basic("CI", programSecret), status: 401, code: oauth.CodeInvalidClient, says: "not issued"},
		{name: "no secret", form: with(form, "client_id", "ci"), status: 401, code: oauth.CodeInvalidClient, says: noProof},
		{name: "a wrong secret", form: form, header: basic("ci", programSecret+"x"), status: 401, code: oauth.CodeInvalidClient, says: noProof},
		{name: "an empty secret", form: form, header: basic("ci", ""), status: 401, code: oauth.CodeInvalidClient, says: noProof},
		{name: "a secret in the body, expected in the header", form: with(form, "client_id", "ci", "client_secret", programSecret), status: 401, code: oauth.CodeInvalidClient, says: noProof},
		{name: "a secret in the header, expected in the body", form: form, header: basic("form", programSecret), status: 401, code: oauth.CodeInvalidClient, says: noProof},
		{name: "a secret for a key", form: form, header: basic("robot", programSecret), status: 401, code: oauth.CodeInvalidClient, says: noProof},
		{name: "a secret and an assertion", form: used, header: right, status: 400, code: oauth.CodeInvalidRequest, says: "client_id is another"},
		{name: "its own token for a secret", form: form, header: http.Header{"Authorization": {"Bearer " + token}}, status: 401, code: oauth.CodeInvalidClient, says: "scheme Basic"},
		{name: "an assertion for a second time", form: used, status: 401, code: oauth.CodeInvalidClient, says: noProof},
		{name: "an assertion under another key", form: asserting(form, newSigner(t, "one").assertion(g, "robot", nil)), status: 401, code: oauth.CodeInvalidClient, says: noProof},
		{name: "an assertion of one client about another", form: asserting(form, key.assertion(g, "robot", func(c map[string]any) { c["sub"] = "ci" })), status: 401, code: oauth.CodeInvalidClient, says: noProof},
		{name: "an assertion for another server", form: asserting(form, key.assertion(g, "robot", func(c map[string]any) { c["aud"] = "https://as.example" })), status: 401, code: oauth.CodeInvalidClient, says: noProof},
		{name: "an assertion that is over", form: asserting(form, key.assertion(g, "robot", func(c map[string]any) { c["exp"] = time.Now().Add(-time.Hour).Unix() })), status: 401, code: oauth.CodeInvalidClient, says: noProof},
		{name: "an assertion with a client_id beside it", form: with(asserting(form, key.assertion(g, "robot", nil)), "client_id", "ci"), status: 401, code: oauth.CodeInvalidClient, says: noProof},
		{name: "a client for people alone", form: form, header: basic("portal", programSecret), status: 400, code: oauth.CodeUnauthorizedClient, says: notAllowed},
		{name: "a public client of the configuration", form: with(form, "client_id", "desk"), status: 400, code: oauth.CodeUnauthorizedClient, says: notAllowed},
		{name: "a client that registered itself, with its secret", form: form, header: basic(stranger.ClientID, stranger.ClientSecret), status: 400, code: oauth.CodeUnauthorizedClient, says: notAllowed},
		{name: "a public client that registered itself", form: with(form, "client_id", public), status: 400, code: oauth.CodeUnauthorizedClient, says: notAllowed},
		{name: "a client with a document", form: with(form, "client_id", documentID), status: 400, code: oauth.CodeUnauthorizedClient, says: notAllowed},
		{name: "a foreign resource", form: with(form, "resource", "https://other.example/mcp"), header: right, status: 400, code: oauth.CodeInvalidTarget, says: "resource is not this gateway"},
		{name: "a foreign resource beside its own", form: url.Values{"grant_type": form["grant_type"], "resource": {g.url, "https://other.example"}}, header: right, status: 400, code: oauth.CodeInvalidTarget, says: "resource is not this gateway"},
		{name: "two scopes", form: url.Values{"grant_type": form["grant_type"], "scope": {"mcp", "calc.all"}}, header: right, status: 400, code: oauth.CodeInvalidRequest, says: "more than once"},
		{name: "the grant type in capitals", form: with(form, "grant_type", "Client_Credentials"), header: right, status: 400, code: oauth.CodeUnsupportedGrantType, says: "server metadata"},
		{name: "a code, by a client for itself", form: with(form, "grant_type", "authorization_code", "code", "mcpac_x"), header: right, status: 400, code: oauth.CodeUnauthorizedClient, says: notAllowed},
		{name: "a refresh", form: with(form, "grant_type", "refresh_token", "refresh_token", token), header: right, status: 400, code: oauth.CodeUnauthorizedClient, says: notAllowed},
	} {
		t.Run(tt.name, func(t *testing.T) { g.in(t).send("/token", tt.form, tt.header).wants(t, tt.status, tt.code, tt.says) })
	}
	if after := g.rows("grants"); after != before {
		t.Errorf("refused requests left %d grants", after-before)
	}
	alone := g.register(`{"redirect_uris":["` + serverRedirect + `"],"token_endpoint_auth_method":"client_secret_basic","grant_types":["client_credentials"]}`)
	if alone.status != http.StatusBadRequest || alone.Error != oauth.CodeInvalidClientMetadata {
		t.Errorf("a registration for it alone: %d %s", alone.status, alone.body)
	}
	page, next := newBrowser(t).get(g.authorizeURL(newAuthorization("ci"), nil))
	if next != nil || page.status != http.StatusBadRequest || !strings.Contains(page.body, "did not register") {
		t.Errorf("a sign-in through a client for itself: %d, redirected to %v", page.status, next)
	}
}

// TestTheGrantIsAdvertisedWhereAClientMayUseIt, and served nowhere else.
func TestTheGrantIsAdvertisedWhereAClientMayUseIt(t *testing.T) {
	t.Parallel()
	with, _, _ := staffed(t, "")
	without := start(t, "")
	for g, want := range map[*gateway][]string{
		with: {"authorization_code", "client_credentials", "refresh_token"}, without: {"authorization_code", "refresh_token"},
	} {
		doc, _ := g.serverMetadata()
		if diff := cmp.Diff(want, doc.GrantTypesSupported); diff != "" {
			t.Errorf("grant types (-want +got):\n%s", diff)
		}
		// What the MCP extension wants beside it.
		if !slices.Contains(doc.TokenEndpointAuthMethodsSupported, oauth.AuthMethodPrivateKeyJWT) || len(doc.TokenEndpointAuthSigningAlgValuesSupported) == 0 {
			t.Errorf("methods %v, algorithms %v", doc.TokenEndpointAuthMethodsSupported, doc.TokenEndpointAuthSigningAlgValuesSupported)
		}
	}
	info := without.registerAs(oauth.AuthMethodSecretBasic, serverRedirect)
	without.send("/token", without.ownForm(), basic(info.ClientID, info.ClientSecret)).wants(t, 400, oauth.CodeUnsupportedGrantType, "server metadata")
}

// TestARuleAboutAClientIsAboutTheClientAlone: "everybody who can sign in" is nobody
// of them, and what a program may do nobody may who comes through it.
func TestARuleAboutAClientIsAboutTheClientAlone(t *testing.T) {
	t.Parallel()
	g, _, _ := staffed(t, "")
	ci := g.own("ci").AccessToken
	g.calls("ci", ci, map[string]bool{"math_add": true, "math_subtract": false, "math_multiply": false})
	both := g.own("both").AccessToken
	g.calls("both for itself", both, map[string]bool{"math_subtract": true, "math_add": false, "whoami": false})
	info := oauth.ClientInformation{ClientID: "both", ClientSecret: programSecret}
	info.TokenEndpointAuthMethod = oauth.AuthMethodSecretBasic
	a := newAuthorization("both")
	code := g.visit(newBrowser(t), a, serverRedirect, "Nora", true, nil).Get("code")
	form, header := proving(info, g.codeForm(a, code, serverRedirect))
	nora := g.send("/token", form, header)
	if nora.status != http.StatusOK || nora.RefreshToken != "" {
		t.Fatalf("Nora through both: %d %s", nora.status, nora.body)
	}
	g.in(t).calls("Nora through both", nora.AccessToken, map[string]bool{"whoami": true, "math_subtract": false})
	for who, tt := range map[string]struct{ bearer, want string }{
		"ci": {ci, "math_add math_divide whoami"}, "both": {both, "math_subtract"}, "Nora": {nora.AccessToken, "whoami"},
	} {
		var list struct {
			Result struct{ Tools []struct{ Name string } }
		}
		if err := json.Unmarshal([]byte(g.modernList(tt.bearer)), &list); err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, tool := range list.Result.Tools {
			names = append(names, tool.Name)
		}
		if got := strings.Join(names, " "); got != tt.want {
			t.Errorf("%s sees %q, want %q", who, got, tt.want)
		}
	}
	_, body := g.callModern(ci, "whoami", "{}")
	for _, want := range []string{`"tenant":""`, `"object":""`, `"username":""`, `"roles":[]`, `"client":"CI"`, `"scopes":["mcp"]`} {
		if !strings.Contains(body, want) {
			t.Errorf("whoami lacks %s: %s", want, body)
		}
	}
}

// TestAProgramAsksForTheScopeThatAToolNeeds, as it is told to.
func TestAProgramAsksForTheScopeThatAToolNeeds(t *testing.T) {
	t.Parallel()
	g, _, _ := staffed(t, "")
	resp, body := g.callModern(g.own("ci").AccessToken, "math_divide", `{"a":42,"b":2}`)
	g.wantsStepUp(t, resp, body, "mcp calc.divide calc.all", "/mcp")
	asked := challenge(t, resp.Header)["scope"]
	if _, body = g.callModern(g.own("ci", "scope", asked).AccessToken, "math_divide", `{"a":42,"b":2}`); !strings.Contains(body, "21") {
		t.Errorf("with %q: %s", asked, body)
	}
	// Who was not given it does not get it by asking.
	form := g.send("/token", g.ownForm("client_id", "form", "client_secret", programSecret, "scope", asked), nil)
	resp, body = g.callModern(form.AccessToken, "math_divide", `{"a":42,"b":2}`)
	g.wantsStepUp(t, resp, body, "mcp calc.all calc.divide", "/mcp")
}

// TestTwoProgramsShareNoSession, nor does a person with the program they come through.
func TestTwoProgramsShareNoSession(t *testing.T) {
	t.Parallel()
	g, key, _ := staffed(t, "")
	robot := g.send("/token", asserting(g.ownForm(), key.assertion(g, "robot", nil)), nil)
	bearers := map[string]string{"ci": g.own("ci").AccessToken, "robot": robot.AccessToken}
	const ping = `{"jsonrpc":"2.0","id":2,"method":"ping"}`
	for owner, bearer := range bearers {
		session := g.session("/mcp", bearer)
		path, _ := g.stream(bearer)
		for who, other := range bearers {
			want, accepted := http.StatusOK, http.StatusAccepted
			if who != owner {
				want, accepted = http.StatusNotFound, http.StatusNotFound
			}
			if resp, body := g.post(other, ping, session); resp.StatusCode != want {
				t.Errorf("%s in the session of %s: %d %s", who, owner, resp.StatusCode, body)
			}
			if resp, body := g.postTo(path, other, ping, nil); resp.StatusCode != accepted {
				t.Errorf("%s on the stream of %s: %d %s", who, owner, resp.StatusCode, body)
			}
		}
	}
}

// TestAProgramsTokenIsIntrospectedAndRevoked: each by itself, since there is a grant
// for each.
func TestAProgramsTokenIsIntrospectedAndRevoked(t *testing.T) {
	t.Parallel()
	g, _, _ := staffed(t, fmt.Sprintf("resource_servers: [{id: crm, secret_file: %q}]\n", secretFile(t, crmSecret)))
	first, second := g.own("ci"), g.own("ci", "scope", "calc.all")
	var members map[string]any
	if err := json.Unmarshal([]byte(g.introspect(second.AccessToken).body), &members); err != nil {
		t.Fatal(err)
	}
	delete(members, "exp")
	want := map[string]any{
		"active": true, "scope": "mcp calc.all", "client_id": "ci", "token_type": "Bearer", "sub": "ci", "aud": g.url, "iss": g.url,
	}
	if diff := cmp.Diff(want, members); diff != "" {
		t.Errorf("introspection (-want +got):\n%s", diff)
	}
	form := url.Values{"token": {first.AccessToken}}
	if got := g.bearer(first); got != http.StatusOK { // and is in the cache now
		t.Fatalf("status %d", got)
	}
	g.send("/revoke", with(form, "client_id", "ci"), nil).wants(t, 401, oauth.CodeInvalidClient, "did not prove")
	if got := g.send("/revoke", form, basic("both", programSecret)); got.status != http.StatusOK || g.bearer(first) != http.StatusOK {
		t.Errorf("another program revokes it: %d, and it gets %d", got.status, g.bearer(first))
	}
	since := time.Now()
	if got := g.send("/revoke", form, basic("ci", programSecret)); got.status != http.StatusOK {
		t.Errorf("revoke: %d %s", got.status, got.body)
	}
	g.refusedAtOnce(first, since)
	if got := g.introspect(first.AccessToken); got.body != inactive {
		t.Errorf("introspection of a revoked token: %s", got.body)
	}
	if got := g.bearer(second); got != http.StatusOK {
		t.Errorf("the program's other token gets %d", got)
	}
}

func TestAnAdministratorSeesAndEndsWhatAProgramHas(t *testing.T) {
	t.Parallel()
	g, _, configuration := staffed(t, "")
	tokens, others := g.own("ci"), g.own("both")
	if got := g.bearer(tokens); got != http.StatusOK {
		t.Fatalf("status %d", got)
	}
	if users := g.must(admin.Request{Command: admin.UsersList}).Users; len(users) != 0 {
		t.Errorf("a program is a user: %+v", users)
	}
	for _, nobody := range []string{"/", "-", "ci"} {
		if _, err := g.do(admin.Request{Command: admin.UsersRevoke, User: nobody}); err == nil {
			t.Errorf("the user %q was revoked", nobody)
		}
	}
	one := g.must(admin.Request{Command: admin.ClientsShow, Client: "ci"})
	if one.Client.LiveGrants != 1 || one.Client.People != 0 || len(one.Grants) != 1 || one.Grants[0].Object != "" || one.Grants[0].ClientName != "CI" {
		t.Errorf("shown: %+v, %+v", one.Client, one.Grants)
	}
	since := time.Now()
	if revoked := g.must(admin.Request{Command: admin.ClientsDisable, Client: "ci"}).Revoked; len(revoked) != 1 {
		t.Errorf("revoked %q", revoked)
	}
	g.refusedAtOnce(tokens, since)
	g.send("/token", g.ownForm(), basic("ci", programSecret)).wants(t, 400, oauth.CodeUnauthorizedClient, "does not let this client in")
	g.calls("another program", others.AccessToken, map[string]bool{"math_subtract": true})
	g.must(admin.Request{Command: admin.ClientsEnable, Client: "ci"})
	if got := g.bearer(tokens); got != http.StatusUnauthorized {
		t.Errorf("enabled, the token of before gets %d", got)
	}
	again := g.own("ci")
	g.restart(configuration, nil)
	if got := g.bearer(again); got != http.StatusOK {
		t.Errorf("after a restart a token gets %d", got)
	}
}

// TestTheTrailNamesTheProgram in each row, and no person.
func TestTheTrailNamesTheProgram(t *testing.T) {
	t.Parallel()
	g, _, _ := staffed(t, "")
	token := g.own("ci").AccessToken
	g.calls("ci", token, map[string]bool{"math_add": true, "math_multiply": false})
	g.send("/token", g.ownForm(), basic("ci", "x"))
	g.send("/revoke", url.Values{"token": {token}}, basic("ci", programSecret))
	if err := g.stop(); err != nil {
		t.Fatal(err)
	}
	db, err := sqlite.Open(t.Context(), g.dir+"/gateway.db")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	events, err := db.Events(t.Context(), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	var story []string
	for _, e := range events {
		story = append(story, strings.Join([]string{e.Kind, e.Outcome, e.Reason, e.Tool}, " "))
		if e.Tenant != "" || e.Object != "" || e.GrantID == "" || e.GrantID != events[0].GrantID || e.Address != "127.0.0.1" || !strings.HasPrefix(e.Client, "CI (") {
			t.Errorf("event %+v lacks something, or has too much", e)
		}
	}
	slices.Sort(story) // the calls come in any order
	want := []string{"call denied no_rule math_multiply", "call ok programs math_add", "grant ok client_credentials ", "revoke ok revoked_by_client "}
	if diff := cmp.Diff(want, story); diff != "" {
		t.Errorf("the trail (-want +got):\n%s", diff)
	}
}

// TestAProgramWaitsForAnOutage: it is no refusal, and nothing is given that could not
// be written down.
func TestAProgramWaitsForAnOutage(t *testing.T) {
	t.Parallel()
	g, _, _ := staffed(t, "")
	right := basic("ci", programSecret)
	for name, tt := range map[string]struct{ breaks, mends string }{
		"of the trail": {`CREATE TRIGGER full BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'disk full'); END`, `DROP TRIGGER full`},
		"of the store": {`CREATE TRIGGER lost BEFORE INSERT ON access_tokens BEGIN SELECT RAISE(ABORT, 'disk full'); END`, `DROP TRIGGER lost`},
	} {
		before := g.rows("grants")
		g.alter(tt.breaks)
		got := g.send("/token", g.ownForm(), right)
		got.wants(t, 503, oauth.CodeTemporarilyUnavailable, "try again")
		if g.rows("grants") != before || got.header.Get("Retry-After") == "" {
			t.Errorf("%s: %d grants were left, and when to try again is %q", name, g.rows("grants")-before, got.header.Get("Retry-After"))
		}
		g.alter(tt.mends)
		g.own("ci")
	}
}

// TestProgramsShareTheLimitOfTheTokenEndpoint: asking again and again is no way in.
func TestProgramsShareTheLimitOfTheTokenEndpoint(t *testing.T) {
	t.Parallel()
	g, _, _ := staffed(t, "http: {rates: {token: {per_minute: 1, burst: 2}}}\n")
	for i, want := range []int{http.StatusOK, http.StatusOK, http.StatusTooManyRequests} {
		config := clientcredentials.Config{ClientID: "ci", ClientSecret: programSecret, TokenURL: g.url + "/token", AuthStyle: oauth2.AuthStyleInHeader}
		_, err := config.Token(t.Context())
		if refused, ok := errors.AsType[*oauth2.RetrieveError](err); (err == nil) != (want == http.StatusOK) || ok && refused.Response.StatusCode != want {
			t.Errorf("request %d: %v, want %d", i, err, want)
		}
	}
}

// TestThePageAboutProgramsIsTrue follows docs/ci-and-agents.md with the configuration
// and the commands that it shows.
func TestThePageAboutProgramsIsTrue(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"sh", "curl", "sed"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip("left out: the commands for CI and agents (no " + program + ")")
		}
	}
	page, err := os.ReadFile("../../../docs/ci-and-agents.md")
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string) string {
		_, rest, _ := strings.Cut(string(page), "```"+kind+"\n")
		text, _, ok := strings.Cut(rest, "```\n")
		if !ok {
			t.Fatalf("the page has no %s", kind)
		}
		return text
	}
	secret := secretFile(t, programSecret)
	clients, rules, _ := strings.Cut(strings.ReplaceAll(block("yaml"), "/etc/mcp-gateway/build-agent-secret", secret), "access:\n")
	g := start(t, rules+clients) // the demonstration's rules come before
	script := strings.NewReplacer("https://mcp.example.com", g.url, "cat build-agent-secret", "cat '"+secret+"'").Replace(block("sh"))
	out, err := exec.CommandContext(t.Context(), "sh", "-euc", script).CombinedOutput()
	if err != nil || !strings.Contains(string(out), `"text":"42"`) {
		t.Errorf("%v: %s", err, out)
	}
}
