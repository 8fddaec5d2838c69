package app_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"mcp-gateway/shared/oauth"
)

// What clients publish is fetched for whoever asks, before anybody signed in.

func testWhatAHostMayAnswerWith(t *testing.T) {
	t.Parallel()
	g, p := documented(t, "")
	id := func(path string) string { return "https://client.example" + path }
	p.set("/large.json", described(t, map[string]any{"client_id": id("/large.json"), "x": strings.Repeat("x", 6000)}))
	p.set("/list.json", `[]`)
	p.set("/cut.json", `{"client_id":"`+id("/cut.json"))
	p.set("/twice.json", strings.Replace(described(t, map[string]any{"client_id": id("/twice.json")}), "{", `{"client_id":"https://other.example/x",`, 1))
	p.set("/nameless.json", described(t, map[string]any{"client_id": id("/nameless.json"), "client_name": nil}))
	p.set("/nowhere.json", described(t, map[string]any{"client_id": id("/nowhere.json"), "redirect_uris": []string{}}))
	p.set("/remote.json", described(t, map[string]any{"client_id": id("/remote.json"), "redirect_uris": []string{"http://evil.example/cb", "javascript:alert(1)"}}))
	for path, status := range map[string]int{"/301.json": 301, "/302.json": 302, "/307.json": 307, "/401.json": 401, "/410.json": 410, "/429.json": 429, "/500.json": 500, "/204.json": 204} {
		p.fail(path, status)
	}
	for _, tt := range []struct {
		path, says string
		// again: the client may try again, since this passes.
		again bool
		// forbidden: it is let in by nobody, rather than unknown.
		forbidden bool
	}{
		{path: "/large.json", says: "larger than 5120 bytes"},
		{path: "/list.json", says: "cannot be read"},
		{path: "/cut.json", says: "cannot be read"},
		{path: "/twice.json", says: "cannot be read"},
		{path: "/nameless.json", says: "client_name"},
		{path: "/nowhere.json", says: "redirect_uris"},
		{path: "/remote.json", says: "may not use this gateway", forbidden: true},
		{path: "/301.json", says: "redirects are not followed"},
		{path: "/302.json", says: "redirects are not followed"},
		{path: "/307.json", says: "redirects are not followed"},
		{path: "/401.json", says: "status 401"},
		{path: "/410.json", says: "status 410"},
		{path: "/204.json", says: "status 204"},
		{path: "/429.json", says: "cannot be read at the moment", again: true},
		{path: "/500.json", says: "cannot be read at the moment", again: true},
	} {
		t.Run(tt.path, func(t *testing.T) {
			page, next := newBrowser(t).get(g.authorizeURL(newAuthorization(id(tt.path)), nil))
			if next != nil || page.status != http.StatusBadRequest || !strings.Contains(page.body, tt.says) {
				t.Errorf("status %d, redirected to %v, page without %q:\n%s", page.status, next, tt.says, page.body)
			}
			got := g.send("/token", g.refreshForm(id(tt.path), "mcprt_x"), nil)
			switch {
			case tt.again:
				got.wants(t, 503, oauth.CodeTemporarilyUnavailable, "try again")
			case tt.forbidden:
				got.wants(t, 400, oauth.CodeUnauthorizedClient, "ask its administrator")
			default:
				got.wants(t, 401, oauth.CodeInvalidClient, "document cannot be used")
			}
		})
	}
}

func TestManyWhoAskAtOnceShareOneFetch(t *testing.T) {
	t.Parallel()
	g, p := documented(t, "")
	address := g.authorizeURL(newAuthorization(documentID), nil)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if page, _ := newBrowser(t).get(address); !isConsent(page) {
				t.Errorf("status %d", page.status)
			}
		})
	}
	wg.Wait()
	if n := p.requests(); n != 1 {
		t.Errorf("the host was asked %d times, want once", n)
	}
}

// testNobodyCanTurnTheGatewayAgainstAHost: it is asked 30 times a minute, and
// the clients of which there is a copy do not notice.
func testNobodyCanTurnTheGatewayAgainstAHost(t *testing.T) {
	t.Parallel()
	g, p := documented(t, "")
	g.send("/token", g.refreshForm(documentID, "mcprt_x"), nil).wants(t, 400, oauth.CodeInvalidGrant, "unknown")
	const most = 2 * 30 // the minute may end in between
	var last reply
	for i := range most {
		last = g.send("/token", g.refreshForm(fmt.Sprintf("https://client.example/%d.json", i), "mcprt_x"), nil)
		if last.status == http.StatusServiceUnavailable {
			break
		}
		last.wants(t, 401, oauth.CodeInvalidClient, "document cannot be used")
	}
	last.wants(t, 503, oauth.CodeTemporarilyUnavailable, "try again")
	if n := p.requests(); n > most {
		t.Errorf("the host was asked %d times", n)
	}
	g.send("/token", g.refreshForm(documentID, "mcprt_x"), nil).wants(t, 400, oauth.CodeInvalidGrant, "unknown")
}

// TestAClientOfTheConfigurationMayHaveAKey although documents are closed.
func TestAClientOfTheConfigurationMayHaveAKey(t *testing.T) {
	t.Parallel()
	key := newSigner(t, "one")
	p := publish(t, map[string]string{"/jwks.json": key.published()})
	g := startWith(t, "clients: {registration: closed, documents: closed}\nregistered_clients:\n"+
		"  - {id: crm, name: The CRM, redirect_uris: [\""+serverRedirect+"\"], auth_method: private_key_jwt, jwks_uri: \"https://client.example/jwks.json\"}\n", p.http)
	a := newAuthorization("crm")
	code := g.visit(newBrowser(t), a, serverRedirect, "Ada", true, nil).Get("code")
	form := g.codeForm(a, code, serverRedirect)
	g.send("/token", form, nil).wants(t, 401, oauth.CodeInvalidClient, "did not prove")
	g.send("/token", asserting(form, newSigner(t, "one").assertion(g, "crm", nil)), nil).wants(t, 401, oauth.CodeInvalidClient, "did not prove")
	g.send("/token", asserting(form, key.assertion(g, documentID, nil)), nil).wants(t, 401, oauth.CodeInvalidClient, "did not prove")
	g.send("/token", with(form, "client_secret", "x"), nil).wants(t, 401, oauth.CodeInvalidClient, "did not prove")
	if got := g.send("/token", asserting(form, key.assertion(g, "crm", nil)), nil); got.status != http.StatusOK {
		t.Errorf("with its key: %d %s", got.status, got.body)
	}
	p.fail("/jwks.json", http.StatusInternalServerError)
	if got := g.send("/revoke", asserting(url.Values{"client_id": {"crm"}, "token": {"x"}}, key.assertion(g, "crm", nil)), nil); got.status != http.StatusOK {
		t.Errorf("while its host fails there is a copy: %d %s", got.status, got.body)
	}
}
