package client_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mcp-gateway/gateway/internal/client"
	"mcp-gateway/gateway/internal/store"
	"mcp-gateway/shared/oauth"
)

func TestAuthenticateChecksTheMethodAndTheSecret(t *testing.T) {
	t.Parallel()
	ring := newRing(t)
	w, o := newWeb(), newOwner()
	places["jwks"](w, o)
	const right, other = "a-secret-of-the-portal", "a-secret-of-the-other"
	redirects := []string{"https://portal.example/cb"}
	d := directory(w, ring, everybody,
		client.Registered{ID: "portal", RedirectURIs: redirects, AuthMethod: oauth.AuthMethodSecretBasic, SecretHash: store.HashOf(right)},
		client.Registered{ID: "other", RedirectURIs: redirects, AuthMethod: oauth.AuthMethodSecretPost, SecretHash: store.HashOf(other)},
		client.Registered{ID: "unset", RedirectURIs: redirects, AuthMethod: oauth.AuthMethodSecretPost},
		client.Registered{ID: "odd", RedirectURIs: redirects, AuthMethod: "tls_client_auth"},
		client.Registered{ID: "nothing", RedirectURIs: redirects},
	)
	basic := mustRegister(t, d, oauth.ClientMetadata{RedirectURIs: redirects, TokenEndpointAuthMethod: oauth.AuthMethodSecretBasic})
	post := mustRegister(t, d, oauth.ClientMetadata{RedirectURIs: redirects, TokenEndpointAuthMethod: oauth.AuthMethodSecretPost})
	none := mustRegister(t, d, oauth.ClientMetadata{RedirectURIs: redirects})
	at := time.Now()
	assertion := func() string { return assert(at, "ES256", o.keys["ec"], "ec", nil, nil) }
	const wrong = "the secret is wrong"
	for _, tt := range []struct {
		name   string
		given  client.Credentials
		kind   string // credentials if empty
		reason string
	}{
		{name: "a secret in the header", given: client.Credentials{ID: basic.ClientID, Method: "client_secret_basic", Secret: basic.ClientSecret}, kind: fine},
		{name: "a secret in the body", given: client.Credentials{ID: post.ClientID, Method: "client_secret_post", Secret: post.ClientSecret}, kind: fine},
		{name: "a secret that an administrator wrote down", given: client.Credentials{ID: "portal", Method: "client_secret_basic", Secret: right}, kind: fine},
		{name: "a public client", given: client.Credentials{ID: none.ClientID, Method: "none"}, kind: fine},
		{name: "an unknown client", given: client.Credentials{ID: "nobody", Method: "none"}, kind: unknown, reason: "client is not known here"},
		{name: "no client", given: client.Credentials{Method: "none"}, kind: unknown, reason: "client is not known here"},
		{name: "a wrong secret", given: client.Credentials{ID: basic.ClientID, Method: "client_secret_basic", Secret: basic.ClientSecret + "a"}, reason: wrong},
		{name: "the beginning of a secret", given: client.Credentials{ID: basic.ClientID, Method: "client_secret_basic", Secret: basic.ClientSecret[:40]}, reason: wrong},
		{name: "an empty secret", given: client.Credentials{ID: basic.ClientID, Method: "client_secret_basic"}, reason: wrong},
		{name: "the hash of a secret", given: client.Credentials{ID: "portal", Method: "client_secret_basic", Secret: store.HashOf(right).String()}, reason: wrong},
		{name: "another client's secret", given: client.Credentials{ID: basic.ClientID, Method: "client_secret_basic", Secret: post.ClientSecret}, reason: wrong},
		{name: "the secret of another that was written down", given: client.Credentials{ID: "portal", Method: "client_secret_basic", Secret: other}, reason: wrong},
		{name: "no secret for a client that was written down without", given: client.Credentials{ID: "unset", Method: "client_secret_post"}, reason: wrong},
		{name: "a secret for a client that was written down without", given: client.Credentials{ID: "unset", Method: "client_secret_post", Secret: "a"}, reason: wrong},
		{name: "the header's secret in the body", given: client.Credentials{ID: basic.ClientID, Method: "client_secret_post", Secret: basic.ClientSecret}, reason: "the client uses client_secret_basic, and the request client_secret_post"},
		{name: "the body's secret in the header", given: client.Credentials{ID: post.ClientID, Method: "client_secret_basic", Secret: post.ClientSecret}, reason: "the client uses client_secret_post"},
		{name: "a client with a secret that gives none", given: client.Credentials{ID: basic.ClientID, Method: "none"}, reason: "the client uses client_secret_basic, and the request none"},
		{name: "a public client with a secret", given: client.Credentials{ID: none.ClientID, Method: "client_secret_post", Secret: "a"}, reason: "the client uses none"},
		{name: "a public client with an assertion", given: client.Credentials{ID: none.ClientID, Method: "private_key_jwt", Assertion: assertion()}, reason: "the client uses none"},
		{name: "a client with keys that gives nothing", given: client.Credentials{ID: documentURL, Method: "none"}, reason: "the client uses private_key_jwt, and the request none"},
		{name: "a client with keys and no assertion", given: client.Credentials{ID: documentURL, Method: "private_key_jwt"}, reason: noJWT},
		{name: "a client with keys that gives a secret", given: client.Credentials{ID: documentURL, Method: "client_secret_basic", Assertion: assertion()}, reason: "the client uses private_key_jwt"},
		{name: "a client with a secret that gives an assertion", given: client.Credentials{ID: "portal", Method: "private_key_jwt", Secret: right, Assertion: assertion()}, reason: "the client uses client_secret_basic"},
		{name: "no method", given: client.Credentials{ID: none.ClientID}, reason: "the client uses none, and the request "},
		{name: "a method that nobody checks", given: client.Credentials{ID: "odd", Method: "tls_client_auth"}, kind: temporary, reason: "which nobody checks"},
		{name: "a client without a method", given: client.Credentials{ID: "nothing"}, kind: temporary, reason: "which nobody checks"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := d.Authenticate(t.Context(), tt.given, at)
			if tt.kind == "" {
				tt.kind = credentials
			}
			wantError(t, err, tt.kind, tt.reason)
			if diff := cmp.Diff(client.Client{}, got, public); err != nil && diff != "" {
				t.Errorf("a client came with the error: %s", diff)
			}
		})
	}
}

// The secret is sealed into the id as a hash, so another Directory with the same
// keys knows it.
func TestASecretOfBeforeARestartIsTheSame(t *testing.T) {
	t.Parallel()
	ring := newRing(t)
	meta := oauth.ClientMetadata{RedirectURIs: []string{"https://a.example/cb"}, TokenEndpointAuthMethod: "client_secret_post"}
	info := mustRegister(t, open(ring), meta)
	again := mustRegister(t, open(ring), meta)
	if info.ClientSecret == again.ClientSecret || info.ClientSecretExpiresAt == nil || *info.ClientSecretExpiresAt != 0 {
		t.Errorf("got %+v and %+v", info, again)
	}
	for _, tt := range []struct{ secret, kind string }{{secret: info.ClientSecret, kind: fine}, {secret: again.ClientSecret, kind: credentials}} {
		_, err := open(ring).Authenticate(t.Context(), client.Credentials{ID: info.ClientID, Method: "client_secret_post", Secret: tt.secret}, now)
		wantError(t, err, tt.kind, "the secret is wrong")
	}
}
