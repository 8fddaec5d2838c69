package app_test

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"mcp-gateway/shared/oauth"
)

// clientRequirements are those of section 1.5 and of the RFCs by which clients
// register (RFC 7591) and prove who they are (RFC 6749 §2.3, RFC 7523).
var clientRequirements = []requirement{
	{level: must, name: "1.5 a registration is answered with 201, and nobody may store the answer", check: registrationIsAnswered},
	{level: must, name: "1.5 a refused registration is answered with 400, a code and a reason", check: registrationIsRefused},
	{level: must, name: "1.5 the answer holds all that was registered and an end for each secret", check: registrationSaysAll},
	{level: must, name: "1.5 metadata that nobody knows is ignored", check: unknownMetadataIsIgnored},
	{level: must, name: "1.5 each client gets an id, and a secret, of its own", check: idsAreUnique},
	{level: must, name: "RFC 6749 a client proves itself in the way that it registered, and in no other", check: alone(testSecretRefusals)},
	{level: should, name: "1.5 application_type is native or web", check: applicationTypes},
	{level: should, name: "1.5 a client with a secret uses it at each endpoint", check: alone(testAClientWithASecretUsesItAtEachEndpoint)},
	{level: should, name: "1.5 methods that a registration cannot have are refused", check: alone(testMethodsThatCannotBeRegistered)},
	{level: should, name: "1.5 registrations are limited", check: alone(registrationsAreLimited)},
	{level: should, name: "1.5 registrations are bounded in size", check: registrationsAreBounded},
	{level: should, name: "1.5 a registration that nobody uses takes no room", check: alone(registrationTakesNoRoom)},
	{level: should, name: "1.5 the policy holds for clients that registered before it", check: alone(testARegistrationClosesForThoseWhoCameBefore)},
	{level: must, name: "RFC 7523 an assertion with a wrong issuer, subject, audience, time or signature is no proof", check: alone(testAssertionRefusals)},
	{level: must, name: "RFC 7523 an assertion for this server is a proof at each endpoint", check: alone(testAClientProvesItselfByItsKeyAtEachEndpoint)},
	{level: should, name: "RFC 7523 an assertion is good once", check: alone(testOfManyWhoSendTheSameAssertionOneGetsIn)},
	{level: must, name: "RFC 6749 the client credentials grant is for confidential clients that an administrator allowed it", check: alone(testProgramsThatGetNothing)},
	{level: must, name: "RFC 6749 a client's own token comes without a refresh token, and with no more than it was given", check: alone(testProgramsGetATokenForThemselves)},
	{level: must, name: "RFC 7662 whoever introspects proves who they are", check: alone(testIntrospectionRefusals)},
	{level: must, name: "RFC 7662 a token that is good is active, and the answer says for what", check: alone(testIntrospectionOfAGoodToken)},
	{level: must, name: "RFC 7662 a token that is unknown, expired or another's is inactive, and nothing more is said", check: alone(testIntrospectionTellsNothingOfOtherTokens)},
	{level: must, name: "RFC 7662 a token that was revoked is inactive", check: alone(testIntrospectionEndsWithTheGrant)},
}

// posted is a registration's answer with its headers.
func (g *gateway) posted(contentType, body string) (*http.Response, string) {
	g.t.Helper()
	resp, err := http.Post(g.url+"/register", contentType, strings.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return resp, string(data)
}

const someRedirects = `"redirect_uris":["` + serverRedirect + `"]`

func registrationIsAnswered(t *testing.T, g *gateway) {
	for _, method := range []string{oauth.AuthMethodNone, oauth.AuthMethodSecretBasic, oauth.AuthMethodSecretPost} {
		resp, body := g.posted("application/json", `{`+someRedirects+`,"token_endpoint_auth_method":"`+method+`"}`)
		if resp.StatusCode != http.StatusCreated || !strings.Contains(body, `"client_id":"mcpc_`) {
			t.Errorf("%s: %d %s", method, resp.StatusCode, body)
		}
		for name, want := range map[string]string{"Content-Type": "application/json", "Cache-Control": "no-store", "Pragma": "no-cache"} {
			if got := resp.Header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", method, name, got, want)
			}
		}
	}
}

func registrationIsRefused(t *testing.T, g *gateway) {
	for _, tt := range []struct{ name, kind, body, code string }{
		{name: "no redirect URIs", body: `{}`, code: oauth.CodeInvalidRedirectURI},
		{name: "redirect URIs that are null", body: `{"redirect_uris":null}`, code: oauth.CodeInvalidRedirectURI},
		{name: "http to another machine", body: `{"redirect_uris":["http://app.example/cb"]}`, code: oauth.CodeInvalidRedirectURI},
		{name: "a bad one beside a good one", body: `{"redirect_uris":["` + serverRedirect + `","https://a.example/#x"]}`, code: oauth.CodeInvalidRedirectURI},
		{name: "the implicit response", body: `{` + someRedirects + `,"response_types":["token"]}`, code: oauth.CodeInvalidClientMetadata},
		{name: "no grant for a code", body: `{` + someRedirects + `,"grant_types":["refresh_token"]}`, code: oauth.CodeInvalidClientMetadata},
		{name: "a method that there is not", body: `{` + someRedirects + `,"token_endpoint_auth_method":"magic"}`, code: oauth.CodeInvalidClientMetadata},
		{name: "an application type that there is not", body: `{` + someRedirects + `,"application_type":"toaster"}`, code: oauth.CodeInvalidClientMetadata},
		{name: "no JSON", body: `redirect_uris=x`, code: oauth.CodeInvalidClientMetadata},
		{name: "a list", body: `[{` + someRedirects + `}]`, code: oauth.CodeInvalidClientMetadata},
		{name: "a member twice", body: `{` + someRedirects + `,` + someRedirects + `}`, code: oauth.CodeInvalidClientMetadata},
		{name: "a form", kind: "application/x-www-form-urlencoded", body: `{` + someRedirects + `}`, code: oauth.CodeInvalidClientMetadata},
		{name: "plain text", kind: "text/plain", body: `{` + someRedirects + `}`, code: oauth.CodeInvalidClientMetadata},
		{name: "nothing", body: ``, code: oauth.CodeInvalidClientMetadata},
	} {
		if tt.kind == "" {
			tt.kind = "application/json"
		}
		resp, body := g.posted(tt.kind, tt.body)
		var refusal oauth.ErrorResponse
		if err := json.Unmarshal([]byte(body), &refusal); err != nil {
			t.Errorf("%s: %s: %v", tt.name, body, err)
		}
		if resp.StatusCode != http.StatusBadRequest || refusal.Error != tt.code || refusal.ErrorDescription == "" || strings.Contains(body, "client_id\"") ||
			resp.Header.Get("Content-Type") != "application/json" || resp.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %s, want 400 %s", tt.name, resp.StatusCode, body, tt.code)
		}
	}
}

func registrationSaysAll(t *testing.T, g *gateway) {
	for _, tt := range []struct {
		name, members string
		has, lacks    []string
	}{
		{
			name: "what the client left out", has: []string{
				`"redirect_uris":["` + serverRedirect + `"]`, `"token_endpoint_auth_method":"none"`, `"grant_types":["authorization_code","refresh_token"]`,
				`"response_types":["code"]`, `"application_type":"web"`, `"client_id_issued_at":`,
			},
			lacks: []string{"client_secret"},
		},
		{
			name: "what it asked for", members: `,"client_name":"A & B","grant_types":["authorization_code"],"application_type":"native","token_endpoint_auth_method":"client_secret_post"`,
			has: []string{`"grant_types":["authorization_code"]`, `"application_type":"native"`, `"token_endpoint_auth_method":"client_secret_post"`, `"client_secret":"`, `"client_secret_expires_at":0`},
		},
		{
			name: "what it did not get", members: `,"grant_types":["authorization_code","client_credentials"],"scope":"admin"`,
			has: []string{`"grant_types":["authorization_code"]`}, lacks: []string{"client_credentials", "admin"},
		},
	} {
		_, body := g.posted("application/json", `{`+someRedirects+tt.members+`}`)
		for _, want := range tt.has {
			if !strings.Contains(body, want) {
				t.Errorf("%s: the answer lacks %s: %s", tt.name, want, body)
			}
		}
		for _, bad := range tt.lacks {
			if strings.Contains(body, bad) {
				t.Errorf("%s: the answer has %s: %s", tt.name, bad, body)
			}
		}
	}
}

func unknownMetadataIsIgnored(t *testing.T, g *gateway) {
	got := g.register(`{` + someRedirects + `,"x_unknown":{"a":[1,2]},"software_statement":"e30.e30.","client_secret":"mine","client_id":"mine","client_id_issued_at":1}`)
	if got.status != http.StatusCreated || strings.Contains(got.body, "x_unknown") || strings.Contains(got.body, "mine") || got.ClientIDIssuedAt == 1 {
		t.Errorf("%d %s", got.status, got.body)
	}
}

func idsAreUnique(t *testing.T, g *gateway) {
	seen := make(map[string]bool)
	for range 5 {
		info := g.registerAs(oauth.AuthMethodSecretBasic, serverRedirect)
		for _, value := range []string{info.ClientID, info.ClientSecret} {
			if seen[value] || len(value) < 43 {
				t.Errorf("%.12s... was given twice, or is short", value)
			}
			seen[value] = true
		}
	}
}

func applicationTypes(t *testing.T, g *gateway) {
	for _, tt := range []struct{ asked, redirect, want string }{
		{redirect: serverRedirect, want: "web"},
		{redirect: "http://127.0.0.1/callback", want: "web"},
		{asked: "web", redirect: serverRedirect, want: "web"},
		{asked: "web", redirect: "http://localhost:3000/callback", want: "web"},
		{asked: "native", redirect: "http://127.0.0.1/callback", want: "native"},
		{asked: "native", redirect: "http://[::1]/callback", want: "native"},
		{asked: "native", redirect: "http://localhost/callback", want: "native"},
		{asked: "native", redirect: "com.example.app:/callback", want: "native"},
		{asked: "Native", redirect: serverRedirect},
		{asked: "service", redirect: serverRedirect},
	} {
		member := ""
		if tt.asked != "" {
			member = `,"application_type":"` + tt.asked + `"`
		}
		got := g.register(`{"redirect_uris":["` + tt.redirect + `"]` + member + `}`)
		if tt.want == "" {
			if got.status != http.StatusBadRequest || got.Error != oauth.CodeInvalidClientMetadata || !strings.Contains(got.ErrorDescription, "native or web") {
				t.Errorf("%q at %s: %d %s", tt.asked, tt.redirect, got.status, got.body)
			}
			continue
		}
		if got.status != http.StatusCreated || got.ApplicationType != tt.want {
			t.Errorf("%q at %s: %d %s, want %s", tt.asked, tt.redirect, got.status, got.body, tt.want)
		}
	}
}

func registrationsAreLimited(t *testing.T) {
	t.Parallel()
	g := start(t, "http: {rates: {register: {per_minute: 1, burst: 3}}}\n")
	var statuses []int
	for range 4 {
		resp, body := g.posted("application/json", `{`+someRedirects+`}`)
		statuses = append(statuses, resp.StatusCode)
		if limited := resp.StatusCode == http.StatusTooManyRequests; limited != (resp.Header.Get("Retry-After") != "") || limited && strings.Contains(body, "client_id") {
			t.Errorf("status %d, Retry-After %q: %s", resp.StatusCode, resp.Header.Get("Retry-After"), body)
		}
	}
	if want := []int{201, 201, 201, 429}; !slices.Equal(statuses, want) {
		t.Errorf("statuses %v, want %v", statuses, want)
	}
	// Who has registered is not kept waiting.
	g.send("/token", g.refreshForm("mcpc_x", "x"), nil).wants(t, http.StatusUnauthorized, oauth.CodeInvalidClient, "not issued")
}

func registrationsAreBounded(t *testing.T, g *gateway) {
	for _, tt := range []struct{ name, body, code, says string }{
		{name: "a document of 33 KB", body: `{` + someRedirects + `,"x":"` + strings.Repeat("x", 33<<10) + `"}`, code: oauth.CodeInvalidClientMetadata, says: "larger than 32 KB"},
		{name: "a name of 101 characters", body: `{` + someRedirects + `,"client_name":"` + strings.Repeat("x", 101) + `"}`, code: oauth.CodeInvalidClientMetadata, says: "100 characters"},
		{name: "eleven redirect URIs", body: `{"redirect_uris":["https://a.example/` + strings.Repeat(`","https://a.example/`, 10) + `"]}`, code: oauth.CodeInvalidRedirectURI, says: "more than 10"},
		{name: "a redirect URI of more than 512 bytes", body: `{"redirect_uris":["https://a.example/` + strings.Repeat("x", 512) + `"]}`, code: oauth.CodeInvalidRedirectURI, says: "512 bytes"},
	} {
		got := g.register(tt.body)
		if got.status != http.StatusBadRequest || got.Error != tt.code || !strings.Contains(got.ErrorDescription, tt.says) {
			t.Errorf("%s: %d %s", tt.name, got.status, got.body)
		}
	}
}

// registrationTakesNoRoom: a registration is its own record, sealed; so there
// is nothing to expire.
func registrationTakesNoRoom(t *testing.T) {
	t.Parallel()
	g := start(t, wideRates)
	for range 20 {
		g.registerAs(oauth.AuthMethodSecretBasic, serverRedirect)
	}
	g.restart(wideRates, g.wipe)
	info := g.registerAs(oauth.AuthMethodSecretPost, serverRedirect)
	g.restart(wideRates, g.wipe)
	if got := g.granted(info); got.status != http.StatusOK {
		t.Errorf("a client whose server lost its database: %d", got.status)
	}
}
