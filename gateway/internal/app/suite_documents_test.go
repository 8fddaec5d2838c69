package app_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"mcp-gateway/shared/oauth"
)

// documentRequirements are those of section 1.4: clients that publish a
// document about themselves (draft-ietf-oauth-client-id-metadata-document, MCP
// Client ID Metadata Documents).
var documentRequirements = []requirement{
	{level: should, name: "1.4 a client may be the URL of its document, at every endpoint", check: alone(testAClientWithADocumentComesInWithoutRegistering)},
	{level: should, name: "1.4 it is advertised that documents are read", check: documentsAreAdvertised},
	{level: must, name: "1.4 a client_id is an https URL with a path and without dot segments, fragment or user", check: alone(documentURLsAreStrict)},
	{level: should, name: "1.4 a client_id has no query, and one that has is taken with all of it", check: alone(queryIsPartOfTheID)},
	{level: should, name: "1.4 no client_id of ours looks like the URL of a document", check: idsOfOursAreNoURLs},
	{level: must, name: "1.4 client_id and document are compared as strings", check: alone(documentIsComparedAsString)},
	{level: must, name: "1.4 a document that is not the client's is refused", check: alone(testAuthorizeRefusesADocumentThatIsNotTheClients)},
	{level: must, name: "1.4 a document names the client and its redirect URIs, and holds no secret", check: alone(documentIsComplete)},
	{level: must, name: "1.4 a document holds no private key", check: alone(testADocumentMayHoldTheKeysItself)},
	{level: must, name: "1.4 a redirect URI is one of the document's, loopback ports excepted", check: alone(redirectIsOfTheDocument)},
	{level: must, name: "1.4 only 200 is a document, redirects are not followed, and 5 KB are enough", check: alone(testWhatAHostMayAnswerWith)},
	{level: must, name: "1.4 nothing is fetched from inside, for a document, its keys or its logo", check: alone(nothingInsideIsFetched)},
	{level: must, name: "1.4 no name and no spelling of an inside address is fetched", check: alone(testTheRealGuardReachesNothingInside)},
	{level: must, name: "1.4 no error and no bad document is kept", check: alone(errorsAreNotKept)},
	{level: must, name: "1.4 a client whose document is gone is unknown at every endpoint", check: alone(testAClientWhoseDocumentIsGoneIsUnknown)},
	{level: should, name: "1.4 a good document is kept for a while", check: alone(documentIsKept)},
	{level: should, name: "1.4 a redirect URI that left the document redeems no code", check: alone(testACodeIsWorthNothingWhenItsRedirectURIIsTheClientsNoLonger)},
	{level: should, name: "1.4 fetches are bounded for each host", check: alone(testNobodyCanTurnTheGatewayAgainstAHost)},
	{level: must, name: "1.4 the consent page shows the host of the redirect URI, and of the document", check: alone(testTheConsentPageNamesTheHostsOfADocumentAndOfTheAnswer)},
	{level: should, name: "1.4 the consent page warns of a client that is answered on this computer", check: alone(localClientIsWarnedOf)},
	{level: should, name: "1.4 of the methods in a document the one that proves something is chosen", check: alone(provingMethodIsChosen)},
}

// hosted serves documents of other paths of the client's host, each of which
// is its own client but for what a test changes.
func (p *publisher) hosted(t *testing.T, path string, changes map[string]any) (clientID string) {
	t.Helper()
	clientID = "https://client.example" + path
	all := map[string]any{"client_id": clientID}
	maps.Copy(all, changes)
	p.set(path, described(t, all))
	return clientID
}

// refusesOnAPage checks that a client is told nothing and the person is.
func (g *gateway) refusesOnAPage(what, clientID, says string, change func(url.Values)) {
	g.t.Helper()
	page, next := newBrowser(g.t).get(g.authorizeURL(newAuthorization(clientID), change))
	if next != nil || page.status != http.StatusBadRequest || !strings.Contains(page.body, says) {
		g.t.Errorf("%s: status %d, redirected to %v, page without %q:\n%s", what, page.status, next, says, page.body)
	}
}

func documentsAreAdvertised(t *testing.T, g *gateway) {
	if !g.metadata().ClientIDMetadataDocumentSupported {
		t.Error("client_id_metadata_document_supported is not true")
	}
}

func documentURLsAreStrict(t *testing.T) {
	t.Parallel()
	g, p := documented(t, wideRates)
	const form, other = "not an https URL", "not registered"
	for _, tt := range []struct{ name, id, says string }{
		{name: "http", id: "http://client.example/app.json", says: other},
		{name: "the scheme in upper case", id: "HTTPS://client.example/app.json", says: other},
		{name: "another scheme", id: "ftp://client.example/app.json", says: other},
		{name: "a space before it", id: " " + documentID, says: other},
		{name: "no path", id: "https://client.example", says: form},
		{name: "a path of nothing", id: "https://client.example/", says: form},
		{name: "a query for a path", id: "https://client.example?/app.json", says: form},
		{name: "a dot segment", id: "https://client.example/./app.json", says: form},
		{name: "two dots", id: "https://client.example/x/../app.json", says: form},
		{name: "two encoded dots", id: "https://client.example/x/%2e%2E/app.json", says: form},
		{name: "two dots at the end", id: "https://client.example/app.json/..", says: form},
		{name: "a fragment", id: documentID + "#x", says: form},
		{name: "an empty fragment", id: documentID + "#", says: form},
		{name: "a user", id: "https://user@client.example/app.json", says: form},
		{name: "a user and a password", id: "https://user:pass@client.example/app.json", says: form},
		{name: "another host before the host", id: "https://client.example@evil.example/app.json", says: form},
		{name: "a backslash", id: `https://client.example\app.json`, says: form},
		{name: "a line break", id: documentID + "\r\nX: y", says: form},
	} {
		g.refusesOnAPage(tt.name, tt.id, tt.says, nil)
		g.send("/token", g.refreshForm(tt.id, "mcprt_x"), nil).wants(t, http.StatusUnauthorized, oauth.CodeInvalidClient, "")
	}
	if n := p.requests(); n != 0 {
		t.Errorf("%d of them were fetched", n)
	}
	// A port is part of what a client may be.
	withPort := strings.Replace(documentID, ".example", ".example:8443", 1)
	p.set("/app.json", described(t, map[string]any{"client_id": withPort}))
	if page, _ := newBrowser(t).get(g.authorizeURL(newAuthorization(withPort), nil)); !isConsent(page) || !strings.Contains(page.body, "client.example:8443") {
		t.Errorf("with a port: status %d:\n%s", page.status, page.body)
	}
}

func queryIsPartOfTheID(t *testing.T) {
	t.Parallel()
	g, p := documented(t, wideRates)
	g.refusesOnAPage("a query that the document does not have", documentID+"?x=1", "another client_id", nil)
	p.set("/app.json", described(t, map[string]any{"client_id": documentID + "?x=1"}))
	g.refusesOnAPage("another query than the document has", documentID+"?x=2", "another client_id", nil)
	g.refusesOnAPage("no query, where the document has one", documentID, "another client_id", nil)
	if page, _ := newBrowser(t).get(g.authorizeURL(newAuthorization(documentID+"?x=1"), nil)); !isConsent(page) {
		t.Errorf("the document's query: status %d:\n%s", page.status, page.body)
	}
}

func idsOfOursAreNoURLs(t *testing.T, g *gateway) {
	for _, method := range []string{oauth.AuthMethodNone, oauth.AuthMethodSecretBasic} {
		if info := g.registerAs(method, serverRedirect); !strings.HasPrefix(info.ClientID, "mcpc_") {
			t.Errorf("a client_id begins with %.8q", info.ClientID)
		}
	}
	wanted := g.register(`{"client_id":"` + documentID + `","redirect_uris":["` + serverRedirect + `"]}`)
	if wanted.status != http.StatusCreated || !strings.HasPrefix(wanted.ClientID, "mcpc_") {
		t.Errorf("who wishes for a client_id gets %d %s", wanted.status, wanted.body)
	}
}

func documentIsComparedAsString(t *testing.T) {
	t.Parallel()
	g, p := documented(t, wideRates)
	for name, id := range map[string]string{
		"the host in upper case":    "https://Client.example/app.json",
		"the port that is meant":    "https://client.example:443/app.json",
		"a letter that is encoded":  "https://client.example/%61pp.json",
		"a slash at the end":        documentID + "/",
		"a space at the end":        documentID + " ",
		"another document":          "https://client.example/other.json",
		"nothing":                   "",
		"the same in another place": "https://evil.example/app.json",
	} {
		path := "/" + strings.ReplaceAll(name, " ", "-") + ".json"
		p.set(path, described(t, map[string]any{"client_id": id}))
		g.refusesOnAPage(name, "https://client.example"+path, "another client_id", nil)
	}
	// Nor is one client another because a parser says so.
	for _, id := range []string{"https://client.example:443/app.json", "https://client.example/%61pp.json", "https://client.example//app.json"} {
		page, next := newBrowser(t).get(g.authorizeURL(newAuthorization(id), nil))
		if next != nil || page.status != http.StatusBadRequest || isConsent(page) {
			t.Errorf("%s: status %d, redirected to %v", id, page.status, next)
		}
	}
}

func documentIsComplete(t *testing.T) {
	t.Parallel()
	g, p := documented(t, wideRates)
	for _, tt := range []struct {
		path, says string
		changes    map[string]any
	}{
		{path: "/no-name", changes: map[string]any{"client_name": nil}, says: "client_name"},
		{path: "/empty-name", changes: map[string]any{"client_name": " \u200b"}, says: "client_name"},
		{path: "/no-redirects", changes: map[string]any{"redirect_uris": nil}, says: "redirect_uris"},
		{path: "/empty-redirects", changes: map[string]any{"redirect_uris": []string{}}, says: "redirect_uris"},
		{path: "/secret", changes: map[string]any{"client_secret": "s"}, says: "anybody can read"},
		{path: "/empty-secret", changes: map[string]any{"client_secret": ""}, says: "anybody can read"},
		{path: "/expiry", changes: map[string]any{"client_secret_expires_at": 0}, says: "anybody can read"},
		{path: "/key", changes: map[string]any{"jwks": map[string]any{"keys": []any{map[string]any{"kty": "oct", "k": "c2VjcmV0"}}}}, says: "a private or a symmetric key"},
		{path: "/basic", changes: map[string]any{"token_endpoint_auth_method": "client_secret_basic"}, says: "neither none nor private_key_jwt"},
		{path: "/post", changes: map[string]any{"token_endpoint_auth_method": "client_secret_post"}, says: "neither none nor private_key_jwt"},
		{path: "/jwt", changes: map[string]any{"token_endpoint_auth_method": "client_secret_jwt"}, says: "neither none nor private_key_jwt"},
	} {
		g.refusesOnAPage(tt.path, p.hosted(t, tt.path, tt.changes), tt.says, nil)
	}
}

func redirectIsOfTheDocument(t *testing.T) {
	t.Parallel()
	g, p := documented(t, wideRates)
	p.set("/app.json", described(t, map[string]any{"redirect_uris": []string{"https://app.example/cb?x=1", "http://127.0.0.1/callback"}}))
	for redirect, own := range map[string]bool{
		"https://app.example/cb?x=1": true, "http://127.0.0.1/callback": true, "http://127.0.0.1:4711/callback": true, "http://127.0.0.1:1/callback": true,
		"https://app.example/cb": false, "https://app.example/cb?x=1&y": false, "https://app.example/CB?x=1": false, "https://app.example:443/cb?x=1": false,
		"https://app.example:8443/cb?x=1": false, "https://App.example/cb?x=1": false, "https://evil.example/cb?x=1": false, "http://app.example/cb?x=1": false,
		"http://localhost:4711/callback": false, "http://[::1]:4711/callback": false, "https://127.0.0.1/callback": false, "http://127.0.0.1:4711/callback/": false,
		"http://127.0.0.1:4711/callback?x": false, "http://127.0.0.1.evil.example/callback": false, "https://client.example/cb": false,
	} {
		to := func(q url.Values) { q.Set("redirect_uri", redirect) }
		if page, _ := newBrowser(t).get(g.authorizeURL(newAuthorization(documentID), to)); own {
			if !isConsent(page) {
				t.Errorf("%s: status %d:\n%s", redirect, page.status, page.body)
			}
			continue
		}
		g.refusesOnAPage(redirect, documentID, "did not register", to)
	}
}

// nothingInsideIsFetched: what a document names is held to what the document
// itself is, and the logo is not for the gateway to fetch at all.
func nothingInsideIsFetched(t *testing.T) {
	t.Parallel()
	g, p := documented(t, wideRates)
	key := newSigner(t, "one")
	inside := publish(t, map[string]string{"/jwks.json": key.published(), "/logo.png": "x"})
	for name, host := range map[string]string{"address": inside.address, "name": "localhost:" + strings.Split(inside.address, ":")[1], "cloud": "169.254.169.254"} {
		id := p.hosted(t, "/"+name+".json", map[string]any{
			"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "https://" + host + "/jwks.json", "logo_uri": "https://" + host + "/logo.png",
		})
		page, _ := newBrowser(t).get(g.authorizeURL(newAuthorization(id), nil))
		if !isConsent(page) || strings.Contains(page.body, "logo.png") || strings.Contains(page.body, "<img") {
			t.Errorf("%s: status %d:\n%s", name, page.status, page.body)
		}
		got := g.send("/token", asserting(g.refreshForm(id, "mcprt_x"), key.assertion(g, id, nil)), nil)
		if got.status < 400 || got.Error == oauth.CodeInvalidGrant || strings.Contains(got.body, "loopback") {
			t.Errorf("%s: the key was taken, or the network is told of: %d %s", name, got.status, got.body)
		}
	}
	if n := inside.requests(); n != 0 {
		t.Errorf("%d requests went inside", n)
	}
}

func errorsAreNotKept(t *testing.T) {
	t.Parallel()
	g, p := documented(t, wideRates)
	for _, tt := range []struct {
		path   string
		status int
		page   string
	}{
		{path: "/404.json"},
		{path: "/302.json", status: http.StatusFound},
		{path: "/403.json", status: http.StatusForbidden},
		{path: "/500.json", status: http.StatusInternalServerError},
		{path: "/half.json", page: "{"},
		{path: "/large.json", page: `{"x":"` + strings.Repeat("x", 6000) + `"}`},
		{path: "/others.json", page: described(t, nil)},
	} {
		id := "https://client.example" + tt.path
		p.set(tt.path, tt.page)
		p.fail(tt.path, tt.status)
		if page, next := newBrowser(t).get(g.authorizeURL(newAuthorization(id), nil)); next != nil || page.status != http.StatusBadRequest || isConsent(page) {
			t.Errorf("%s: status %d, redirected to %v", tt.path, page.status, next)
		}
		p.fail(tt.path, 0)
		p.hosted(t, tt.path, nil)
		if page, _ := newBrowser(t).get(g.authorizeURL(newAuthorization(id), nil)); !isConsent(page) {
			t.Errorf("%s, when it is good: status %d:\n%s", tt.path, page.status, page.body)
		}
	}
}

// documentIsKept: for how long stands in package client, with a clock.
func documentIsKept(t *testing.T) {
	t.Parallel()
	g, p := documented(t, wideRates)
	for range 3 {
		if page, _ := newBrowser(t).get(g.authorizeURL(newAuthorization(documentID), nil)); !isConsent(page) {
			t.Fatalf("status %d:\n%s", page.status, page.body)
		}
	}
	if n := p.requests(); n != 1 {
		t.Errorf("the document was fetched %d times, want once", n)
	}
}

func localClientIsWarnedOf(t *testing.T) {
	t.Parallel()
	g, p := documented(t, wideRates)
	page, _ := newBrowser(t).get(g.authorizeURL(newAuthorization(documentID), nil))
	for _, want := range []string{`class="warn"`, "a program on this computer", "127.0.0.1:4711", "<code>client.example</code>", "only if you have just started this"} {
		if !strings.Contains(page.body, want) {
			t.Errorf("the page lacks %q:\n%s", want, page.body)
		}
	}
	remote := p.hosted(t, "/remote.json", map[string]any{"redirect_uris": []string{serverRedirect}})
	page, _ = newBrowser(t).get(g.authorizeURL(newAuthorization(remote), func(q url.Values) { q.Set("redirect_uri", serverRedirect) }))
	if !isConsent(page) || strings.Contains(page.body, "on this computer") {
		t.Errorf("a client that is elsewhere: status %d:\n%s", page.status, page.body)
	}
}

func provingMethodIsChosen(t *testing.T) {
	t.Parallel()
	g, p := documented(t, wideRates)
	key := newSigner(t, "one")
	keys, err := json.Marshal(key.public())
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		path    string
		methods []string
		proves  bool
	}{
		{path: "/both", methods: []string{"none", "private_key_jwt"}, proves: true},
		{path: "/one", methods: []string{"private_key_jwt"}, proves: true},
		{path: "/others", methods: []string{"client_secret_post", "none"}},
		{path: "/none"},
	} {
		changes := map[string]any{"token_endpoint_auth_method": nil, "jwks": json.RawMessage(keys)}
		if tt.methods != nil {
			changes["token_endpoint_auth_methods_supported"] = tt.methods
		}
		id := p.hosted(t, tt.path, changes)
		got := g.send("/token", g.refreshForm(id, "mcprt_x"), nil)
		if !tt.proves {
			got.wants(t, http.StatusBadRequest, oauth.CodeInvalidGrant, "unknown")
			continue
		}
		got.wants(t, http.StatusUnauthorized, oauth.CodeInvalidClient, "did not prove")
		got = g.send("/token", asserting(g.refreshForm(id, "mcprt_x"), key.assertion(g, id, nil)), nil)
		got.wants(t, http.StatusBadRequest, oauth.CodeInvalidGrant, "unknown")
	}
}
