package app_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"mcp-gateway/shared/netguard"
	"mcp-gateway/shared/oauth"
)

// documentID is the client_id of a client that publishes a document.
const documentID = "https://client.example/app.json"

// publisher is a client's host: https://client.example at any of its ports, in
// truth at a port of loopback.
type publisher struct {
	http    *http.Client
	address string

	mu sync.Mutex // guards below
	// pages by path; there is no other.
	pages map[string]string
	// status is what some paths answer instead, with a Location.
	status map[string]int
	down   bool
	asked  int
}

// publish starts a client's host and the client that reaches it, which is the
// product's but for the name's address.
func publish(t *testing.T, pages map[string]string) *publisher {
	t.Helper()
	certFile, keyFile, roots := certificate(t, t.TempDir(), "client.example")
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	p := &publisher{pages: pages, status: make(map[string]int)}
	srv := httptest.NewUnstartedServer(p)
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	p.address = srv.Listener.Addr().String()
	p.http = netguard.NewClient(netguard.Config{Dial: p.dial, RootCAs: roots})
	return p
}

func (p *publisher) dial(ctx context.Context, _, address string) (net.Conn, error) {
	p.mu.Lock()
	down := p.down
	p.mu.Unlock()
	if host, _, _ := net.SplitHostPort(address); down || host != "client.example" {
		return nil, errors.New("no route to " + address)
	}
	return new(net.Dialer).DialContext(ctx, "tcp", p.address)
}

func (p *publisher) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked++
	text, ok := p.pages[r.URL.Path]
	if status := p.status[r.URL.Path]; status != 0 {
		w.Header().Set("Location", "/app.json")
		w.WriteHeader(status)
		return
	}
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(text))
}

// set changes a page; an empty one goes.
func (p *publisher) set(path, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pages[path] = text; text == "" {
		delete(p.pages, path)
	}
}

// fail makes a page answer with a status.
func (p *publisher) fail(path string, status int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status[path] = status
}

// setDown makes the host unreachable or reachable.
func (p *publisher) setDown(down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = down
}

func (p *publisher) requests() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked
}

// described is a client's document, with members that a test changes.
func described(t *testing.T, changes map[string]any) string {
	t.Helper()
	doc := map[string]any{
		"client_id": documentID, "client_name": "Documented client",
		"redirect_uris":              []string{"http://127.0.0.1/callback", "http://localhost/callback"},
		"token_endpoint_auth_method": "none", "grant_types": []string{"authorization_code", "refresh_token"}, "application_type": "native",
	}
	for name, value := range changes {
		if doc[name] = value; value == nil {
			delete(doc, name)
		}
	}
	text, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// documented starts a gateway and the host of one client with a document.
func documented(t *testing.T, extra string) (*gateway, *publisher) {
	t.Helper()
	p := publish(t, map[string]string{"/app.json": described(t, nil)})
	return startWith(t, extra, p.http), p
}

func testAClientWithADocumentComesInWithoutRegistering(t *testing.T) {
	t.Parallel()
	g, _ := documented(t, "")
	if doc, _ := g.serverMetadata(); !doc.ClientIDMetadataDocumentSupported {
		t.Error("the metadata does not say that documents are read")
	}
	for _, redirect := range []string{"http://127.0.0.1:54321/callback", "http://localhost:39999/callback"} {
		a := newAuthorization(documentID)
		code := g.visit(newBrowser(t), a, redirect, "Ada", true, nil).Get("code")
		first := g.send("/token", g.codeForm(a, code, redirect), nil)
		if first.status != http.StatusOK || first.RefreshToken == "" {
			t.Fatalf("%s: redeem: %d %s", redirect, first.status, first.body)
		}
		if resp, body := g.callModern(first.AccessToken, "math_add", `{"a":23,"b":19}`); resp.StatusCode != http.StatusOK || !strings.Contains(body, "42") {
			t.Errorf("%s: call: %d %s", redirect, resp.StatusCode, body)
		}
		second := g.send("/token", g.refreshForm(documentID, first.RefreshToken), nil)
		if second.status != http.StatusOK || second.RefreshToken == first.RefreshToken {
			t.Fatalf("%s: refresh: %d %s", redirect, second.status, second.body)
		}
		if got := g.send("/revoke", url.Values{"client_id": {documentID}, "token": {second.RefreshToken}}, nil); got.status != http.StatusOK {
			t.Errorf("%s: revoke: %d %s", redirect, got.status, got.body)
		}
		g.send("/token", g.refreshForm(documentID, second.RefreshToken), nil).wants(t, 400, oauth.CodeInvalidGrant, "revoked")
	}
}

func testTheConsentPageNamesTheHostsOfADocumentAndOfTheAnswer(t *testing.T) {
	t.Parallel()
	g, p := documented(t, "")
	p.set("/app.json", described(t, map[string]any{"redirect_uris": []string{"https://app.example/cb"}, "client_name": "Claude <script>"}))
	page, _ := newBrowser(t).open(t.Context(), g.authorizeURL(newAuthorization(documentID), func(q url.Values) { q.Set("redirect_uri", "https://app.example/cb") }))
	for _, want := range []string{"<code>client.example</code>", "<code>app.example</code>", "Claude &lt;script&gt;", "nobody has checked it"} {
		if !strings.Contains(page.body, want) {
			t.Errorf("the page lacks %q:\n%s", want, page.body)
		}
	}
}

func testAuthorizeRefusesADocumentThatIsNotTheClients(t *testing.T) {
	t.Parallel()
	g, p := documented(t, "")
	for _, tt := range []struct {
		name, id string
		document map[string]any
		says     string
	}{
		{name: "a document that is not there", id: "https://client.example/gone.json", says: "status 404"},
		{name: "another client's document", id: "https://client.example/copy.json", document: map[string]any{}, says: "another client_id"},
		{name: "a document with a query added", id: documentID + "?x", says: "another client_id"},
		{name: "a secret in the open", id: "https://client.example/secret.json",
			document: map[string]any{"client_id": "https://client.example/secret.json", "client_secret": "x"}, says: "anybody can read"},
		{name: "a shared secret as its method", id: "https://client.example/method.json",
			document: map[string]any{"client_id": "https://client.example/method.json", "token_endpoint_auth_method": "client_secret_basic"}, says: "neither none nor private_key_jwt"},
		{name: "a fragment", id: documentID + "#x", says: "not an https URL"},
		{name: "user information", id: "https://user@client.example/app.json", says: "not an https URL"},
		{name: "dot segments", id: "https://client.example/x/../app.json", says: "not an https URL"},
		{name: "no path", id: "https://client.example/", says: "not an https URL"},
		{name: "plain http", id: "http://client.example/app.json", says: "not registered"},
		{name: "loopback by name", id: "https://localhost/app.json", says: "may not use this gateway"},
		{name: "loopback by address", id: "https://127.0.0.1/app.json", says: "may not use this gateway"},
		{name: "the host of a cloud's metadata", id: "https://169.254.169.254/latest/app.json", says: "may not use this gateway"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if u, err := url.Parse(tt.id); err == nil && tt.document != nil {
				p.set(u.Path, described(t, tt.document))
			}
			page, next := newBrowser(t).get(g.authorizeURL(newAuthorization(tt.id), nil))
			if next != nil || page.status != http.StatusBadRequest || !strings.Contains(page.body, tt.says) {
				t.Errorf("status %d, redirected to %v, page without %q:\n%s", page.status, next, tt.says, page.body)
			}
		})
	}
}

// testTheRealGuardReachesNothingInside: the same host, at the address where it
// really is, with the product's own client.
func testTheRealGuardReachesNothingInside(t *testing.T) {
	t.Parallel()
	p := publish(t, map[string]string{"/app.json": "{}"})
	g := start(t, "")
	_, port, err := net.SplitHostPort(p.address)
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "127.1"} {
		id := "https://" + host + ":" + port + "/app.json"
		page, next := newBrowser(t).get(g.authorizeURL(newAuthorization(id), nil))
		if next != nil || page.status != http.StatusBadRequest || isConsent(page) {
			t.Errorf("%s: status %d, redirected to %v", id, page.status, next)
		}
		if strings.Contains(page.body, "loopback") || strings.Contains(page.body, "connection refused") {
			t.Errorf("%s: the page tells about the network:\n%s", id, page.body)
		}
		if got := g.send("/token", g.refreshForm(id, "mcprt_x"), nil); got.status != http.StatusBadRequest && got.status != http.StatusUnauthorized {
			t.Errorf("%s: /token: %d %s", id, got.status, got.body)
		}
	}
	if n := p.requests(); n != 0 {
		t.Errorf("%d requests reached the host, want none", n)
	}
}

func testAClientWhoseDocumentIsGoneIsUnknown(t *testing.T) {
	t.Parallel()
	g, p := documented(t, "")
	a := newAuthorization(documentID)
	tokens := g.redeem(a, g.signIn(newBrowser(t), a, "Ada").Get("code"), nil)
	g.restart("", func() { p.set("/app.json", "") })
	page, next := newBrowser(t).get(g.authorizeURL(a, nil))
	if next != nil || page.status != http.StatusBadRequest || !strings.Contains(page.body, "status 404") {
		t.Errorf("status %d, redirected to %v:\n%s", page.status, next, page.body)
	}
	g.send("/token", g.refreshForm(documentID, tokens.RefreshToken), nil).wants(t, 401, oauth.CodeInvalidClient, "document cannot be used")
	p.set("/app.json", described(t, nil))
	// Not even that was kept: the client is back as soon as its document is.
	if got := g.refresh(documentID, tokens.RefreshToken); got.status != http.StatusOK {
		t.Errorf("the document is back: %d %s", got.status, got.Error)
	}
}

// TestAnOutageOfTheClientsHostEndsNoGrant: 503 at worst, which a client tries
// again, and never what makes it forget its tokens.
func TestAnOutageOfTheClientsHostEndsNoGrant(t *testing.T) {
	t.Parallel()
	g, p := documented(t, "")
	a := newAuthorization(documentID)
	tokens := g.redeem(a, g.signIn(newBrowser(t), a, "Ada").Get("code"), nil)
	p.setDown(true)
	second := g.refresh(documentID, tokens.RefreshToken)
	if second.status != http.StatusOK {
		t.Fatalf("there is a young copy: %d %s", second.status, second.Error)
	}
	g.restart("", nil)
	for range 2 {
		got := g.send("/token", g.refreshForm(documentID, second.RefreshToken), nil)
		got.wants(t, 503, oauth.CodeTemporarilyUnavailable, "try again")
		if got.header.Get("Retry-After") == "" {
			t.Error("nobody says when to try again")
		}
	}
	page, next := newBrowser(t).get(g.authorizeURL(a, nil))
	if next != nil || !strings.Contains(page.body, "cannot be read at the moment") || strings.Contains(page.body, "no route") {
		t.Errorf("status %d, redirected to %v:\n%s", page.status, next, page.body)
	}
	p.setDown(false)
	if got := g.refresh(documentID, second.RefreshToken); got.status != http.StatusOK {
		t.Errorf("the host is back: %d %s", got.status, got.Error)
	}
}

func testACodeIsWorthNothingWhenItsRedirectURIIsTheClientsNoLonger(t *testing.T) {
	t.Parallel()
	g, p := documented(t, "")
	a := newAuthorization(documentID)
	code := g.signIn(newBrowser(t), a, "Ada").Get("code")
	g.restart("", func() {
		p.set("/app.json", described(t, map[string]any{"redirect_uris": []string{"https://app.example/cb"}}))
	})
	g.send("/token", g.codeForm(a, code, clientRedirect), nil).wants(t, 400, oauth.CodeInvalidGrant, "not the client's any longer")
	g.send("/token", with(g.codeForm(a, code, ""), "redirect_uri", ""), nil).wants(t, 400, oauth.CodeInvalidGrant, "not the client's any longer")
}

func TestThePolicyDecidesWhoseDocumentsAreRead(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, extra string
		advertised  bool
		admitted    bool
	}{
		{name: "closed", extra: "clients: {documents: closed}\n"},
		{name: "listed, and another host", extra: "clients: {documents: listed, document_hosts: [claude.ai]}\n", advertised: true},
		{name: "listed, and only those below its name", extra: "clients: {documents: listed, document_hosts: [\"*.client.example\"]}\n", advertised: true},
		{name: "listed by name", extra: "clients: {documents: listed, document_hosts: [client.example]}\n", advertised: true, admitted: true},
		{name: "open", extra: "clients: {documents: open, registration: closed}\n", advertised: true, admitted: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g, p := documented(t, tt.extra)
			if doc, _ := g.serverMetadata(); doc.ClientIDMetadataDocumentSupported != tt.advertised {
				t.Errorf("advertised: %v", doc.ClientIDMetadataDocumentSupported)
			}
			page, _ := newBrowser(t).get(g.authorizeURL(newAuthorization(documentID), nil))
			if isConsent(page) != tt.admitted {
				t.Errorf("status %d:\n%s", page.status, page.body)
			}
			got := g.send("/token", g.refreshForm(documentID, "mcprt_x"), nil)
			if tt.admitted {
				got.wants(t, 400, oauth.CodeInvalidGrant, "unknown")
				return
			}
			got.wants(t, 400, oauth.CodeUnauthorizedClient, "ask its administrator")
			if !strings.Contains(page.body, "may not use this gateway") || p.requests() != 0 {
				t.Errorf("%d requests, page:\n%s", p.requests(), page.body)
			}
		})
	}
}
