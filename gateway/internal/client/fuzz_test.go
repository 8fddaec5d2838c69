package client_test

import (
	"bytes"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"mcp-gateway/gateway/internal/client"
	"mcp-gateway/shared/oauth"
)

// FuzzDocument takes the URL and the document together, since one is in the
// other. The document may say ID for the URL.
func FuzzDocument(f *testing.F) {
	set := jwks(jwk(newECKey().Public(), nil))
	for _, change := range []members{
		nil, {"client_id": "ID"}, {"redirect_uris": []string{"http://localhost/cb", "javascript:a", "cursor://a/b"}},
		{"token_endpoint_auth_methods_supported": []string{"none", "private_key_jwt"}, "jwks": set},
		withKeys(members{"jwks": set, "client_id": "ID"}), withKeys(members{"jwks_uri": keysURL}), withKeys(members{"jwks": jwks(jwk(newECKey(), nil))}),
		{"client_secret": nil, "client_name": "\u202e a\u0000"},
	} {
		f.Add(documentURL, document(documentURL, change))
	}
	f.Add("https://a.example/%2e%2e/x", []byte(`{"client_id":"ID","client_name":"a","redirect_uris":["https://a.example/"]}`))
	f.Add("https://[::1]/x", []byte(`[{"client_id":"ID"}]`))
	f.Fuzz(func(t *testing.T, id string, body []byte) {
		body = bytes.ReplaceAll(body, []byte(`"ID"`), mustJSON(id))
		w := newWeb()
		w.publish(id, body)
		d := directory(w, nil, client.Policy{Documents: client.AdmitAll, PrivateUseRedirects: true})
		c, err := d.Resolve(t.Context(), id)
		if err != nil {
			if kind := kindOf(err); kind != unknown && kind != forbidden {
				t.Fatalf("%q: %v", id, err)
			}
			return
		}
		if n := utf8.RuneCountInString(c.Name); c.ID != id || n < 1 || n > 100 || len(c.RedirectURIs) == 0 || len(c.RedirectURIs) > 30 || len(body) > 5120 || c.Host() == "" {
			t.Errorf("%q is %+v", id, c)
		}
		for _, uri := range c.RedirectURIs {
			if err := oauth.CheckRedirectURI(uri); err != nil {
				t.Errorf("redirect URI %q: %v", uri, err)
			}
		}
		switch c.AuthMethod {
		case oauth.AuthMethodNone:
		case oauth.AuthMethodPrivateKeyJWT:
			if !bytes.Contains(bytes.ToLower(body), []byte(`jwk`)) && !bytes.ContainsRune(body, '\\') {
				t.Errorf("%q has no keys", body)
			}
		default:
			t.Errorf("the method is %q", c.AuthMethod)
		}
	})
}

// FuzzAssertion signs with a key that is not the client's, or not at all.
func FuzzAssertion(f *testing.F) {
	o, at := newOwner(), time.Now()
	w := newWeb()
	places["jwks"](w, o)
	d := directory(w, nil, everybody)
	good := assert(at, "ES256", o.keys["ec"], "ec", nil, nil)
	f.Add(assert(at, "ES256", newECKey(), "ec", nil, nil))
	f.Add(assert(at, "HS256", make([]byte, 32), "rsa", nil, nil))
	f.Add(assert(at, "ES256", o.keys["ec"], "ec", members{"aud": otherHost}, nil))
	f.Add(assert(at, "ES256", o.keys["enc"], "enc", nil, nil))
	f.Add(assert(at, "RS256", o.keys["rsa"], "rsa", members{"sub": otherURL}, nil))
	f.Add(good[:strings.LastIndexByte(good, '.')+1])
	f.Add(serialized(good, 2))
	f.Add("..")
	f.Fuzz(func(t *testing.T, assertion string) {
		_ = client.AssertionSubject(assertion)
		got, err := d.Authenticate(t.Context(), keyed(assertion), at)
		if kindOf(err) != credentials || got.ID != "" {
			t.Errorf("%q: got %+v, %v", assertion, got, err)
		}
	})
}
