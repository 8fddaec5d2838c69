package client_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"mcp-gateway/gateway/internal/client"
)

func TestResolveRefusesAURLThatIsNoClientsWithoutFetchingIt(t *testing.T) {
	t.Parallel()
	const form, other = "it is not an https URL with a path", "client is not known here"
	for _, tt := range []struct{ name, id, reason string }{
		{name: "http", id: "http://client.example/client.json", reason: other},
		{name: "an upper-case scheme", id: "HTTPS://client.example/client.json", reason: other},
		{name: "a space before it", id: " https://client.example/client.json", reason: other},
		{name: "no slashes", id: "https:client.example/client.json", reason: other},
		{name: "one slash", id: "https:/client.example/client.json", reason: other},
		{name: "no path", id: "https://client.example", reason: form},
		{name: "the path /", id: "https://client.example/", reason: form},
		{name: "a path of slashes", id: "https://client.example///", reason: form},
		{name: "a query and no path", id: "https://client.example?client.json", reason: form},
		{name: "a query and the path /", id: "https://client.example/?client.json", reason: form},
		{name: "a fragment", id: "https://client.example/client.json#a", reason: form},
		{name: "an empty fragment", id: "https://client.example/client.json#", reason: form},
		{name: "a user", id: "https://user@client.example/client.json", reason: form},
		{name: "a user and a password", id: "https://user:pass@client.example/client.json", reason: form},
		{name: "an empty user", id: "https://@client.example/client.json", reason: form},
		{name: "a dot segment", id: "https://client.example/./client.json", reason: form},
		{name: "a double-dot segment", id: "https://client.example/a/../client.json", reason: form},
		{name: "a double-dot segment at the end", id: "https://client.example/a/..", reason: form},
		{name: "an encoded dot segment", id: "https://client.example/%2e/client.json", reason: form},
		{name: "a double-dot segment in upper-case code", id: "https://client.example/a/%2E%2E/client.json", reason: form},
		{name: "a double-dot segment half encoded", id: "https://client.example/a/.%2e/client.json", reason: form},
		{name: "a backslash", id: `https://client.example\client.json`, reason: form},
		{name: "a backslash in the path", id: `https://client.example/a\b`, reason: form},
		{name: "a tab", id: "https://client.example/cli\tent.json", reason: form},
		{name: "a line break", id: "https://client.example/client.json\r\nX: y", reason: form},
		{name: "a null byte", id: "https://client.example/client.json\x00", reason: form},
		{name: "a space", id: "https://client.example/client json", reason: form},
		{name: "a letter beyond ASCII", id: "https://client.example/clïent.json", reason: form},
		{name: "a host beyond ASCII", id: "https://clïent.example/client.json", reason: form},
		{name: "a percent sign alone", id: "https://client.example/client%.json", reason: form},
		{name: "more than 512 bytes", id: "https://client.example/" + strings.Repeat("a", 490), reason: form},
		{name: "port 0", id: "https://client.example:0/client.json", reason: form},
		{name: "an empty port", id: "https://client.example:/client.json", reason: form},
		{name: "a port beyond 65535", id: "https://client.example:65536/client.json", reason: form},
		{name: "a port with a leading zero", id: "https://client.example:0443/client.json", reason: form},
		{name: "an empty host", id: "https:///client.json", reason: form},
		{name: "an empty host with a port", id: "https://:443/client.json", reason: form},
		{name: "a host with a dot at its end", id: "https://client.example./client.json", reason: form},
		{name: "an address in an old form", id: "https://127.1/client.json", reason: form},
		{name: "an address in hexadecimal", id: "https://0x7f000001/client.json", reason: form},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWeb()
			got, err := directory(w, nil, everybody).Resolve(t.Context(), tt.id)
			wantError(t, err, unknown, tt.reason)
			if diff := cmp.Diff(client.Client{}, got, public); diff != "" {
				t.Errorf("a client came with the error: %s", diff)
			}
			if n := w.total(); n != 0 {
				t.Errorf("%d requests were made", n)
			}
		})
	}
}

// jwk is a public key, or with private the private one, as a JWK.
func jwk(key any, change members) members {
	m := members{}
	mustUnJSON(mustJSON(jose.JSONWebKey{Key: key}), &m)
	maps.Copy(m, change)
	return m
}

func jwks(keys ...members) members { return members{"keys": keys} }

func newECKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}

func newRSAKey(bits int) *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic(err)
	}
	return key
}

// uris are n redirect URIs.
func uris(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("https://client.example/%d", i)
	}
	return all
}

// withKeys are the members of a client that has keys.
func withKeys(change members) members {
	all := members{"token_endpoint_auth_method": "private_key_jwt"}
	maps.Copy(all, change)
	return all
}

func TestResolveRefusesADocument(t *testing.T) {
	t.Parallel()
	const noName, noURIs = "has no client_name of 1 to 100 characters", "does not have 1 to 30 redirect_uris"
	const noMethod, oneOf = "has neither none nor private_key_jwt", "must have one of jwks and jwks_uri"
	key := newECKey()
	set := jwks(jwk(key.Public(), nil))
	for _, tt := range []struct {
		name   string
		change members
		kind   string // unknown if empty
		reason string
	}{
		{name: "no client_id", change: members{"client_id": absent{}}, reason: "has another client_id"},
		{name: "a client_id that is null", change: members{"client_id": nil}, reason: "has another client_id"},
		{name: "a client_id in another case", change: members{"client_id": strings.Replace(documentURL, "client.example", "Client.example", 1)}, reason: "has another client_id"},
		{name: "a client_id with a slash at its end", change: members{"client_id": documentURL + "/"}, reason: "has another client_id"},
		{name: "a client_id with the port that is meant anyway", change: members{"client_id": strings.Replace(documentURL, ".example", ".example:443", 1)}, reason: "has another client_id"},
		{name: "a client_id that is encoded", change: members{"client_id": strings.Replace(documentURL, "json", "%6ason", 1)}, reason: "has another client_id"},
		{name: "a client_id with a space", change: members{"client_id": documentURL + " "}, reason: "has another client_id"},
		{name: "another client's client_id", change: members{"client_id": "https://other.example/client.json"}, reason: "has another client_id"},
		{name: "a client_id that is a list", change: members{"client_id": []string{documentURL}}, reason: "cannot be read"},
		{name: "no name", change: members{"client_name": absent{}}, reason: noName},
		{name: "an empty name", change: members{"client_name": ""}, reason: noName},
		{name: "a name of spaces and invisible characters", change: members{"client_name": " \u200b\t\u202e "}, reason: noName},
		{name: "a name of 101 characters", change: members{"client_name": strings.Repeat("名", 101)}, reason: noName},
		{name: "a name that is a number", change: members{"client_name": 7}, reason: "cannot be read"},
		{name: "no redirect_uris", change: members{"redirect_uris": absent{}}, reason: noURIs},
		{name: "an empty list of redirect_uris", change: members{"redirect_uris": []string{}}, reason: noURIs},
		{name: "31 redirect_uris", change: members{"redirect_uris": uris(31)}, reason: noURIs},
		{name: "redirect_uris that are a string", change: members{"redirect_uris": "https://client.example/cb"}, reason: "cannot be read"},
		{name: "only redirect URIs that cannot be used", change: members{"redirect_uris": []string{"javascript:alert(1)", "http://client.example/cb", "https://client.example/#"}}, kind: forbidden, reason: "none of its redirect URIs is served here"},
		{name: "a client_secret", change: members{"client_secret": "s"}, reason: "has a client_secret"},
		{name: "an empty client_secret", change: members{"client_secret": ""}, reason: "has a client_secret"},
		{name: "a client_secret_expires_at", change: members{"client_secret_expires_at": 0}, reason: "has a client_secret"},
		{name: "client_secret_basic", change: members{"token_endpoint_auth_method": "client_secret_basic"}, reason: noMethod},
		{name: "client_secret_post", change: members{"token_endpoint_auth_method": "client_secret_post"}, reason: noMethod},
		{name: "client_secret_jwt", change: members{"token_endpoint_auth_method": "client_secret_jwt"}, reason: noMethod},
		{name: "tls_client_auth", change: members{"token_endpoint_auth_method": "tls_client_auth"}, reason: noMethod},
		{name: "methods that are all secrets", change: members{"token_endpoint_auth_methods_supported": []string{"client_secret_basic", "client_secret_post"}}, reason: noMethod},
		{name: "a secret as its method though it could do without", change: members{"token_endpoint_auth_method": "client_secret_post", "token_endpoint_auth_methods_supported": []string{"none"}}, reason: noMethod},
		{name: "private_key_jwt in upper case", change: members{"token_endpoint_auth_method": "PRIVATE_KEY_JWT", "jwks": set}, reason: noMethod},
		{name: "private_key_jwt and no keys", change: withKeys(nil), reason: oneOf},
		{name: "private_key_jwt and keys that are null", change: withKeys(members{"jwks": nil}), reason: oneOf},
		{name: "both jwks and jwks_uri", change: withKeys(members{"jwks": set, "jwks_uri": keysURL}), reason: oneOf},
		{name: "a jwks_uri of http", change: withKeys(members{"jwks_uri": "http://keys.example/jwks.json"}), reason: "has a jwks_uri that is refused"},
		{name: "a jwks_uri with a user", change: withKeys(members{"jwks_uri": "https://a@keys.example/jwks.json"}), reason: "has a jwks_uri that is refused"},
		{name: "a jwks_uri that is a file", change: withKeys(members{"jwks_uri": "file:///etc/passwd"}), reason: "has a jwks_uri that is refused"},
		{name: "no key in its jwks", change: withKeys(members{"jwks": jwks()}), reason: "none of them can check a signature"},
		{name: "jwks that are a list", change: withKeys(members{"jwks": []members{jwk(key.Public(), nil)}}), reason: "they are not a JSON Web Key Set"},
		{name: "a key that is a string", change: withKeys(members{"jwks": members{"keys": []string{"a"}}}), reason: "one of them is not an object"},
		{name: "a private key", change: withKeys(members{"jwks": jwks(jwk(key, nil))}), reason: "a private or a symmetric key"},
		{name: "a private RSA key", change: withKeys(members{"jwks": jwks(jwk(newRSAKey(2048), nil))}), reason: "a private or a symmetric key"},
		{name: "a private key beside a public one", change: withKeys(members{"jwks": jwks(jwk(newECKey().Public(), nil), jwk(key, nil))}), reason: "a private or a symmetric key"},
		{name: "a symmetric key", change: withKeys(members{"jwks": jwks(members{"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3I"})}), reason: "a private or a symmetric key"},
		{name: "a private key that nobody asked for", change: members{"jwks": jwks(jwk(key, nil))}, reason: "a private or a symmetric key"},
		{name: "a private key beside a jwks_uri", change: members{"jwks": jwks(jwk(key, nil)), "jwks_uri": keysURL}, reason: "a private or a symmetric key"},
		{name: "a symmetric key that nobody asked for", change: members{"jwks": jwks(members{"kty": "oct"})}, reason: "a private or a symmetric key"},
		{name: "a factor of an RSA key", change: withKeys(members{"jwks": jwks(jwk(newRSAKey(2048).Public(), members{"p": "AQAB"}))}), reason: "a private or a symmetric key"},
		{name: "a private key of a type that nobody knows", change: withKeys(members{"jwks": jwks(jwk(key.Public(), nil), members{"kty": "AKP", "priv": "AQAB"})}), reason: "a private or a symmetric key"},
		{name: "an RSA key of 1024 bits", change: withKeys(members{"jwks": jwks(jwk(newRSAKey(1024).Public(), nil))}), reason: "none of them can check a signature"},
		{name: "a key for encryption", change: withKeys(members{"jwks": jwks(jwk(key.Public(), members{"use": "enc"}))}), reason: "none of them can check a signature"},
		{name: "a key that is no point of its curve", change: withKeys(members{"jwks": jwks(jwk(key.Public(), members{"x": strings.Repeat("A", 43)}))}), reason: "none of them can check a signature"},
		{name: "a key of a type that nobody knows", change: withKeys(members{"jwks": jwks(members{"kty": "AKP"})}), reason: "none of them can check a signature"},
		{name: "more than 20 keys", change: withKeys(members{"jwks": jwks(make([]members, 21)...)}), reason: "there are more than 20"},
		{name: "response_types without code", change: members{"response_types": []string{"token", "id_token"}}, reason: "does not have code among its response_types"},
		{name: "grant_types without authorization_code", change: members{"grant_types": []string{"client_credentials", "refresh_token"}}, reason: "does not have authorization_code among its grant_types"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWeb()
			w.publish(documentURL, document(documentURL, tt.change))
			_, err := directory(w, nil, everybody).Resolve(t.Context(), documentURL)
			if tt.kind == "" {
				tt.kind = unknown
			}
			wantError(t, err, tt.kind, tt.reason)
		})
	}
}
