package client_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"mcp-gateway/gateway/internal/client"
	"mcp-gateway/shared/oauth"
)

func TestRegisterAnswersWithWhatItMadeOfTheRequest(t *testing.T) {
	t.Parallel()
	both := []string{"authorization_code", "refresh_token"}
	registered := func(change func(*oauth.ClientMetadata)) oauth.ClientMetadata {
		m := oauth.ClientMetadata{
			RedirectURIs: []string{"https://a.example/cb"}, TokenEndpointAuthMethod: "none",
			GrantTypes: both, ResponseTypes: []string{"code"}, ApplicationType: "web",
		}
		if change != nil {
			change(&m)
		}
		return m
	}
	for _, tt := range []struct {
		name     string
		document string // the members besides redirect_uris
		want     oauth.ClientMetadata
	}{
		{name: "redirect URIs alone are enough", document: ``, want: registered(nil)},
		{name: "a name with brackets", document: `"client_name":"Claude Code (x)"`, want: registered(func(m *oauth.ClientMetadata) { m.ClientName = "Claude Code (x)" })},
		{name: "an empty name", document: `"client_name":""`, want: registered(nil)},
		{name: "a name of 100 letters beyond ASCII", document: `"client_name":"` + strings.Repeat("名", 100) + `"`, want: registered(func(m *oauth.ClientMetadata) { m.ClientName = strings.Repeat("名", 100) })},
		{name: "line breaks and runs of spaces in a name become one space", document: `"client_name":" a\r\n\t b\u2028c\u00a0 "`, want: registered(func(m *oauth.ClientMetadata) { m.ClientName = "a b c" })},
		{name: "overrides of the writing direction leave a name", document: `"client_name":"Cla\u202eedu\u2066e\u200f"`, want: registered(func(m *oauth.ClientMetadata) { m.ClientName = "Claedue" })},
		{name: "control and invisible characters leave a name", document: `"client_name":"a\u0000b\u001b[31mc\u200b\ufeffd\u00ad"`, want: registered(func(m *oauth.ClientMetadata) { m.ClientName = "ab[31mcd" })},
		{name: "an invisible character between spaces leaves one space", document: `"client_name":"a \u200b b"`, want: registered(func(m *oauth.ClientMetadata) { m.ClientName = "a b" })},
		{name: "joiners stay in a name", document: `"client_name":"می\u200cخواهم"`, want: registered(func(m *oauth.ClientMetadata) { m.ClientName = "می\u200cخواهم" })},
		{name: "a client that says that it has no secret", document: `"token_endpoint_auth_method":"none"`, want: registered(nil)},
		{name: "a secret in the body", document: `"token_endpoint_auth_method":"client_secret_post"`, want: registered(func(m *oauth.ClientMetadata) { m.TokenEndpointAuthMethod = "client_secret_post" })},
		{name: "a secret in the header", document: `"token_endpoint_auth_method":"client_secret_basic"`, want: registered(func(m *oauth.ClientMetadata) { m.TokenEndpointAuthMethod = "client_secret_basic" })},
		{name: "the code grant alone", document: `"grant_types":["authorization_code"]`, want: registered(func(m *oauth.ClientMetadata) { m.GrantTypes = both[:1] })},
		{name: "both grants in the other order", document: `"grant_types":["refresh_token","authorization_code"]`, want: registered(nil)},
		{name: "grants that are not served are left out", document: `"grant_types":["authorization_code","implicit","urn:ietf:params:oauth:grant-type:device_code"]`, want: registered(func(m *oauth.ClientMetadata) { m.GrantTypes = both[:1] })},
		{name: "no grants in an empty list", document: `"grant_types":[]`, want: registered(nil)},
		{name: "the code response", document: `"response_types":["code"]`, want: registered(nil)},
		{name: "a native client", document: `"application_type":"native"`, want: registered(func(m *oauth.ClientMetadata) { m.ApplicationType = "native" })},
		{name: "the client's page", document: `"client_uri":"https://a.example/about"`, want: registered(func(m *oauth.ClientMetadata) { m.ClientURI = "https://a.example/about" })},
		{name: "a page that is a script is left out", document: `"client_uri":"javascript:alert(1)"`, want: registered(nil)},
		{name: "a page without a host is left out", document: `"client_uri":"https:///about"`, want: registered(nil)},
		{name: "a page with a user is left out", document: `"client_uri":"https://a.example@evil.example/"`, want: registered(nil)},
		{name: "a page that does not parse is left out", document: `"client_uri":"https://a b/"`, want: registered(nil)},
		{name: "what is not registered is not in the answer", document: `"scope":"mcp admin","logo_uri":"https://a.example/logo.png","software_statement":"e30.e30.","contacts":["x"],"jwks":{}`, want: registered(nil)},
		{name: "members that are null", document: `"client_name":null,"grant_types":null,"response_types":null,"application_type":null,"scope":null`, want: registered(nil)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := open(newRing(t))
			document := `{"redirect_uris":["https://a.example/cb"]` + strings.TrimSuffix(","+tt.document, ",") + `}`
			var meta oauth.ClientMetadata
			if err := json.Unmarshal([]byte(document), &meta); err != nil {
				t.Fatal(err)
			}
			got, err := d.Register(meta, now)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got.ClientMetadata); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if !strings.HasPrefix(got.ClientID, "mcpc_") || got.ClientIDIssuedAt != now.Unix() {
				t.Errorf("got id %q issued at %d", got.ClientID, got.ClientIDIssuedAt)
			}
			c, err := d.Resolve(t.Context(), got.ClientID)
			if err != nil {
				t.Fatal(err)
			}
			// The answer is what the id stands for, no more and no less.
			want := client.Client{
				ID: got.ClientID, Name: got.ClientName, URI: got.ClientURI, RedirectURIs: got.RedirectURIs,
				GrantTypes: got.GrantTypes, ApplicationType: got.ApplicationType, AuthMethod: got.TokenEndpointAuthMethod,
			}
			if diff := cmp.Diff(want, c, public); diff != "" {
				t.Errorf("answer and client differ: -answer +client:\n%s", diff)
			}
		})
	}
}

func TestRegisterAcceptsPrivateUseAndLoopbackRedirects(t *testing.T) {
	t.Parallel()
	d := open(newRing(t))
	uris := []string{
		"cursor://anysphere.cursor-mcp/oauth/callback", "https://www.cursor.com/cb", "http://localhost/callback",
		"http://127.0.0.1:33418", "http://[::1]:1/", "com.example.app:/cb",
	}
	if diff := cmp.Diff(uris, mustRegister(t, d, oauth.ClientMetadata{RedirectURIs: uris}).RedirectURIs); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestRegisterRejects(t *testing.T) {
	t.Parallel()
	const redirect, metadata = "invalid_redirect_uri", "invalid_client_metadata"
	some := []string{"https://a.example/"}
	for _, tt := range []struct {
		name   string
		meta   oauth.ClientMetadata
		code   string
		reason string
	}{
		{name: "no redirect URIs", code: redirect, reason: "redirect_uris is missing or empty"},
		{name: "an empty list of redirect URIs", meta: oauth.ClientMetadata{RedirectURIs: []string{}}, code: redirect, reason: "redirect_uris is missing or empty"},
		{name: "an empty redirect URI", meta: oauth.ClientMetadata{RedirectURIs: []string{""}}, code: redirect, reason: "redirect_uris[0] is empty"},
		{name: "eleven redirect URIs", meta: oauth.ClientMetadata{RedirectURIs: longURIs(11, 20)}, code: redirect, reason: "redirect_uris has more than 10 entries"},
		{name: "a redirect URI of 513 bytes", meta: oauth.ClientMetadata{RedirectURIs: longURIs(1, 513)}, code: redirect, reason: "redirect_uris[0] is longer than 512 bytes"},
		{name: "http to another machine", meta: oauth.ClientMetadata{RedirectURIs: []string{"http://a.example/cb"}}, code: redirect, reason: "redirect_uris[0] must be https, unless its host is localhost, 127.0.0.1 or [::1]"},
		{name: "a fragment", meta: oauth.ClientMetadata{RedirectURIs: []string{"https://a.example/#x"}}, code: redirect, reason: "redirect_uris[0] must not have a fragment"},
		{name: "a script", meta: oauth.ClientMetadata{RedirectURIs: []string{"javascript:alert(1)"}}, code: redirect, reason: "redirect_uris[0] has a scheme that no program can be answered at"},
		{name: "one bad redirect URI among good ones", meta: oauth.ClientMetadata{RedirectURIs: []string{"https://a.example/", "cursor://a/b", "https://u@a.example/"}}, code: redirect, reason: "redirect_uris[2] must not have user information"},
		{name: "a name of 101 letters", meta: oauth.ClientMetadata{RedirectURIs: some, ClientName: strings.Repeat("é", 101)}, code: metadata, reason: "client_name is longer than 100 characters"},
		{name: "the implicit response", meta: oauth.ClientMetadata{RedirectURIs: some, ResponseTypes: []string{"token"}}, code: metadata, reason: "response_types must be code alone"},
		{name: "the hybrid response", meta: oauth.ClientMetadata{RedirectURIs: some, ResponseTypes: []string{"code", "code id_token"}}, code: metadata, reason: "response_types must be code alone"},
		{name: "an empty response", meta: oauth.ClientMetadata{RedirectURIs: some, ResponseTypes: []string{""}}, code: metadata, reason: "response_types must be code alone"},
		{name: "refresh without a code", meta: oauth.ClientMetadata{RedirectURIs: some, GrantTypes: []string{"refresh_token"}}, code: metadata, reason: "grant_types must have authorization_code"},
		{name: "only grants that are not served", meta: oauth.ClientMetadata{RedirectURIs: some, GrantTypes: []string{"client_credentials"}}, code: metadata, reason: "grant_types must have authorization_code"},
		{name: "an unknown application type", meta: oauth.ClientMetadata{RedirectURIs: some, ApplicationType: "browser"}, code: metadata, reason: "application_type must be native or web"},
		{name: "more than fits into an id", meta: oauth.ClientMetadata{RedirectURIs: longURIs(10, 512)}, code: metadata, reason: "the registration is too large: register fewer or shorter redirect_uris, or a shorter client_name or client_uri"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			info, err := open(newRing(t)).Register(tt.meta, now)
			refusal, ok := errors.AsType[*oauth.Error](err)
			if !ok {
				t.Fatalf("got %+v, %v, want a refusal", info, err)
			}
			if refusal.Code != tt.code || refusal.Description != tt.reason || refusal.Status != http.StatusBadRequest {
				t.Errorf("got %d %s: %s\nwant 400 %s: %s", refusal.Status, refusal.Code, refusal.Description, tt.code, tt.reason)
			}
		})
	}
}

func longURIs(n, size int) []string {
	uris := make([]string, n)
	for i := range uris {
		start := fmt.Sprintf("https://a.example/%d/", i)
		uris[i] = start + strings.Repeat("x", max(0, size-len(start)))
	}
	return uris
}

// At the boundary: everything that registers resolves, and nothing is larger
// than promised.
func TestTheSizeOfAnIDIsBounded(t *testing.T) {
	t.Parallel()
	d := open(newRing(t))
	largest := 0
	for size := 100; size <= 200; size++ {
		info, err := d.Register(oauth.ClientMetadata{RedirectURIs: longURIs(10, size), ClientName: "& <long>"}, now)
		if err != nil {
			if size < 140 {
				t.Errorf("ten URIs of %d bytes do not fit: %v", size, err)
			}
			continue
		}
		largest = max(largest, len(info.ClientID))
		if _, err := d.Resolve(t.Context(), info.ClientID); err != nil {
			t.Errorf("ten URIs of %d bytes register and do not resolve: %v", size, err)
		}
	}
	if largest > 2048 || largest < 2000 {
		t.Errorf("the largest id has %d bytes, want nearly 2048", largest)
	}
}

func FuzzRegister(f *testing.F) {
	f.Add(`{"redirect_uris":["http://127.0.0.1/cb"],"client_name":"a\u202eb","client_uri":"https://a.example/"}`)
	f.Add(`{"redirect_uris":["cursor://a/b","https://a.example/"],"grant_types":["implicit","authorization_code"]}`)
	f.Add(`{"redirect_uris":[],"application_type":"native"}`)
	d := open(newRing(f))
	f.Fuzz(func(t *testing.T, document string) {
		var meta oauth.ClientMetadata
		if json.Unmarshal([]byte(document), &meta) != nil {
			return
		}
		info, err := d.Register(meta, now)
		if err != nil {
			if _, ok := errors.AsType[*oauth.Error](err); !ok {
				t.Errorf("%s: %v is not for the client", document, err)
			}
			return
		}
		if len(info.ClientID) > 2048 || utf8.RuneCountInString(info.ClientName) > 100 || strings.ContainsAny(info.ClientName, "\r\n\u202e\u2066") {
			t.Errorf("%s: registered as %+v", document, info)
		}
		// Registering the answer again changes nothing.
		again, err := d.Register(info.ClientMetadata, now)
		if err != nil {
			t.Fatalf("%s: its answer is refused: %v", document, err)
		}
		if diff := cmp.Diff(info.ClientMetadata, again.ClientMetadata); diff != "" {
			t.Errorf("%s: -first +again:\n%s", document, diff)
		}
		if _, err := d.Resolve(t.Context(), info.ClientID); err != nil {
			t.Errorf("%s: %v", document, err)
		}
	})
}
