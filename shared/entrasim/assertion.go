package entrasim

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"time"
)

const (
	// assertionType is the only kind of assertion (RFC 7523 §2.2).
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	// assertionLifetime is what Microsoft advises at most. It does not insist;
	// here a longer one is a violation.
	assertionLifetime = 10 * time.Minute
)

// FederatedCredential trusts tokens of another issuer about one subject, such as
// those of a Kubernetes service account (workload identity federation). All three
// are compared exactly.
type FederatedCredential struct {
	Issuer, Subject, Audience string
	// Key is the issuer's, which signs with RS256. Microsoft would look for it at
	// the issuer; nobody is asked here.
	Key *rsa.PublicKey
}

// assertion is a token that a client proves itself with, read and not yet trusted.
type assertion struct {
	header struct {
		Algorithm string `json:"alg"`
		// Thumbprint is of the certificate (RFC 7515 §4.1.8).
		Thumbprint string `json:"x5t#S256"`
	}
	claims struct {
		Issuer   string `json:"iss"`
		Subject  string `json:"sub"`
		Audience string `json:"aud"`
		ID       string `json:"jti"`
		Expires  int64  `json:"exp"`
		Begins   int64  `json:"nbf"`
	}
	digest    [sha256.Size]byte
	signature []byte
}

func parseAssertion(token string) (a assertion, ok bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return a, false
	}
	header, err1 := base64.RawURLEncoding.DecodeString(parts[0])
	claims, err2 := base64.RawURLEncoding.DecodeString(parts[1])
	signature, err3 := base64.RawURLEncoding.DecodeString(parts[2])
	if err1 != nil || err2 != nil || err3 != nil || json.Unmarshal(header, &a.header) != nil || json.Unmarshal(claims, &a.claims) != nil {
		return a, false
	}
	a.digest, a.signature = sha256.Sum256([]byte(parts[0]+"."+parts[1])), signature
	return a, true
}

// checkAssertion says why an assertion does not prove that a client is app. One
// that the client issued itself is signed with its certificate; any other is a
// federated token.
func (s *Sim) checkAssertion(app *App, token, endpoint string) *failure {
	a, ok := parseAssertion(token)
	switch {
	case !ok:
		return violation(50027, "token: parameter %q is no signed token", "client_assertion")
	case a.claims.Issuer == app.ClientID:
		return s.checkCertificate(app, a, endpoint)
	}
	return s.checkFederated(app, a)
}

// checkCertificate follows Microsoft's "certificate credentials".
func (s *Sim) checkCertificate(app *App, a assertion, endpoint string) *failure {
	now := s.now()
	i := slices.IndexFunc(app.Certificates, func(c *x509.Certificate) bool { return hasThumbprint(c, a.header.Thumbprint) })
	switch {
	case a.header.Algorithm != "PS256":
		return violation(700027, "token: client_assertion with alg %q", a.header.Algorithm)
	case a.claims.Subject != a.claims.Issuer:
		return violation(700021, "token: client_assertion with sub %q", a.claims.Subject)
	case a.claims.Audience != endpoint:
		return violation(700023, "token: client_assertion with aud %q", a.claims.Audience)
	case a.claims.ID == "":
		return violation(50027, "token: client_assertion without jti")
	case a.claims.Expires-a.claims.Begins > int64(assertionLifetime/time.Second):
		return violation(700024, "token: client_assertion for %d seconds", a.claims.Expires-a.claims.Begins)
	case i < 0 || !now.Before(app.Certificates[i].NotAfter) || !signedPS256(app.Certificates[i], a):
		return refusal(700027)
	case !a.isCurrent(now):
		return refusal(700024)
	case s.isReplay(a, now):
		return violation(50027, "token: a client_assertion was used twice")
	}
	return nil
}

// hasThumbprint: base64url is what the RFC and Microsoft's documentation say, and
// base64 what MSAL for Go sends.
func hasThumbprint(c *x509.Certificate, thumbprint string) bool {
	sum := sha256.Sum256(c.Raw)
	return thumbprint == base64.RawURLEncoding.EncodeToString(sum[:]) || thumbprint == base64.StdEncoding.EncodeToString(sum[:])
}

func signedPS256(c *x509.Certificate, a assertion) bool {
	key, ok := c.PublicKey.(*rsa.PublicKey)
	return ok && rsa.VerifyPSS(key, crypto.SHA256, a.digest[:], a.signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
}

// isCurrent gives clocks that differ nothing: what leeway Microsoft has is not
// documented.
func (a assertion) isCurrent(now time.Time) bool {
	return a.claims.Begins <= now.Unix() && now.Unix() < a.claims.Expires
}

// isReplay remembers an assertion for as long as it would be good.
func (s *Sim) isReplay(a assertion, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, until := range s.assertions {
		if until <= now.Unix() {
			delete(s.assertions, id)
		}
	}
	id := a.claims.Issuer + " " + a.claims.ID
	if _, used := s.assertions[id]; used {
		return true
	}
	s.assertions[id] = a.claims.Expires
	return false
}

// checkFederated looks for the credential by issuer, subject and audience. Such a
// token may come many times: the platform gives one for an hour or so.
func (s *Sim) checkFederated(app *App, a assertion) *failure {
	left := app.FederatedCredentials
	for _, step := range []struct {
		aadsts  int
		matches func(FederatedCredential) bool
	}{
		{700211, func(f FederatedCredential) bool { return f.Issuer == a.claims.Issuer }},
		{700213, func(f FederatedCredential) bool { return f.Subject == a.claims.Subject }},
		{700212, func(f FederatedCredential) bool { return f.Audience == a.claims.Audience }},
		{50013, func(f FederatedCredential) bool {
			return a.header.Algorithm == "RS256" && rsa.VerifyPKCS1v15(f.Key, crypto.SHA256, a.digest[:], a.signature) == nil
		}},
	} {
		left = slices.DeleteFunc(slices.Clone(left), func(f FederatedCredential) bool { return !step.matches(f) })
		if len(left) == 0 {
			return refusal(step.aadsts)
		}
	}
	if !a.isCurrent(s.now()) {
		return refusal(700024)
	}
	return nil
}
