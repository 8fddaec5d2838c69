package app_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mcp-gateway/gateway/internal/store/sqlite"
	"mcp-gateway/shared/oauth"
)

// reply is what an endpoint for programs answers.
type reply struct {
	status int
	header http.Header
	body   string
	oauth.TokenResponse
	oauth.ErrorResponse
}

// send posts a form to an endpoint for programs.
func (g *gateway) send(path string, form url.Values, header http.Header) reply {
	g.t.Helper()
	req, err := http.NewRequestWithContext(g.t.Context(), http.MethodPost, g.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		g.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	maps.Copy(req.Header, header)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		g.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	got := reply{status: resp.StatusCode, header: resp.Header, body: string(data)}
	if len(data) == 0 || resp.StatusCode == http.StatusMethodNotAllowed || resp.StatusCode == http.StatusNotFound {
		return got
	}
	for _, into := range []any{&got.TokenResponse, &got.ErrorResponse} {
		if err := json.Unmarshal(data, into); err != nil {
			g.t.Fatalf("%s answers %s: %v", path, data, err)
		}
	}
	if resp.Header.Get("Cache-Control") != "no-store" {
		g.t.Errorf("an answer of %s may be stored", path)
	}
	return got
}

// wants checks a refusal, by its code and by the reason in its description.
func (r reply) wants(t *testing.T, status int, code, says string) {
	t.Helper()
	if r.status != status || r.Error != code || !strings.Contains(r.ErrorDescription, says) {
		t.Errorf("got %d %q (%s), want %d %q about %q", r.status, r.Error, r.ErrorDescription, status, code, says)
	}
}

// codeForm and refreshForm are the two token requests of a client.
func (g *gateway) codeForm(a authorization, code, redirect string) url.Values {
	return url.Values{
		"grant_type": {"authorization_code"}, "client_id": {a.clientID}, "code": {code},
		"redirect_uri": {redirect}, "code_verifier": {a.verifier}, "resource": {g.url + "/mcp"},
	}
}

func (g *gateway) refreshForm(clientID, token string) url.Values {
	return url.Values{"grant_type": {"refresh_token"}, "client_id": {clientID}, "refresh_token": {token}}
}

// with is a form with some parameters set, or left out when they have no value.
func with(form url.Values, pairs ...string) url.Values {
	form = maps.Clone(form)
	for i := 0; i < len(pairs); i += 2 {
		form.Del(pairs[i])
		if pairs[i+1] != "" {
			form.Set(pairs[i], pairs[i+1])
		}
	}
	return form
}

// basic is HTTP Basic as RFC 6749 §2.3.1 wants it: both parts form-encoded.
func basic(id, secret string) http.Header {
	return rawBasic(url.QueryEscape(id), url.QueryEscape(secret))
}

func rawBasic(id, secret string) http.Header {
	return http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+secret))}}
}

// visit takes a person through a sign-in that ends at redirect, over the
// consent page if there is one, and returns the client's answer.
func (g *gateway) visit(b *browser, a authorization, redirect, who string, asked bool, change func(url.Values)) url.Values {
	g.t.Helper()
	b.stopAt = redirect
	doc, back := b.open(g.t.Context(), g.authorizeURL(a, func(q url.Values) {
		q.Set("redirect_uri", redirect)
		if change != nil {
			change(q)
		}
	}))
	if back != nil {
		g.t.Fatalf("the client was answered without anybody: %s", back)
	}
	if got := isConsent(doc); got != asked {
		g.t.Fatalf("the consent page is shown: %v, want %v (status %d):\n%s", got, asked, doc.status, doc.body)
	}
	if asked {
		doc, _ = b.press(g.t.Context(), doc, "allow")
	}
	doc, back = b.press(g.t.Context(), doc, who)
	if back == nil {
		g.t.Fatalf("the sign-in did not return to the client (status %d):\n%s", doc.status, doc.body)
	}
	return back.Query()
}

// isConsent tells the consent page from every other.
func isConsent(doc document) bool {
	return strings.Contains(doc.body, "Allow and sign in with Microsoft")
}

// restart stops the gateway, does something while it is down and starts it
// again at the same address: what it had in memory is gone.
func (g *gateway) restart(extra string, down func()) {
	g.t.Helper()
	again := g.keepPort()
	if err := g.stop(); err != nil {
		g.t.Fatal(err)
	}
	http.DefaultClient.CloseIdleConnections()
	if down != nil {
		down()
	}
	l, err := again()
	if err != nil {
		g.t.Fatal(err)
	}
	g.serve(l, extra)
}

// keepPort returns what listens again where the gateway does. A copy of the
// socket keeps another test from getting the port, where there are such copies.
func (g *gateway) keepPort() func() (net.Listener, error) {
	g.t.Helper()
	address := g.listener.Addr().String()
	filer, ok := g.listener.(interface{ File() (*os.File, error) })
	if !ok {
		g.t.Fatalf("a listener of type %T", g.listener)
	}
	file, err := filer.File()
	if err != nil {
		return func() (net.Listener, error) { return net.Listen("tcp", address) }
	}
	return func() (net.Listener, error) {
		defer func() { _ = file.Close() }()
		return net.FileListener(file)
	}
}

// wipe removes the database; the key ring stays.
func (g *gateway) wipe() {
	g.t.Helper()
	files, err := filepath.Glob(filepath.Join(g.dir, "gateway.db*"))
	if err != nil || len(files) == 0 {
		g.t.Fatalf("there is no database: %v", err)
	}
	for _, file := range files {
		if err := os.Remove(file); err != nil {
			g.t.Fatal(err)
		}
	}
}

// story stops the gateway and tells what its trail holds, a row a line.
func (g *gateway) story() string {
	g.t.Helper()
	if err := g.stop(); err != nil {
		g.t.Fatal(err)
	}
	db, err := sqlite.Open(g.t.Context(), filepath.Join(g.dir, "gateway.db"))
	if err != nil {
		g.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	events, err := db.Events(g.t.Context(), 0, 100)
	if err != nil {
		g.t.Fatal(err)
	}
	var rows strings.Builder
	for _, e := range events {
		rows.WriteString(strings.TrimSpace(strings.Join([]string{e.Kind, e.Outcome, e.Reason, e.Tool}, " ")) + "\n")
	}
	return rows.String()
}

// serverMetadata reads the metadata of the authorization server.
func (g *gateway) serverMetadata() (doc oauth.ServerMetadata, raw map[string]any) {
	g.t.Helper()
	resp, err := http.Get(g.url + oauth.PathServerMetadata)
	if err != nil {
		g.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	for _, into := range []any{&doc, &raw} {
		if err := json.Unmarshal(data, into); err != nil {
			g.t.Fatalf("metadata %s: %v", data, err)
		}
	}
	return doc, raw
}

// secretFile writes a secret for the configuration and returns its file's name.
func secretFile(t *testing.T, secret string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// stored reports whether a text is in a file of the database as it is.
func (g *gateway) stored(text string) bool {
	g.t.Helper()
	files, err := filepath.Glob(filepath.Join(g.dir, "gateway.db*"))
	if err != nil || len(files) == 0 {
		g.t.Fatalf("there is no database: %v", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			g.t.Fatal(err)
		}
		if bytes.Contains(data, []byte(text)) {
			return true
		}
	}
	return false
}
