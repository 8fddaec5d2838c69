package app_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mcp-gateway/shared/oauth"
)

// resourceForms are the ways to write the gateway's resources, as paths.
var resourceForms = []string{"", "/", "/mcp", "/mcp/", "/sse", "/sse/"}

var metadataRequirements = []requirement{
	{level: must, name: "1.1 the metadata of a resource names the authorization server and itself", check: resourceNamesItself},
	{level: must, name: "1.1 the authorization server that the metadata names answers for itself", check: namedServerAnswers},
	{level: must, name: "1.1 a 401 names the metadata of the address that was asked", check: challengeLeadsToMetadata},
	{level: must, name: "1.1 only what is a resource has metadata", check: onlyResourcesHaveMetadata},
	{level: should, name: "1.1 the resource has no trailing slash unless it was dialled with one", check: resourceHasNoSlash},
	{level: should, name: "1.1 a resource may be written with scheme and host in upper case", check: alone(testAuthorizeAcceptsEveryFormOfTheResource)},
	{level: should, name: "1.1 the resource asks for the smallest scope and never for offline_access", check: resourceAsksForLittle},
	{level: must, name: "1.1 metadata is open to pages of any origin and the authorization endpoint to none", check: corsOfDocuments},
	{level: must, name: "1.2 the metadata is served under both well-known names", check: metadataUnderBothNames},
	{level: must, name: "1.2 the issuer is one string wherever it stands", check: issuerIsOneString},
	{level: must, name: "1.2 endpoints are where clients without metadata look for them", check: endpointsAreAtTheRoot},
	{level: must, name: "1.2 S256 is advertised and nothing else", check: onlyS256},
	{level: must, name: "1.2 iss is advertised, because it is sent", check: issIsAdvertised},
	{level: must, name: "1.2 public clients are advertised, because absence means client_secret_basic", check: publicClientsAreAdvertised},
	{level: must, name: "1.2 what is advertised is served", check: advertisedIsServed},
	{level: must, name: "1.2 every endpoint is there, introspection where somebody may introspect", check: alone(testWhatIsAdvertisedIsServed)},
	{level: must, name: "1.2 what is not advertised is not served", check: unadvertisedIsNotServed},
}

func resourceNamesItself(t *testing.T, g *gateway) {
	for _, path := range resourceForms {
		var doc oauth.ResourceMetadata
		g.document(oauth.PathResourceMetadata+path, &doc)
		if doc.Resource != g.url+path || !slices.Equal(doc.AuthorizationServers, []string{g.url}) || doc.ResourceName == "" ||
			!slices.Equal(doc.BearerMethodsSupported, []string{"header"}) {
			t.Errorf("%q: %+v", path, doc)
		}
	}
}

// namedServerAnswers goes the way of a client that knows only the resource.
func namedServerAnswers(t *testing.T, g *gateway) {
	for _, path := range resourceForms {
		var resource oauth.ResourceMetadata
		g.document(oauth.PathResourceMetadata+path, &resource)
		if len(resource.AuthorizationServers) == 0 {
			t.Fatalf("%q names no authorization server", path)
		}
		for _, issuer := range resource.AuthorizationServers {
			var server oauth.ServerMetadata
			g.document(strings.TrimPrefix(issuer, g.url)+oauth.PathServerMetadata, &server)
			if server.Issuer != issuer {
				t.Errorf("%q names %s, which says it is %s", path, issuer, server.Issuer)
			}
		}
	}
}

func challengeLeadsToMetadata(t *testing.T, g *gateway) {
	for path, method := range map[string]string{"/mcp": http.MethodPost, "/mcp/": http.MethodPost, "/sse": http.MethodGet, "/sse/": http.MethodGet} {
		page, _ := newBrowser(t).send(method, g.url+path, ping, nil)
		checkChallenge(t, g.url, path, page, http.StatusUnauthorized, "")
		challenges, err := oauth.ParseChallenges(page.header["Www-Authenticate"])
		if err != nil {
			t.Fatal(err)
		}
		var doc oauth.ResourceMetadata
		g.document(strings.TrimPrefix(challenges[0].Params["resource_metadata"], g.url), &doc)
		if doc.Resource != g.url+path {
			t.Errorf("%s leads to the metadata of %s", path, doc.Resource)
		}
	}
}

func onlyResourcesHaveMetadata(t *testing.T, g *gateway) {
	for _, path := range []string{"/mcp/x", "/other", "/MCP", "/mcp%2F", "/sse/messages", "/token", "/mcp/.."} {
		page, next := newBrowser(t).get(g.url + oauth.PathResourceMetadata + path)
		if page.status != http.StatusNotFound && (next == nil || page.status != http.StatusMovedPermanently && page.status != http.StatusTemporaryRedirect) {
			t.Errorf("%s: status %d: %s", path, page.status, page.body)
		}
	}
	for _, path := range []string{oauth.PathServerMetadata + "/mcp", oauth.PathOpenIDConfiguration + "/mcp", "/mcp" + oauth.PathOpenIDConfiguration} {
		if page, _ := newBrowser(t).get(g.url + path); page.status != http.StatusNotFound {
			t.Errorf("%s, of an issuer that there is not: status %d", path, page.status)
		}
	}
}

func resourceHasNoSlash(t *testing.T, g *gateway) {
	for _, path := range []string{"", "/mcp", "/sse"} {
		var doc oauth.ResourceMetadata
		g.document(oauth.PathResourceMetadata+path, &doc)
		if strings.HasSuffix(doc.Resource, "/") {
			t.Errorf("resource %q", doc.Resource)
		}
	}
}

func resourceAsksForLittle(t *testing.T, g *gateway) {
	for _, path := range resourceForms {
		var doc oauth.ResourceMetadata
		g.document(oauth.PathResourceMetadata+path, &doc)
		if !slices.Equal(doc.ScopesSupported, []string{"mcp"}) {
			t.Errorf("%q asks for %q", path, doc.ScopesSupported)
		}
	}
	resp, _ := g.post("", ping, nil)
	if challenge := resp.Header.Get("WWW-Authenticate"); !strings.Contains(challenge, `scope="mcp"`) {
		t.Errorf("the challenge asks for something else: %s", challenge)
	}
}

func corsOfDocuments(t *testing.T, g *gateway) {
	documents := []string{oauth.PathServerMetadata, oauth.PathOpenIDConfiguration}
	for _, path := range resourceForms {
		documents = append(documents, oauth.PathResourceMetadata+path)
	}
	origin := http.Header{"Origin": {"https://page.example"}}
	for _, path := range documents {
		page, _ := newBrowser(t).send(http.MethodGet, g.url+path, "", origin)
		if page.header.Get("Access-Control-Allow-Origin") != "*" || page.header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: %v", path, page.header)
		}
	}
	for _, method := range []string{http.MethodGet, http.MethodOptions} {
		page, _ := newBrowser(t).send(method, g.url+"/authorize", "", origin)
		for name := range page.header {
			if strings.HasPrefix(name, "Access-Control-") {
				t.Errorf("%s /authorize answers with %s", method, name)
			}
		}
	}
}

func (g *gateway) metadata() oauth.ServerMetadata {
	g.t.Helper()
	var doc oauth.ServerMetadata
	g.document(oauth.PathServerMetadata, &doc)
	return doc
}

func metadataUnderBothNames(t *testing.T, g *gateway) {
	var openID oauth.ServerMetadata
	g.document(oauth.PathOpenIDConfiguration, &openID)
	if diff := cmp.Diff(g.metadata(), openID); diff != "" {
		t.Errorf("they differ: %s", diff)
	}
	doc := g.metadata()
	if !slices.Equal(doc.ResponseTypesSupported, []string{"code"}) || !slices.Contains(doc.GrantTypesSupported, "authorization_code") {
		t.Errorf("response types %v, grant types %v", doc.ResponseTypesSupported, doc.GrantTypesSupported)
	}
}

func issuerIsOneString(t *testing.T, g *gateway) {
	var resource oauth.ResourceMetadata
	g.document(oauth.PathResourceMetadata+"/mcp", &resource)
	a := newAuthorization(g.registration())
	_, back := newBrowser(t).get(g.authorizeURL(a, func(q url.Values) { q.Set("response_type", "x") }))
	want := []string{g.url, g.url, g.url}
	if got := []string{g.metadata().Issuer, resource.AuthorizationServers[0], back.Query().Get("iss")}; !slices.Equal(got, want) {
		t.Errorf("the issuer is %q", got)
	}
}

func endpointsAreAtTheRoot(t *testing.T, g *gateway) {
	doc := g.metadata()
	got := []string{doc.AuthorizationEndpoint, doc.TokenEndpoint, doc.RegistrationEndpoint}
	if want := []string{g.url + "/authorize", g.url + "/token", g.url + "/register"}; !slices.Equal(got, want) {
		t.Errorf("endpoints %q, want %q", got, want)
	}
}

func onlyS256(t *testing.T, g *gateway) {
	if got := g.metadata().CodeChallengeMethodsSupported; !slices.Equal(got, []string{"S256"}) {
		t.Errorf("code_challenge_methods_supported is %q", got)
	}
}

func issIsAdvertised(t *testing.T, g *gateway) {
	if !g.metadata().AuthorizationResponseIssParameterSupported {
		t.Error("authorization_response_iss_parameter_supported is not true")
	}
}

func publicClientsAreAdvertised(t *testing.T, g *gateway) {
	doc := g.metadata()
	for name, methods := range map[string][]string{
		"token": doc.TokenEndpointAuthMethodsSupported, "revocation": doc.RevocationEndpointAuthMethodsSupported,
	} {
		if !slices.Contains(methods, "none") {
			t.Errorf("the %s endpoint's methods are %q", name, methods)
		}
	}
}

// advertisedIsServed asks every endpoint, grant type and scope of the metadata
// for itself.
func advertisedIsServed(t *testing.T, g *gateway) {
	doc := g.metadata()
	for endpoint, method := range map[string]string{
		doc.AuthorizationEndpoint: http.MethodGet, doc.TokenEndpoint: http.MethodPost,
		doc.RegistrationEndpoint: http.MethodPost, doc.RevocationEndpoint: http.MethodPost,
	} {
		page, _ := newBrowser(t).send(method, endpoint, "", nil)
		if page.status != http.StatusBadRequest {
			t.Errorf("%s %s with nothing: status %d", method, endpoint, page.status)
		}
	}
	a, code := g.code()
	tokens := g.redeem(a, code, nil)
	for _, scope := range doc.ScopesSupported {
		if !slices.Contains(strings.Fields(tokens.Scope), scope) {
			t.Errorf("the scope %s was asked for and not granted: %q", scope, tokens.Scope)
		}
	}
	for _, grantType := range doc.GrantTypesSupported {
		if got := g.token(url.Values{"grant_type": {grantType}, "client_id": {a.clientID}}); got.Error == oauth.CodeUnsupportedGrantType {
			t.Errorf("the grant type %s is not served", grantType)
		}
	}
}

func unadvertisedIsNotServed(t *testing.T, g *gateway) {
	doc := g.metadata()
	clientID := g.registration()
	for _, grantType := range []string{
		"password", "implicit", "client_credentials", "urn:ietf:params:oauth:grant-type:device_code", "urn:ietf:params:oauth:grant-type:jwt-bearer",
		"urn:ietf:params:oauth:grant-type:token-exchange", "urn:ietf:params:oauth:grant-type:saml2-bearer", "Authorization_Code", "authorization_code ",
	} {
		if slices.Contains(doc.GrantTypesSupported, grantType) {
			continue
		}
		g.refused(grantType, g.token(url.Values{"grant_type": {grantType}, "client_id": {clientID}}), http.StatusBadRequest, oauth.CodeUnsupportedGrantType)
	}
	a := newAuthorization(clientID)
	for _, responseType := range []string{"token", "id_token", "code token", "code id_token", "none", "Code"} {
		g.refusesAtAuthorize(a, func(q url.Values) { q.Set("response_type", responseType) }, oauth.CodeUnsupportedResponseType)
	}
	for _, mode := range []string{"fragment", "form_post", "query.jwt", "Query"} {
		g.refusesAtAuthorize(a, func(q url.Values) { q.Set("response_mode", mode) }, oauth.CodeInvalidRequest)
	}
	for _, path := range []string{"/userinfo", "/par", "/device_authorization", "/jwks", "/.well-known/jwks.json", "/logout"} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			if page, _ := newBrowser(t).send(method, g.url+path, "", nil); page.status != http.StatusNotFound {
				t.Errorf("%s %s: status %d", method, path, page.status)
			}
		}
	}
}
