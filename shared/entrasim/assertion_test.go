package entrasim_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"maps"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"mcp-gateway/shared/entrasim"
)

const (
	assertionType   = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	platformIssuer  = "https://oidc.cluster.example/"
	platformSubject = "system:serviceaccount:mcp:gateway"
	platformAud     = "api://AzureADTokenExchange"
)

// Keys are dear to make, so all tests share them: the client's, and the platform's.
var clientKey, platformKey = sync.OnceValue(newRSAKey), sync.OnceValue(newRSAKey)

func newRSAKey() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
}

// certificate of a key, until a time.
func certificate(t *testing.T, key *rsa.PrivateKey, until time.Time) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: until.AddDate(-1, 0, 0), NotAfter: until}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// sign makes a compact JWS (RFC 7515 §7.1).
func sign(t *testing.T, key *rsa.PrivateKey, header, claims map[string]any) string {
	t.Helper()
	var parts []string
	for _, part := range []map[string]any{header, claims} {
		data, err := json.Marshal(part)
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, base64.RawURLEncoding.EncodeToString(data))
	}
	input := strings.Join(parts, ".")
	digest := sha256.Sum256([]byte(input))
	signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
	if header["alg"] == "PS256" {
		signature, err = rsa.SignPSS(rand.Reader, key, crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	}
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// provenWorld is one whose application has a certificate and a federated
// credential, and no secret.
func provenWorld(t *testing.T) (w *world, thumbprint string) {
	t.Helper()
	c := certificate(t, clientKey(), time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC))
	w = newWorld(t, func(o *entrasim.Options) {
		o.Apps[0].Secrets = nil
		o.Apps[0].Certificates = []*x509.Certificate{certificate(t, platformKey(), time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)), c}
		o.Apps[0].FederatedCredentials = []entrasim.FederatedCredential{
			{Issuer: "https://other.example/", Subject: platformSubject, Audience: platformAud, Key: &clientKey().PublicKey},
			{Issuer: platformIssuer, Subject: "system:serviceaccount:mcp:other", Audience: platformAud, Key: &platformKey().PublicKey},
			{Issuer: platformIssuer, Subject: platformSubject, Audience: platformAud, Key: &platformKey().PublicKey},
		}
	})
	sum := sha256.Sum256(c.Raw)
	return w, base64.RawURLEncoding.EncodeToString(sum[:])
}

// own are the header and the claims of an assertion of the client's own.
func (w *world) own(thumbprint string) (header, claims map[string]any) {
	now := w.clock.Now().Unix()
	return map[string]any{"alg": "PS256", "typ": "JWT", "x5t#S256": thumbprint}, map[string]any{
		"aud": w.url + "/" + entrasim.DemoTenant + "/oauth2/v2.0/token", "iss": entrasim.DemoClientID, "sub": entrasim.DemoClientID,
		"jti": rand.Text(), "nbf": now, "iat": now, "exp": now + 600,
	}
}

// platforms are those of a token of the platform's.
func (w *world) platforms() (header, claims map[string]any) {
	now := w.clock.Now().Unix()
	return map[string]any{"alg": "RS256", "kid": "k"}, map[string]any{
		"aud": platformAud, "iss": platformIssuer, "sub": platformSubject, "nbf": now, "iat": now, "exp": now + 3600,
	}
}

// prove redeems a code with an assertion, with more parameters if there are any.
func (w *world) prove(assertion string, more map[string]string) reply {
	w.t.Helper()
	code := w.signIn(entrasim.DemoTenant, entrasim.Ada, nil).Get("code")
	form := map[string]string{"client_secret": "", "client_assertion_type": assertionType, "client_assertion": assertion}
	maps.Copy(form, more)
	return w.exchange(entrasim.DemoTenant, code, form)
}

func TestAClientProvesItselfWithItsCertificate(t *testing.T) {
	t.Parallel()
	w, thumbprint := provenWorld(t)
	header, claims := w.own(thumbprint)
	w.tokens(w.prove(sign(t, clientKey(), header, claims), nil))
	// MSAL for Go writes the thumbprint in the other alphabet, with padding.
	raw, err := base64.RawURLEncoding.DecodeString(thumbprint)
	if err != nil {
		t.Fatal(err)
	}
	header["x5t#S256"], claims["jti"] = base64.StdEncoding.EncodeToString(raw), rand.Text()
	w.tokens(w.prove(sign(t, clientKey(), header, claims), nil))
	w.wantViolations(0, "")
}

func TestAClientProvesItselfWithAFederatedToken(t *testing.T) {
	t.Parallel()
	w, _ := provenWorld(t)
	header, claims := w.platforms()
	token := sign(t, platformKey(), header, claims)
	for range 2 { // it is the platform's, and good until it ends
		w.tokens(w.prove(token, nil))
	}
	w.wantViolations(0, "")
}

func TestACertificateDoesNotProve(t *testing.T) {
	t.Parallel()
	type parts = map[string]any
	for name, tt := range map[string]struct {
		change    func(header, claims parts)
		later     time.Duration
		aadsts    int
		violation string // part of it; empty if it happens to correct clients
	}{
		"another certificate":        {change: func(h, _ parts) { h["x5t#S256"] = base64.RawURLEncoding.EncodeToString(make([]byte, 32)) }, aadsts: 700027},
		"no certificate":             {change: func(h, _ parts) { delete(h, "x5t#S256") }, aadsts: 700027},
		"a certificate that is over": {change: func(_, c parts) { c["nbf"], c["exp"] = 1798761600, 1798761600+600 }, later: 60 * 24 * time.Hour, aadsts: 700027},
		"another algorithm":          {change: func(h, _ parts) { h["alg"] = "RS256" }, aadsts: 700027, violation: `alg "RS256"`},
		"no algorithm":               {change: func(h, _ parts) { h["alg"] = "none" }, aadsts: 700027, violation: `alg "none"`},
		"another subject":            {change: func(_, c parts) { c["sub"] = entrasim.AdaObject }, aadsts: 700021, violation: "sub"},
		"the tenant for an audience": {change: func(_, c parts) { c["aud"] = strings.TrimSuffix(c["aud"].(string), "/oauth2/v2.0/token") }, aadsts: 700023, violation: "aud"},
		"another tenant's endpoint": {change: func(_, c parts) {
			c["aud"] = strings.Replace(c["aud"].(string), entrasim.DemoTenant, entrasim.OtherTenant, 1)
		}, aadsts: 700023, violation: "aud"},
		"no id":                       {change: func(_, c parts) { delete(c, "jti") }, aadsts: 50027, violation: "without jti"},
		"eleven minutes":              {change: func(_, c parts) { c["exp"] = c["exp"].(int64) + 60 }, aadsts: 700024, violation: "660 seconds"},
		"no beginning":                {change: func(_, c parts) { delete(c, "nbf") }, aadsts: 700024, violation: "seconds"},
		"no end":                      {change: func(_, c parts) { delete(c, "exp") }, aadsts: 700024},
		"a second too late":           {later: 600 * time.Second, aadsts: 700024},
		"a clock that is fast":        {later: -time.Second, aadsts: 700024},
		"the platform's word as ours": {change: func(_, c parts) { c["iss"] = platformIssuer }, aadsts: 700213},
		"nobody's word":               {change: func(_, c parts) { delete(c, "iss") }, aadsts: 700211},
		"a number for an audience":    {change: func(_, c parts) { c["aud"] = 7 }, aadsts: 50027, violation: "no signed token"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, thumbprint := provenWorld(t)
			header, claims := w.own(thumbprint)
			if tt.change != nil {
				tt.change(header, claims)
			}
			w.clock.Advance(tt.later)
			wantFailure(t, w.prove(sign(t, clientKey(), header, claims), nil), http.StatusUnauthorized, "invalid_client", tt.aadsts)
			n := 0
			if tt.violation != "" {
				n = 1
			}
			w.wantViolations(n, tt.violation)
		})
	}
}

func TestAnAssertionIsRefused(t *testing.T) {
	t.Parallel()
	w, thumbprint := provenWorld(t)
	header, claims := w.own(thumbprint)
	good := sign(t, clientKey(), header, claims)
	w.tokens(w.prove(good, nil))
	wantFailure(t, w.prove(good, nil), http.StatusUnauthorized, "invalid_client", 50027)
	w.wantViolations(1, "used twice")
	w.clock.Advance(time.Minute) // and it may be forgotten when it is over
	header, claims = w.own(thumbprint)
	good = sign(t, clientKey(), header, claims)

	parts := strings.Split(good, ".")
	claims["jti"] = "other"
	changed := strings.Split(sign(t, clientKey(), header, claims), ".")
	wantFailure(t, w.prove(parts[0]+"."+changed[1]+"."+parts[2], nil), http.StatusUnauthorized, "invalid_client", 700027)
	wantFailure(t, w.prove(sign(t, platformKey(), header, claims), nil), http.StatusUnauthorized, "invalid_client", 700027)
	w.wantViolations(1, "used twice")

	for name, form := range map[string]map[string]string{
		"and a secret":    {"client_assertion": good, "client_secret": secret},
		"of another kind": {"client_assertion": good, "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"},
		"of no kind":      {"client_assertion": good, "client_assertion_type": ""},
	} {
		if r := w.prove(good, form); r.status != http.StatusBadRequest || !strings.Contains(r.body, "AADSTS9002313") {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
	}
	for name, garbage := range map[string]string{"none": "", "a word": "x", "two parts": "e30.e30", "no base64": "!.!.!", "no JSON": "eA.eA.eA", "four parts": good + ".x"} {
		if r := w.prove(garbage, nil); r.status != http.StatusUnauthorized || !strings.Contains(r.body, "AADSTS50027") {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
	}
	w.tokens(w.prove(good, nil)) // none of it has used it up
}

func TestAFederatedTokenDoesNotProve(t *testing.T) {
	t.Parallel()
	type parts = map[string]any
	for name, tt := range map[string]struct {
		change func(header, claims parts)
		key    func() *rsa.PrivateKey
		later  time.Duration
		aadsts int
	}{
		"another issuer":            {change: func(_, c parts) { c["iss"] = "https://oidc.cluster.example" }, aadsts: 700211},
		"another subject":           {change: func(_, c parts) { c["sub"] = "system:serviceaccount:mcp:default" }, aadsts: 700213},
		"the issuer's word on that": {change: func(_, c parts) { c["iss"], c["sub"] = "https://other.example/", "system:serviceaccount:mcp:other" }, aadsts: 700213},
		"another audience":          {change: func(_, c parts) { c["aud"] = "https://kubernetes.default.svc" }, aadsts: 700212},
		"another key":               {key: clientKey, aadsts: 50013},
		"another algorithm":         {change: func(h, _ parts) { h["alg"] = "PS256" }, aadsts: 50013},
		"no algorithm":              {change: func(h, _ parts) { h["alg"] = "none" }, aadsts: 50013},
		"it is over":                {later: time.Hour, aadsts: 700024},
		"it has not begun":          {later: -time.Second, aadsts: 700024},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, _ := provenWorld(t)
			header, claims := w.platforms()
			if tt.change != nil {
				tt.change(header, claims)
			}
			key := platformKey()
			if tt.key != nil {
				key = tt.key()
			}
			w.clock.Advance(tt.later)
			wantFailure(t, w.prove(sign(t, key, header, claims), nil), http.StatusUnauthorized, "invalid_client", tt.aadsts)
			w.wantViolations(0, "")
		})
	}
}

// A program for the desktop has nothing to prove itself with.
func TestAProgramMustNotProveItself(t *testing.T) {
	t.Parallel()
	w, _ := provenWorld(t)
	header, claims := w.platforms()
	refresh := w.do(w.tokenRequest(entrasim.DemoTenant, url.Values{
		"grant_type": {"refresh_token"}, "client_id": {entrasim.DemoClientID}, "refresh_token": {"x"},
		"client_assertion_type": {assertionType}, "client_assertion": {sign(t, platformKey(), header, claims)},
	}))
	wantFailure(t, refresh, http.StatusBadRequest, "invalid_grant", 70000)
	wantFailure(t, w.prove("", map[string]string{"client_assertion_type": ""}), http.StatusUnauthorized, "invalid_client", 7000218)
	_, err := entrasim.New(entrasim.Options{
		Tenants: []entrasim.Tenant{{ID: entrasim.DemoTenant, Domain: entrasim.DemoDomain}},
		Apps:    []entrasim.App{{TenantID: entrasim.DemoTenant, ClientID: entrasim.DemoClientID, RedirectURIs: []string{redirectURI}}},
	})
	if err == nil || !strings.Contains(err.Error(), "no certificate") {
		t.Errorf("an application with nothing to prove itself with: %v", err)
	}
}
