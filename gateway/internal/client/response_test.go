package client_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/x509"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mcp-gateway/gateway/internal/client"
	"mcp-gateway/shared/netguard"
)

// padded is a document of exactly n bytes.
func padded(n int) []byte {
	body := document(documentURL, members{"padding": ""})
	return document(documentURL, members{"padding": strings.Repeat("a", n-len(body))})
}

func zipped(data []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(data)
	_ = z.Close()
	return b.Bytes()
}

func TestResolveRefusesWhatIsNoDocument(t *testing.T) {
	t.Parallel()
	const unreadable, kind = "its document cannot be read", "is not of the type application/json"
	good := string(document(documentURL, nil))
	twice := func(member string) string { return "{" + member + "," + good[1:] }
	for _, tt := range []struct {
		name   string
		body   string // a good document if empty
		status int    // 200 if 0
		header []string
		reason string
	}{
		{name: "nothing", body: " ", reason: unreadable},
		{name: "no JSON", body: "<!doctype html>", reason: unreadable},
		{name: "null", body: "null", reason: "the document is not an object"},
		{name: "a list", body: "[" + good + "]", reason: "the document is not an object"},
		{name: "a string", body: `"` + documentURL + `"`, reason: "the document is not an object"},
		{name: "half a document", body: good[:len(good)/2], reason: unreadable},
		{name: "two documents", body: good + good, reason: unreadable},
		{name: "something after the document", body: good + "x", reason: unreadable},
		{name: "a byte order mark", body: "\ufeff" + good, reason: unreadable},
		{name: "a client_id that stands twice", body: twice(`"client_id":"https://other.example/client.json"`), reason: `the key "client_id" stands twice`},
		{name: "redirect_uris that stand twice", body: twice(`"redirect_uris":["https://other.example/cb"]`), reason: "stands twice"},
		{name: "an unknown member that stands twice", body: twice(`"x":1,"x":2`), reason: "stands twice"},
		{name: "a member that stands twice, once escaped", body: twice(`"client\u005fid":"https://other.example/client.json"`), reason: "stands twice"},
		{name: "redirect_uris in another case", body: twice(`"Redirect_URIs":["https://other.example/cb"]`), reason: `looks like "redirect_uris"`},
		{name: "a client_secret in another case", body: twice(`"Client_Secret":"s"`), reason: `looks like "client_secret"`},
		{name: "a member that folds to another by a long s", body: twice(`"redirect_uri\u017f":["https://other.example/cb"]`), reason: `looks like "redirect_uris"`},
		{name: "jwks by a Kelvin sign", body: twice(`"jw\u212as":{}`), reason: `looks like "jwks"`},
		{name: "5121 bytes", body: string(padded(5121)), reason: "is larger than 5120 bytes"},
		{name: "5120 bytes and a space", body: string(padded(5120)) + " ", reason: "is larger than 5120 bytes"},
		{name: "text/html", header: []string{"Content-Type", "text/html"}, reason: kind},
		{name: "text/plain", header: []string{"Content-Type", "text/plain; charset=utf-8"}, reason: kind},
		{name: "text/json", header: []string{"Content-Type", "text/json"}, reason: kind},
		{name: "application/javascript", header: []string{"Content-Type", "application/javascript"}, reason: kind},
		{name: "application/jsonp", header: []string{"Content-Type", "application/jsonp"}, reason: kind},
		{name: "a +json type that is an image", header: []string{"Content-Type", "image/x+json"}, reason: kind},
		{name: "JSON as a parameter of another type", header: []string{"Content-Type", "text/html; application/json"}, reason: kind},
		{name: "no type", header: []string{"X-Other", "application/json"}, reason: kind},
		{name: "204", status: http.StatusNoContent, reason: "answers with status 204"},
		{name: "201", status: http.StatusCreated, reason: "answers with status 201"},
		{name: "206", status: http.StatusPartialContent, reason: "answers with status 206"},
		{name: "300", status: http.StatusMultipleChoices, reason: "status 300, and redirects are not followed"},
		{name: "304", status: http.StatusNotModified, reason: "status 304"},
		{name: "400", status: http.StatusBadRequest, reason: "answers with status 400"},
		{name: "401", status: http.StatusUnauthorized, reason: "answers with status 401"},
		{name: "403", status: http.StatusForbidden, reason: "answers with status 403"},
		{name: "404", status: http.StatusNotFound, reason: "answers with status 404"},
		{name: "410", status: http.StatusGone, reason: "answers with status 410"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.header == nil {
				tt.header = []string{"Content-Type", "application/json"}
			}
			if tt.body == "" {
				tt.body = good
			}
			if tt.status == 0 {
				tt.status = http.StatusOK
			}
			w := newWeb()
			w.serve(documentURL, func(*http.Request) (*http.Response, error) {
				return response(tt.status, []byte(tt.body), tt.header), nil
			})
			_, err := directory(w, nil, everybody).Resolve(t.Context(), documentURL)
			wantError(t, err, unknown, tt.reason)
		})
	}
}

// The client of package netguard, and a server behind TLS: what it is held to
// by its transport rather than by this package.
func TestResolveTakesNoDetours(t *testing.T) {
	t.Parallel()
	const path = "https://example.com/client.json"
	good := document(path, nil)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch r.URL.Path {
		case "/client.json":
			_, _ = w.Write(good)
		case "/gzip.json":
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(zipped(document("https://example.com/gzip.json", nil)))
		case "/301.json":
			http.Redirect(w, r, "/client.json", http.StatusMovedPermanently)
		case "/302.json":
			http.Redirect(w, r, "/client.json", http.StatusFound)
		case "/303.json":
			http.Redirect(w, r, "/client.json", http.StatusSeeOther)
		case "/307.json":
			http.Redirect(w, r, "https://example.com/client.json", http.StatusTemporaryRedirect)
		case "/308.json":
			http.Redirect(w, r, "/client.json", http.StatusPermanentRedirect)
		}
	}))
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.StartTLS()
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	d := client.NewDirectory(client.Config{Store: new(used), PublicURL: gatewayURL, Policy: everybody, HTTP: netguard.NewClient(netguard.Config{
		RootCAs: roots,
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, server.Listener.Addr().String())
		},
	})})
	for _, tt := range []struct{ name, id, kind, reason string }{
		{name: "the document itself is fine", id: path, kind: fine},
		{name: "301", id: "https://example.com/301.json", kind: unknown, reason: "status 301, and redirects are not followed"},
		{name: "302", id: "https://example.com/302.json", kind: unknown, reason: "status 302, and redirects are not followed"},
		{name: "303", id: "https://example.com/303.json", kind: unknown, reason: "status 303, and redirects are not followed"},
		{name: "307", id: "https://example.com/307.json", kind: unknown, reason: "status 307, and redirects are not followed"},
		{name: "308", id: "https://example.com/308.json", kind: unknown, reason: "status 308, and redirects are not followed"},
		{name: "gzip", id: "https://example.com/gzip.json", kind: unknown, reason: "its document cannot be read"},
		{name: "a certificate for another name", id: "https://other.example/client.json", kind: temporary, reason: "certificate"},
		{name: "localhost", id: "https://localhost/client.json", kind: forbidden, reason: "forbidden destination"},
		{name: "a name within the network", id: "https://metadata.google.internal/client.json", kind: forbidden, reason: "forbidden destination"},
		{name: "a name of one label", id: "https://intranet/client.json", kind: forbidden, reason: "forbidden destination"},
		{name: "a loopback address", id: "https://127.0.0.1/client.json", kind: forbidden, reason: "forbidden destination"},
		{name: "the metadata service of a cloud", id: "https://169.254.169.254/client.json", kind: forbidden, reason: "forbidden destination"},
		{name: "a private address", id: "https://10.0.0.1/client.json", kind: forbidden, reason: "forbidden destination"},
		{name: "a loopback address of IPv6", id: "https://[::1]/client.json", kind: forbidden, reason: "forbidden destination"},
		{name: "a loopback address in one of IPv6", id: "https://[::ffff:127.0.0.1]/client.json", kind: forbidden, reason: "forbidden destination"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := d.Resolve(t.Context(), tt.id)
			wantError(t, err, tt.kind, tt.reason)
		})
	}
}

func TestResolveReadsADocument(t *testing.T) {
	t.Parallel()
	both := []string{"authorization_code", "refresh_token"}
	set := jwks(jwk(newECKey().Public(), nil))
	plain := client.Client{
		ID: documentURL, Name: "Claude", RedirectURIs: []string{"https://client.example/cb"},
		GrantTypes: both, ApplicationType: "web", AuthMethod: "none",
	}
	with := func(change func(*client.Client)) client.Client {
		c := plain
		change(&c)
		return c
	}
	keyed := with(func(c *client.Client) { c.AuthMethod = "private_key_jwt" })
	for _, tt := range []struct {
		name   string
		change members
		body   []byte // instead of change
		kind   string // application/json if empty
		want   client.Client
	}{
		{name: "the least that it can have", want: plain},
		{name: "5120 bytes", body: padded(5120), want: plain},
		{name: "another JSON type", kind: "application/cimd+json", want: plain},
		{name: "a type in upper case with a charset", kind: "Application/JSON ; charset=UTF-8", want: plain},
		{name: "members that nobody knows", change: members{"x": members{"client_id": 1}, "software_id": "s", "contacts": []int{1}}, want: plain},
		{name: "members that are null", change: members{"client_secret": nil, "client_secret_expires_at": nil, "jwks": nil, "grant_types": nil, "application_type": nil}, want: plain},
		{name: "a name with a bidirectional override", change: members{"client_name": "Cla\u202eude\n"}, want: plain},
		{name: "a name of 100 characters", change: members{"client_name": strings.Repeat("名", 100)}, want: with(func(c *client.Client) { c.Name = strings.Repeat("名", 100) })},
		{name: "a page", change: members{"client_uri": "https://client.example/"}, want: with(func(c *client.Client) { c.URI = "https://client.example/" })},
		{name: "a page that is a script is left out", change: members{"client_uri": "javascript:alert(1)"}, want: plain},
		{name: "30 redirect URIs", change: members{"redirect_uris": uris(30)}, want: with(func(c *client.Client) { c.RedirectURIs = uris(30) })},
		{name: "redirect URIs that cannot be used are left out", change: members{"redirect_uris": []string{"http://client.example/cb", "https://client.example/cb", "https://client.example/#", "data:text/html,a", ""}}, want: plain},
		{name: "loopback redirect URIs", change: members{"redirect_uris": []string{"http://127.0.0.1/cb", "http://localhost:3118/cb", "http://[::1]:1/"}}, want: with(func(c *client.Client) {
			c.RedirectURIs = []string{"http://127.0.0.1/cb", "http://localhost:3118/cb", "http://[::1]:1/"}
		})},
		{name: "a native client", change: members{"application_type": "native"}, want: with(func(c *client.Client) { c.ApplicationType = "native" })},
		{name: "a type of application that nobody knows", change: members{"application_type": "browser"}, want: plain},
		{name: "the code grant alone", change: members{"grant_types": both[:1]}, want: with(func(c *client.Client) { c.GrantTypes = both[:1] })},
		{name: "more grants than there are", change: members{"grant_types": append([]string{"implicit"}, both...)}, want: plain},
		{name: "more responses than there are", change: members{"response_types": []string{"code", "token"}}, want: plain},
		{name: "none as its method", change: members{"token_endpoint_auth_method": "none"}, want: plain},
		{name: "keys that it has no use for", change: members{"jwks": set, "jwks_uri": "http://keys.example/"}, want: plain},
		{name: "keys in the document", change: withKeys(members{"jwks": set}), want: keyed},
		{name: "keys elsewhere, which nobody needs yet", change: withKeys(members{"jwks_uri": keysURL}), want: keyed},
		{name: "a key beside others that are skipped", change: withKeys(members{"jwks": jwks(members{"kty": "AKP"}, jwk(newRSAKey(1024).Public(), nil), jwk(newECKey().Public(), nil))}), want: keyed},
		{name: "one that proves something is chosen from its methods", change: members{"token_endpoint_auth_methods_supported": []string{"none", "client_secret_basic", "private_key_jwt"}, "jwks": set}, want: keyed},
		{name: "none is chosen when the others are secrets", change: members{"token_endpoint_auth_methods_supported": []string{"client_secret_basic", "none"}}, want: plain},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.body == nil {
				tt.body = document(documentURL, tt.change)
			}
			if tt.kind == "" {
				tt.kind = "application/json"
			}
			w := newWeb()
			w.serve(documentURL, func(r *http.Request) (*http.Response, error) {
				if r.Method != http.MethodGet || r.Header.Get("Accept") != "application/json" || r.Header.Get("Cookie") != "" {
					t.Errorf("it is asked with %s %v", r.Method, r.Header)
				}
				return response(http.StatusOK, tt.body, []string{"Content-Type", tt.kind}), nil
			})
			got, err := directory(w, nil, everybody).Resolve(t.Context(), documentURL)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got, public); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if got.Host() != "client.example" {
				t.Errorf("got host %q", got.Host())
			}
		})
	}
}
