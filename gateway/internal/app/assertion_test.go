package app_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"mcp-gateway/shared/oauth"
)

// signer is a client's key.
type signer struct {
	t   *testing.T
	key *ecdsa.PrivateKey
	kid string
}

func newSigner(t *testing.T, kid string) signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return signer{t: t, key: key, kid: kid}
}

// public is the key set to publish.
func (s signer) public() jose.JSONWebKeySet {
	return jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: s.key.Public(), KeyID: s.kid, Use: "sig", Algorithm: "ES256"}}}
}

// published is the key set as the text of a page.
func (s signer) published() string {
	s.t.Helper()
	text, err := json.Marshal(s.public())
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

// assertion is a good one for a gateway, with what a test changes.
func (s signer) assertion(g *gateway, clientID string, change func(map[string]any)) string {
	s.t.Helper()
	opts := (&jose.SignerOptions{}).WithHeader("kid", s.kid)
	sign, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: s.key}, opts)
	if err != nil {
		s.t.Fatal(err)
	}
	now := time.Now()
	claims := map[string]any{
		"iss": clientID, "sub": clientID, "aud": g.url, "jti": rand.Text(), "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(),
	}
	if change != nil {
		change(claims)
	}
	text, err := jwt.Signed(sign).Claims(claims).Serialize()
	if err != nil {
		s.t.Fatal(err)
	}
	return text
}

// asserting is a form with an assertion.
func asserting(form url.Values, assertion string) url.Values {
	return with(form, "client_assertion_type", oauth.AssertionType, "client_assertion", assertion)
}

// keyed starts a gateway and a client that has a key at a URL of its own.
func keyed(t *testing.T) (*gateway, *publisher, signer) {
	t.Helper()
	g, p := documented(t, "")
	key := newSigner(t, "one")
	p.set("/jwks.json", key.published())
	p.set("/app.json", described(t, map[string]any{
		"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "https://client.example/jwks.json",
	}))
	return g, p, key
}

func testAClientProvesItselfByItsKeyAtEachEndpoint(t *testing.T) {
	t.Parallel()
	g, _, key := keyed(t)
	a := newAuthorization(documentID)
	code := g.signIn(newBrowser(t), a, "Ada").Get("code")
	first := g.send("/token", asserting(g.codeForm(a, code, clientRedirect), key.assertion(g, documentID, nil)), nil)
	if first.status != http.StatusOK {
		t.Fatalf("redeem: %d %s", first.status, first.body)
	}
	// The assertion says who it is, so client_id may be left out (RFC 7521
	// §4.2); the audience may be the endpoint.
	form := with(g.refreshForm(documentID, first.RefreshToken), "client_id", "")
	second := g.send("/token", asserting(form, key.assertion(g, documentID, func(c map[string]any) { c["aud"] = []string{g.url + "/token"} })), nil)
	if second.status != http.StatusOK {
		t.Fatalf("refresh: %d %s", second.status, second.body)
	}
	revocation := url.Values{"client_id": {documentID}, "token": {second.RefreshToken}}
	g.send("/revoke", revocation, nil).wants(t, 401, oauth.CodeInvalidClient, "did not prove")
	if resp, body := g.callModern(second.AccessToken, "whoami", "{}"); resp.StatusCode != http.StatusOK {
		t.Errorf("a revocation without proof did something: %d %s", resp.StatusCode, body)
	}
	if got := g.send("/revoke", asserting(revocation, key.assertion(g, documentID, nil)), nil); got.status != http.StatusOK {
		t.Errorf("revoke: %d %s", got.status, got.body)
	}
	if resp, _ := g.callModern(second.AccessToken, "whoami", "{}"); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("after the revocation: %d", resp.StatusCode)
	}
}

func testAssertionRefusals(t *testing.T) {
	t.Parallel()
	g, _, key := keyed(t)
	a := newAuthorization(documentID)
	code := g.signIn(newBrowser(t), a, "Ada").Get("code")
	used := key.assertion(g, documentID, nil)
	tokens := g.send("/token", asserting(g.codeForm(a, code, clientRedirect), used), nil)
	if tokens.status != http.StatusOK {
		t.Fatalf("redeem: %d %s", tokens.status, tokens.body)
	}
	form := g.refreshForm(documentID, tokens.RefreshToken)
	claim := func(name string, value any) url.Values {
		return asserting(form, key.assertion(g, documentID, func(c map[string]any) {
			if c[name] = value; value == nil {
				delete(c, name)
			}
		}))
	}
	good := key.assertion(g, documentID, nil)
	now := time.Now()
	const unproved = "did not prove"
	for _, tt := range []struct {
		name   string
		form   url.Values
		header http.Header
		status int
		code   string
		says   string
	}{
		{name: "a replayed assertion", form: asserting(form, used), says: unproved},
		{name: "no assertion", form: form, says: unproved},
		{name: "an empty assertion", form: with(form, "client_assertion_type", oauth.AssertionType), says: "client_assertion_type"},
		{name: "no type", form: with(form, "client_assertion", good), says: "client_assertion_type"},
		{name: "another type", form: with(asserting(form, good), "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"), says: "client_assertion_type"},
		{name: "another's key under the same id", form: asserting(form, newSigner(t, "one").assertion(g, documentID, nil)), says: unproved},
		{name: "a key of another id", form: asserting(form, newSigner(t, "two").assertion(g, documentID, nil)), says: unproved},
		{name: "no signature", form: asserting(form, good[:strings.LastIndexByte(good, '.')+1]), says: unproved},
		{name: "the algorithm none", form: asserting(form, "eyJhbGciOiJub25lIn0."+strings.Split(good, ".")[1]+"."), says: unproved},
		{name: "no JWT", form: asserting(form, "x"), says: unproved},
		{name: "another issuer", form: claim("iss", "https://client.example/other.json"), says: unproved},
		{name: "another subject", form: claim("sub", "https://client.example/other.json"), says: unproved},
		{name: "another audience", form: claim("aud", "https://other.example"), says: unproved},
		{name: "our audience beside another's", form: claim("aud", []string{g.url, "https://other.example"}), says: unproved},
		{name: "no audience", form: claim("aud", nil), says: unproved},
		{name: "no end", form: claim("exp", nil), says: unproved},
		{name: "past its end", form: claim("exp", now.Add(-2*time.Minute).Unix()), says: unproved},
		{name: "an end far away", form: claim("exp", now.Add(2*time.Hour).Unix()), says: unproved},
		{name: "of the future", form: claim("nbf", now.Add(10*time.Minute).Unix()), says: unproved},
		{name: "made in the future", form: claim("iat", now.Add(10*time.Minute).Unix()), says: unproved},
		{name: "a secret instead", form: with(form, "client_secret", "x"), says: unproved},
		{name: "HTTP Basic instead", form: form, header: basic(documentID, "x"), says: unproved},
		{name: "a secret beside it", form: with(asserting(form, good), "client_secret", "x"), status: 400, code: oauth.CodeInvalidRequest, says: "more than one way"},
		{name: "HTTP Basic beside it", form: asserting(form, good), header: basic(documentID, "x"), status: 400, code: oauth.CodeInvalidRequest, says: "more than one way"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.status == 0 {
				tt.status, tt.code = http.StatusUnauthorized, oauth.CodeInvalidClient
			}
			got := g.send("/token", tt.form, tt.header)
			got.wants(t, tt.status, tt.code, tt.says)
			if challenge := got.header.Get("WWW-Authenticate"); tt.status == 401 && (challenge != "") != (tt.header != nil) {
				t.Errorf("challenge %q", challenge)
			}
		})
	}
	if got := g.send("/token", asserting(form, good), nil); got.status != http.StatusOK {
		t.Errorf("after all of these: %d %s", got.status, got.body)
	}
	for name, secret := range map[string]string{"assertion": good, "used assertion": used} {
		if strings.Contains(g.logs.String(), secret) {
			t.Errorf("the %s is in the log", name)
		}
	}
}

func testOfManyWhoSendTheSameAssertionOneGetsIn(t *testing.T) {
	t.Parallel()
	g, _, key := keyed(t)
	form := asserting(g.refreshForm(documentID, "mcprt_x"), key.assertion(g, documentID, nil))
	replies := make([]reply, 20)
	var wg sync.WaitGroup
	for i := range replies {
		wg.Go(func() { replies[i] = g.send("/token", form, nil) })
	}
	wg.Wait()
	let := 0
	for _, got := range replies {
		if got.Error == oauth.CodeInvalidGrant {
			let++
			continue
		}
		got.wants(t, 401, oauth.CodeInvalidClient, "did not prove")
	}
	if let != 1 {
		t.Errorf("%d were let in, want one", let)
	}
}

// TestAnAssertionIsGoodOnceAlsoAfterARestart: what was used is in the store.
func TestAnAssertionIsGoodOnceAlsoAfterARestart(t *testing.T) {
	t.Parallel()
	g, _, key := keyed(t)
	used := key.assertion(g, documentID, nil)
	form := asserting(g.refreshForm(documentID, "mcprt_x"), used)
	g.send("/token", form, nil).wants(t, 400, oauth.CodeInvalidGrant, "unknown")
	g.restart("", nil)
	g.send("/token", form, nil).wants(t, 401, oauth.CodeInvalidClient, "did not prove")
}

// TestAnOutageOfAClientsKeysIsNoRefusal: 503, and then it works again.
func TestAnOutageOfAClientsKeysIsNoRefusal(t *testing.T) {
	t.Parallel()
	g, p, key := keyed(t)
	form := asserting(g.refreshForm(documentID, "mcprt_x"), key.assertion(g, documentID, nil))
	if page, _ := newBrowser(t).get(g.authorizeURL(newAuthorization(documentID), nil)); !isConsent(page) {
		t.Fatalf("status %d:\n%s", page.status, page.body)
	}
	p.setDown(true)
	g.send("/token", form, nil).wants(t, 503, oauth.CodeTemporarilyUnavailable, "try again")
	p.setDown(false)
	g.send("/token", form, nil).wants(t, 400, oauth.CodeInvalidGrant, "unknown")
}

// testADocumentMayHoldTheKeysItself at its own address, inline, or not in the
// open.
func testADocumentMayHoldTheKeysItself(t *testing.T) {
	t.Parallel()
	g, p := documented(t, "")
	key := newSigner(t, "one")
	for name, document := range map[string]map[string]any{
		"in its jwks":                  {"jwks": key.public()},
		"at a jwks_uri that is itself": {"jwks_uri": documentID, "keys": key.public().Keys},
	} {
		document["token_endpoint_auth_method"] = "private_key_jwt"
		g.restart("", func() { p.set("/app.json", described(t, document)) })
		for range 2 {
			a := newAuthorization(documentID)
			code := g.signIn(newBrowser(t), a, "Ada").Get("code")
			if got := g.send("/token", asserting(g.codeForm(a, code, clientRedirect), key.assertion(g, documentID, nil)), nil); got.status != http.StatusOK {
				t.Errorf("%s: %d %s", name, got.status, got.body)
			}
		}
	}
	private := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.key, KeyID: "one"}}}
	g.restart("", func() {
		p.set("/app.json", described(t, map[string]any{"token_endpoint_auth_method": "private_key_jwt", "jwks": private}))
	})
	if page, _ := newBrowser(t).get(g.authorizeURL(newAuthorization(documentID), nil)); isConsent(page) || !strings.Contains(page.body, "private or a symmetric key") {
		t.Errorf("a private key in the open: status %d:\n%s", page.status, page.body)
	}
}
