package client_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"mcp-gateway/gateway/internal/client"
	"mcp-gateway/gateway/internal/store"
	"mcp-gateway/shared/oauth"
)

// owner is a client with a key of each kind. Of the kids, "enc" is that of a
// key for encryption, "pss" of one for PS256 alone, and "bare" is in no key:
// the key has no kid.
type owner struct {
	keys map[string]any
	set  members
}

func newOwner() owner {
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		panic(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	o := owner{keys: map[string]any{
		"ec": newECKey(), "p384": p384, "rsa": newRSAKey(2048), "ed": ed, "enc": newECKey(), "pss": newRSAKey(2048), "bare": newECKey(),
	}}
	o.set = jwks(
		jwk(half(o.keys["ec"]), members{"kid": "ec", "use": "sig"}), jwk(half(o.keys["p384"]), members{"kid": "p384"}),
		jwk(half(o.keys["rsa"]), members{"kid": "rsa"}), jwk(half(o.keys["ed"]), members{"kid": "ed"}),
		jwk(half(o.keys["enc"]), members{"kid": "enc", "use": "enc"}), jwk(half(o.keys["pss"]), members{"kid": "pss", "alg": "PS256"}),
		jwk(half(o.keys["bare"]), nil),
	)
	return o
}

// half is the public half of a key.
func half(key any) any {
	whole := jose.JSONWebKey{Key: key}
	return whole.Public().Key
}

// assert is an assertion of the client at documentURL, changed, and good for a
// minute after at. The kid "" is left out.
func assert(at time.Time, alg jose.SignatureAlgorithm, key any, kid string, claims, header members) string {
	all := members{
		"iss": documentURL, "sub": documentURL, "aud": gatewayURL, "jti": rand.Text(),
		"iat": at.Unix(), "exp": at.Add(time.Minute).Unix(),
	}
	maps.Copy(all, claims)
	maps.DeleteFunc(all, func(_ string, value any) bool { return value == any(absent{}) })
	return sign(alg, key, kid, mustJSON(all), header)
}

func sign(alg jose.SignatureAlgorithm, key any, kid string, payload []byte, header members) string {
	options := new(jose.SignerOptions).WithType("JWT")
	if kid != "" {
		options.WithHeader("kid", kid)
	}
	for name, value := range header {
		options.WithHeader(jose.HeaderKey(name), value)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, options)
	if err != nil {
		panic(err)
	}
	signature, err := signer.Sign(payload)
	if err != nil {
		panic(err)
	}
	text, err := signature.CompactSerialize()
	if err != nil {
		panic(err)
	}
	return text
}

// places are where a client can have its keys.
var places = map[string]func(w *web, o owner){
	"jwks": func(w *web, o owner) { w.publish(documentURL, document(documentURL, withKeys(members{"jwks": o.set}))) },
	"jwks_uri": func(w *web, o owner) {
		w.publish(documentURL, document(documentURL, withKeys(members{"jwks_uri": keysURL})))
		w.publish(keysURL, mustJSON(o.set))
	},
}

func keyed(assertion string) client.Credentials {
	return client.Credentials{ID: documentURL, Method: oauth.AuthMethodPrivateKeyJWT, Assertion: assertion}
}

// assertionCase is one assertion: a good one, signed under the key "ec", with
// something changed.
type assertionCase struct {
	name   string
	claims members
	header members
	alg    jose.SignatureAlgorithm // ES256 if empty
	key    any                     // "ec" if nil
	kid    string                  // "ec" if empty, none if "-"
	whole  func(string) string     // changes what is sent
	reason string                  // accepted if empty
}

func (c assertionCase) assertion(at time.Time, o owner) string {
	if c.alg == "" {
		c.alg = jose.ES256
	}
	if c.key == nil {
		c.key = o.keys["ec"]
	}
	switch c.kid {
	case "":
		c.kid = "ec"
	case "-":
		c.kid = ""
	}
	text := assert(at, c.alg, c.key, c.kid, c.claims, c.header)
	if c.whole != nil {
		text = c.whole(text)
	}
	return text
}

// check sends the assertion to a Directory that knows the keys by each place.
func (c assertionCase) check(t *testing.T, at time.Time, o owner) {
	t.Parallel()
	for place, publish := range places {
		w := newWeb()
		publish(w, o)
		got, err := directory(w, nil, everybody).Authenticate(t.Context(), keyed(c.assertion(at, o)), at)
		if c.reason != "" {
			wantError(t, err, credentials, c.reason)
			continue
		}
		if wantError(t, err, fine, ""); got.ID != documentURL {
			t.Errorf("%s: got %+v", place, got)
		}
	}
}

const (
	noJWT     = "the assertion is not a JWT signed with one of"
	noKey     = "the assertion is not signed with a key of the client"
	noClient  = "iss and sub of the assertion are not the client_id"
	noServer  = "aud of the assertion is not this server alone"
	isOver    = "the assertion has expired or has no exp"
	isLong    = "the assertion is good for longer than 1h0m0s"
	isFuture  = "the assertion is of the future"
	wasUsed   = "the assertion was used before"
	tokenURL  = gatewayURL + "/token"
	otherURL  = "https://other.example/client.json"
	otherHost = "https://other.example"
)

func TestAuthenticateRefusesTheClaimsOfAnAssertion(t *testing.T) {
	t.Parallel()
	at, o := time.Now().Truncate(time.Second), newOwner()
	in := func(d time.Duration) int64 { return at.Add(d).Unix() }
	for _, tt := range []assertionCase{
		{name: "no iss", claims: members{"iss": absent{}}, reason: noClient},
		{name: "another iss", claims: members{"iss": otherURL}, reason: noClient},
		{name: "the iss in another case", claims: members{"iss": strings.ToUpper(documentURL)}, reason: noClient},
		{name: "the iss with a slash", claims: members{"iss": documentURL + "/"}, reason: noClient},
		{name: "an iss that is a list", claims: members{"iss": []string{documentURL}}, reason: noKey},
		{name: "no sub", claims: members{"sub": absent{}}, reason: noClient},
		{name: "another sub", claims: members{"sub": otherURL}, reason: noClient},
		{name: "another iss and sub", claims: members{"iss": otherURL, "sub": otherURL}, reason: noClient},
		{name: "no aud", claims: members{"aud": absent{}}, reason: noServer},
		{name: "an empty aud", claims: members{"aud": ""}, reason: noServer},
		{name: "an aud of none", claims: members{"aud": []string{}}, reason: noServer},
		{name: "a foreign aud", claims: members{"aud": otherHost}, reason: noServer},
		{name: "an aud of ours and a foreign one", claims: members{"aud": []string{gatewayURL, otherHost}}, reason: noServer},
		{name: "an aud of ours twice", claims: members{"aud": []string{gatewayURL, tokenURL}}, reason: noServer},
		{name: "an aud in another case", claims: members{"aud": strings.ToUpper(gatewayURL)}, reason: noServer},
		{name: "an aud that begins like ours", claims: members{"aud": gatewayURL + ".evil.example"}, reason: noServer},
		{name: "the resource as aud", claims: members{"aud": gatewayURL + "/mcp"}, reason: noServer},
		{name: "the client itself as aud", claims: members{"aud": documentURL}, reason: noServer},
		{name: "an aud that is a number", claims: members{"aud": 1}, reason: noKey},
		{name: "no exp", claims: members{"exp": absent{}}, reason: isOver},
		{name: "an exp that is null", claims: members{"exp": nil}, reason: isOver},
		{name: "an exp of a minute ago", claims: members{"exp": in(-time.Minute)}, reason: isOver},
		{name: "an exp of 1970", claims: members{"exp": 0}, reason: isOver},
		{name: "an exp before 1970", claims: members{"exp": -1 << 61}, reason: isOver},
		{name: "an exp that is a string", claims: members{"exp": "2099"}, reason: noKey},
		{name: "an exp beyond an hour", claims: members{"exp": in(time.Hour + time.Second)}, reason: isLong},
		{name: "an exp in milliseconds", claims: members{"exp": at.Add(time.Minute).UnixMilli()}, reason: isLong},
		{name: "an exp beyond all time", claims: members{"exp": 1 << 61}, reason: isLong},
		{name: "an exp beyond all numbers", claims: members{"exp": 1e300}, reason: noKey},
		{name: "an nbf of the future", claims: members{"nbf": in(time.Minute + time.Second)}, reason: isFuture},
		{name: "an nbf beyond all time", claims: members{"nbf": 1 << 61}, reason: isFuture},
		{name: "an iat of the future", claims: members{"iat": in(time.Minute + time.Second)}, reason: isFuture},
		{name: "a jti that is a number", claims: members{"jti": 1}, reason: noKey},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.check(t, at, o) })
	}
}

func TestAuthenticateRefusesTheSignatureOfAnAssertion(t *testing.T) {
	t.Parallel()
	at, o, stranger := time.Now().Truncate(time.Second), newOwner(), newECKey()
	spki, err := x509.MarshalPKIXPublicKey(half(o.keys["ec"]))
	if err != nil {
		t.Fatal(err)
	}
	rsaText := mustJSON(jwk(half(o.keys["rsa"]), nil))
	header := func(text string) func(string) string {
		return func(whole string) string {
			_, rest, _ := strings.Cut(whole, ".")
			return base64.RawURLEncoding.EncodeToString([]byte(text)) + "." + rest
		}
	}
	for _, tt := range []assertionCase{
		{name: "nothing", whole: func(string) string { return "" }, reason: noJWT},
		{name: "two dots", whole: func(string) string { return ".." }, reason: noJWT},
		{name: "two parts", whole: func(s string) string { return s[:strings.LastIndexByte(s, '.')] }, reason: noJWT},
		{name: "four parts", whole: func(s string) string { return s + ".e30" }, reason: noJWT},
		{name: "the algorithm none", whole: func(s string) string {
			return header(`{"alg":"none"}`)(s[:strings.LastIndexByte(s, '.')+1])
		}, reason: noJWT},
		{name: "the algorithm none and a signature", whole: header(`{"alg":"none","kid":"ec"}`), reason: noJWT},
		{name: "the algorithm None", whole: header(`{"alg":"None"}`), reason: noJWT},
		{name: "no algorithm", whole: header(`{"kid":"ec"}`), reason: noJWT},
		{name: "two algorithms", whole: header(`{"alg":"none","alg":"ES256"}`), reason: noJWT},
		{name: "HS256 with a public key as the secret", alg: jose.HS256, key: spki, reason: noJWT},
		{name: "HS256 with a JWK as the secret", alg: jose.HS256, key: rsaText, kid: "rsa", reason: noJWT},
		{name: "RS512, which is not in the metadata", alg: jose.RS512, key: o.keys["rsa"], kid: "rsa", reason: noJWT},
		{name: "no signature", whole: func(s string) string { return s[:strings.LastIndexByte(s, '.')+1] }, reason: noKey},
		// 40 characters are 30 whole bytes.
		{name: "half a signature", whole: func(s string) string { return s[:len(s)-46] }, reason: noKey},
		{name: "a signature of zeros", whole: func(s string) string {
			return s[:strings.LastIndexByte(s, '.')+1] + strings.Repeat("A", 86)
		}, reason: noKey},
		{name: "a stranger's key", key: stranger, reason: noKey},
		{name: "a stranger's key and no kid", key: stranger, kid: "-", reason: noKey},
		{name: "a stranger's key in the header", key: stranger, kid: "-", header: members{"jwk": jose.JSONWebKey{Key: stranger.Public()}}, reason: noKey},
		{name: "a stranger's set of keys in the header", key: stranger, header: members{"jku": "https://evil.example/jwks.json"}, reason: noKey},
		{name: "an unknown kid", kid: "ec2", reason: noKey},
		{name: "the kid in another case", kid: "EC", reason: noKey},
		{name: "the kid of another key", kid: "rsa", reason: noKey},
		{name: "the kid of another key of that kind", kid: "bare", reason: noKey},
		{name: "a kid for a key that has none", key: o.keys["bare"], kid: "bare", reason: noKey},
		{name: "a key for encryption", key: o.keys["enc"], kid: "enc", reason: noKey},
		{name: "a key for encryption and no kid", key: o.keys["enc"], kid: "-", reason: noKey},
		{name: "a key for another algorithm", alg: jose.RS256, key: o.keys["pss"], kid: "pss", reason: noKey},
		{name: "a key for another algorithm and no kid", alg: jose.RS256, key: o.keys["pss"], kid: "-", reason: noKey},
		{name: "an extension that must be understood", whole: func(string) string {
			return assertWithCrit(at, o)
		}, reason: noKey},
		{name: "other claims under the signature", whole: func(s string) string {
			parts := strings.Split(s, ".")
			parts[1] = strings.Split(assert(at, jose.ES256, stranger, "ec", nil, nil), ".")[1]
			return strings.Join(parts, ".")
		}, reason: noKey},
		{name: "another header over the signature", whole: header(`{"alg":"ES256","kid":"ec","typ":"other"}`), reason: noKey},
		{name: "the JSON serialization", whole: func(s string) string { return serialized(s, 1) }, reason: noJWT},
		{name: "two signatures", whole: func(s string) string { return serialized(s, 2) }, reason: noJWT},
		{name: "the flattened serialization", whole: func(s string) string {
			parts := strings.Split(s, ".")
			return string(mustJSON(members{"protected": parts[0], "payload": parts[1], "signature": parts[2]}))
		}, reason: noJWT},
		{name: "claims that are a list", whole: func(string) string { return sign(jose.ES256, o.keys["ec"], "ec", []byte("[]"), nil) }, reason: noKey},
		{name: "claims that are null", whole: func(string) string { return sign(jose.ES256, o.keys["ec"], "ec", []byte("null"), nil) }, reason: noClient},
		{name: "a claim that stands twice", whole: func(string) string {
			claims := `{"iss":"https://other.example/","iss":"` + documentURL + `"}`
			return sign(jose.ES256, o.keys["ec"], "ec", []byte(claims), nil)
		}, reason: noKey},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.check(t, at, o) })
	}
}

// serialized is a compact JWS in the general JSON serialization.
func serialized(compact string, signatures int) string {
	parts := strings.Split(compact, ".")
	one := members{"protected": parts[0], "signature": parts[2]}
	return string(mustJSON(members{"payload": parts[1], "signatures": slices.Repeat([]members{one}, signatures)}))
}

func assertWithCrit(at time.Time, o owner) string {
	return assert(at, jose.ES256, o.keys["ec"], "ec", nil, members{"crit": []string{"x"}, "x": true})
}

func TestAuthenticateAcceptsAnAssertion(t *testing.T) {
	t.Parallel()
	at, o := time.Now().Truncate(time.Second), newOwner()
	in := func(d time.Duration) int64 { return at.Add(d).Unix() }
	for _, tt := range []assertionCase{
		{name: "ES256"},
		{name: "ES384", alg: jose.ES384, key: o.keys["p384"], kid: "p384"},
		{name: "RS256", alg: jose.RS256, key: o.keys["rsa"], kid: "rsa"},
		{name: "PS256", alg: jose.PS256, key: o.keys["rsa"], kid: "rsa"},
		{name: "PS256 under a key for it", alg: jose.PS256, key: o.keys["pss"], kid: "pss"},
		{name: "EdDSA", alg: jose.EdDSA, key: o.keys["ed"], kid: "ed"},
		{name: "no kid", kid: "-"},
		{name: "no kid, as the key has none", key: o.keys["bare"], kid: "-"},
		{name: "no jti", claims: members{"jti": absent{}}},
		{name: "no iat", claims: members{"iat": absent{}}},
		{name: "the issuer with a slash as aud", claims: members{"aud": gatewayURL + "/"}},
		{name: "the token endpoint as aud", claims: members{"aud": tokenURL}},
		{name: "an aud that is a list of one", claims: members{"aud": []string{gatewayURL}}},
		{name: "an exp of less than a minute ago", claims: members{"exp": in(-59 * time.Second)}},
		{name: "an exp in an hour", claims: members{"exp": in(time.Hour)}},
		{name: "an nbf and an iat in a minute", claims: members{"nbf": in(time.Minute), "iat": in(time.Minute)}},
		{name: "other claims", claims: members{"scope": "mcp", "iss2": 1}},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.check(t, at, o) })
	}
}

func TestAnAssertionServesOnce(t *testing.T) {
	t.Parallel()
	at, o := time.Now().Truncate(time.Second), newOwner()
	nameless := members{"jti": absent{}}
	for _, tt := range []struct {
		name   string
		claims members
		again  func(first string) string
		reason string // accepted if empty
	}{
		{name: "the same again", again: func(s string) string { return s }, reason: wasUsed},
		{name: "the same again, without a jti", claims: nameless, again: func(s string) string { return s }, reason: wasUsed},
		{name: "without a jti and with another valid signature", claims: nameless, again: mirrored, reason: wasUsed},
		{name: "with another valid signature", again: mirrored, reason: wasUsed},
		{name: "spelled in another way", claims: nameless, again: func(s string) string { return strings.Replace(s, ".", "\n.", 1) }, reason: noJWT},
		{name: "spelled in another way, with a jti", again: func(s string) string { return s + "\r\n" }, reason: noJWT},
		{name: "with other unused bits in its header", claims: nameless, again: func(s string) string { return respelled(s, 0) }, reason: noJWT},
		{name: "with other unused bits in its claims", claims: nameless, again: func(s string) string { return respelled(s, 1) }, reason: noJWT},
		{name: "another with the same jti", claims: members{"jti": "1"}, again: func(string) string {
			return assert(at, jose.RS256, o.keys["rsa"], "rsa", members{"jti": "1", "exp": at.Add(time.Hour).Unix()}, nil)
		}, reason: wasUsed},
		{name: "another with another jti", claims: members{"jti": "1"}, again: func(string) string {
			return assert(at, jose.ES256, o.keys["ec"], "ec", members{"jti": "2"}, nil)
		}},
		{name: "another without a jti", claims: nameless, again: func(string) string {
			return assert(at, jose.ES256, o.keys["ec"], "ec", members{"jti": absent{}, "exp": at.Add(time.Hour).Unix()}, nil)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWeb()
			places["jwks"](w, o)
			d := directory(w, nil, everybody)
			first := assert(at, jose.ES256, o.keys["ec"], "ec", tt.claims, nil)
			_, err := d.Authenticate(t.Context(), keyed(first), at)
			wantError(t, err, fine, "")
			_, err = d.Authenticate(t.Context(), keyed(tt.again(first)), at)
			if tt.reason != "" {
				wantError(t, err, credentials, tt.reason)
			} else {
				wantError(t, err, fine, "")
			}
		})
	}
}

// mirrored is a JWS of ES256 with n-s for s, which is as valid.
func mirrored(compact string) string {
	dot := strings.LastIndexByte(compact, '.')
	signature, err := base64.RawURLEncoding.DecodeString(compact[dot+1:])
	if err != nil {
		panic(err)
	}
	s := new(big.Int).SetBytes(signature[32:])
	s.Sub(elliptic.P256().Params().N, s).FillBytes(signature[32:])
	return compact[:dot+1] + base64.RawURLEncoding.EncodeToString(signature)
}

// respelled is a JWS with a part in which bits are set that base64url does not
// use, or one with a line break where there are no such bits.
func respelled(compact string, part int) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	parts := strings.Split(compact, ".")
	text := parts[part]
	if len(text)%4 == 0 {
		parts[part] = text[:8] + "\n" + text[8:]
	} else {
		last := strings.IndexByte(alphabet, text[len(text)-1])
		parts[part] = text[:len(text)-1] + string(alphabet[last^1])
	}
	return strings.Join(parts, ".")
}

func TestAnAssertionIsRememberedUntilItCannotServe(t *testing.T) {
	t.Parallel()
	at, o, w, assertions := time.Now().Truncate(time.Second), newOwner(), newWeb(), new(used)
	places["jwks"](w, o)
	d := client.NewDirectory(client.Config{PublicURL: gatewayURL, HTTP: w.client(), Store: assertions, Policy: everybody})
	_, err := d.Authenticate(t.Context(), keyed(assert(at, jose.ES256, o.keys["ec"], "ec", members{"jti": "1"}, nil)), at)
	wantError(t, err, fine, "")
	want := map[store.Hash]time.Time{store.HashOf(documentURL + "\n1"): at.Add(2 * time.Minute)}
	if !maps.EqualFunc(want, assertions.ends, time.Time.Equal) {
		t.Errorf("got %v, want %v", assertions.ends, want)
	}

	// A store that cannot remember it cannot tell that it is the first.
	assertions.fail = errors.New("disk is full")
	_, err = d.Authenticate(t.Context(), keyed(assert(at, jose.ES256, o.keys["ec"], "ec", nil, nil)), at)
	wantError(t, err, temporary, "disk is full")
}

func TestARefusedAssertionIsNotUsed(t *testing.T) {
	t.Parallel()
	at, o, w, assertions := time.Now().Truncate(time.Second), newOwner(), newWeb(), new(used)
	places["jwks"](w, o)
	d := client.NewDirectory(client.Config{PublicURL: gatewayURL, HTTP: w.client(), Store: assertions, Policy: everybody})
	for _, claims := range []members{{"aud": otherHost}, {"exp": 0}, {"iss": otherURL}} {
		_, err := d.Authenticate(t.Context(), keyed(assert(at, jose.ES256, o.keys["ec"], "ec", claims, nil)), at)
		wantError(t, err, credentials, "")
	}
	_, err := d.Authenticate(t.Context(), keyed(assert(at, jose.ES256, newECKey(), "ec", nil, nil)), at)
	wantError(t, err, credentials, noKey)
	if len(assertions.ends) > 0 {
		t.Errorf("%d were remembered", len(assertions.ends))
	}
}

func TestAssertionSubject(t *testing.T) {
	t.Parallel()
	at, key := time.Now(), newECKey()
	for _, tt := range []struct{ name, assertion, want string }{
		{name: "of an assertion", assertion: assert(at, jose.ES256, key, "", nil, nil), want: documentURL},
		{name: "of one without", assertion: assert(at, jose.ES256, key, "", members{"sub": absent{}}, nil)},
		{name: "of one with a list", assertion: assert(at, jose.ES256, key, "", members{"sub": []string{documentURL}}, nil)},
		{name: "of one with a secret", assertion: assert(at, jose.HS256, make([]byte, 32), "", nil, nil)},
		{name: "of nothing"},
		{name: "of JSON", assertion: string(json.RawMessage(`{"sub":"` + documentURL + `"}`))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := client.AssertionSubject(tt.assertion); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
