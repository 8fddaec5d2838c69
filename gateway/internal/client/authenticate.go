package client

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"mcp-gateway/gateway/internal/store"
	"mcp-gateway/shared/oauth"
)

// ErrCredentials is returned when a request did not prove that it comes from
// the client that it names.
var ErrCredentials = errors.New("client authentication failed")

// Credentials are what a request says of the client that makes it.
type Credentials struct {
	// ID is the client_id.
	ID string
	// Method is how the request proves it, an oauth.AuthMethod constant; it
	// must be the client's own.
	Method string
	// Secret is for client_secret_basic and client_secret_post.
	Secret string
	// Assertion is for private_key_jwt: a signed JWT (RFC 7523 §2.2).
	Assertion string
}

// Authenticate returns the client that a request comes from (RFC 6749 §2.3).
// Errors are those of Resolve, or ErrCredentials.
func (d *Directory) Authenticate(ctx context.Context, given Credentials, now time.Time) (Client, error) {
	c, err := d.Resolve(ctx, given.ID)
	if err != nil {
		return Client{}, err
	}
	if given.Method != c.AuthMethod {
		return Client{}, fmt.Errorf("%w: the client uses %s, and the request %s", ErrCredentials, c.AuthMethod, given.Method)
	}
	switch c.AuthMethod {
	case oauth.AuthMethodNone:
		return c, nil
	case oauth.AuthMethodSecretBasic, oauth.AuthMethodSecretPost:
		if !matches(c.secret, given.Secret) {
			return Client{}, fmt.Errorf("%w: the secret is wrong", ErrCredentials)
		}
		return c, nil
	case oauth.AuthMethodPrivateKeyJWT:
		if err := d.checkAssertion(ctx, c, given.Assertion, now); err != nil {
			return Client{}, err
		}
		return c, nil
	default:
		return Client{}, fmt.Errorf("client %s has the method %q, which nobody checks", c.Fingerprint(), c.AuthMethod)
	}
}

// matches compares a secret with the hash of the right one, which is never the
// zero one.
func matches(want store.Hash, secret string) bool {
	got := store.HashOf(secret)
	return want != (store.Hash{}) && subtle.ConstantTimeCompare(got[:], want[:]) == 1
}

// AssertionAlgorithms are the signatures that are accepted on assertions:
// asymmetric ones of which no weakness is known (RFC 8725 §3.1).
var AssertionAlgorithms = []string{"ES256", "ES384", "PS256", "EdDSA", "RS256"}

const (
	// clockSkew is by how much the clock of a client may differ.
	clockSkew = time.Minute
	// maxAssertionLife is how far ahead an assertion may end: it has to be
	// remembered for as long.
	maxAssertionLife = time.Hour
	// leastKeyAge is how old known keys must be before an assertion under an
	// unknown one makes us fetch them again.
	leastKeyAge = 30 * time.Second
)

// AssertionSubject returns the client that an assertion claims to come from,
// unchecked: with private_key_jwt a request need not repeat it (RFC 7521 §4.2).
func AssertionSubject(assertion string) string {
	token, err := jwt.ParseSigned(assertion, algorithms)
	if err != nil {
		return ""
	}
	var claims jwt.Claims
	if token.UnsafeClaimsWithoutVerification(&claims) != nil {
		return ""
	}
	return claims.Subject
}

var algorithms = func() []jose.SignatureAlgorithm {
	all := make([]jose.SignatureAlgorithm, len(AssertionAlgorithms))
	for i, name := range AssertionAlgorithms {
		all[i] = jose.SignatureAlgorithm(name)
	}
	return all
}()

// checkAssertion checks a JWT by which a client identifies itself (RFC 7523
// §3): issuer and subject are the client, the audience is this server alone,
// it is of now, signed with a key of the client, and was not used before.
func (d *Directory) checkAssertion(ctx context.Context, c Client, assertion string, now time.Time) error {
	token, err := jwt.ParseSigned(assertion, algorithms)
	if err != nil || len(token.Headers) != 1 || !spelledOneWay(assertion) {
		return fmt.Errorf("%w: the assertion is not a JWT signed with one of %v", ErrCredentials, AssertionAlgorithms)
	}
	claims, err := d.verify(ctx, c, token, now)
	if err != nil {
		return err
	}
	if err := d.checkClaims(c, claims, now); err != nil {
		return fmt.Errorf("%w: %w", ErrCredentials, err)
	}
	// The signature is left out: some can be changed without getting invalid.
	used := c.ID + "\n" + assertion[:strings.LastIndexByte(assertion, '.')]
	if claims.ID != "" {
		used = c.ID + "\n" + claims.ID
	}
	err = d.cfg.Store.UseAssertion(ctx, store.HashOf(used), claims.Expiry.Time().Add(clockSkew))
	if errors.Is(err, store.ErrConsumed) {
		return fmt.Errorf("%w: the assertion was used before", ErrCredentials)
	}
	return err
}

// spelledOneWay reports whether each part of a JWT is base64url as it is
// written. The decoder skips line breaks and unused bits, and the signature is
// checked over what it decoded; so one assertion could come again as another.
func spelledOneWay(assertion string) bool {
	for part := range strings.SplitSeq(assertion, ".") {
		decoded, err := base64.RawURLEncoding.DecodeString(part)
		if err != nil || base64.RawURLEncoding.EncodeToString(decoded) != part {
			return false
		}
	}
	return true
}

func (d *Directory) checkClaims(c Client, claims jwt.Claims, now time.Time) error {
	audiences := []string{d.cfg.PublicURL, d.cfg.PublicURL + "/", d.cfg.PublicURL + "/token"}
	switch {
	case claims.Issuer != c.ID || claims.Subject != c.ID:
		return errors.New("iss and sub of the assertion are not the client_id")
	case len(claims.Audience) != 1 || !slices.Contains(audiences, claims.Audience[0]):
		// One that is good elsewhere too could be replayed there, or came from
		// there (draft-ietf-oauth-rfc7523bis §4).
		return errors.New("aud of the assertion is not this server alone")
	case claims.Expiry == nil || !now.Before(claims.Expiry.Time().Add(clockSkew)):
		return errors.New("the assertion has expired or has no exp")
	case claims.Expiry.Time().After(now.Add(maxAssertionLife)):
		return fmt.Errorf("the assertion is good for longer than %s", maxAssertionLife)
	case claims.NotBefore != nil && claims.NotBefore.Time().After(now.Add(clockSkew)),
		claims.IssuedAt != nil && claims.IssuedAt.Time().After(now.Add(clockSkew)):
		return errors.New("the assertion is of the future")
	}
	return nil
}

// verify checks the signature under one of the client's keys and returns what
// was signed. When no known key fits, the keys are fetched again, now and then:
// the client may have new ones.
func (d *Directory) verify(ctx context.Context, c Client, token *jwt.JSONWebToken, now time.Time) (jwt.Claims, error) {
	keys := c.keys.inline
	var fetched publication
	if c.keys.uri != "" {
		var err error
		if fetched, err = d.published.keysAt(ctx, c.keys.uri, now, time.Time{}); err != nil {
			return jwt.Claims{}, err
		}
		keys = fetched.keys
	}
	claims, err := verifyUnder(keys, token)
	if err != nil && c.keys.uri != "" && now.Sub(fetched.fetched) > leastKeyAge {
		if fetched, err = d.published.keysAt(ctx, c.keys.uri, now, fetched.fetched); err != nil {
			return jwt.Claims{}, err
		}
		claims, err = verifyUnder(fetched.keys, token)
	}
	return claims, err
}

// verifyUnder tries the keys with the id that the token names, or all if it
// names none.
func verifyUnder(keys []jose.JSONWebKey, token *jwt.JSONWebToken) (claims jwt.Claims, err error) {
	kid := token.Headers[0].KeyID
	for _, key := range keys {
		if kid != "" && key.KeyID != kid || key.Algorithm != "" && key.Algorithm != token.Headers[0].Algorithm {
			continue
		}
		if token.Claims(key.Key, &claims) == nil {
			return claims, nil
		}
	}
	return jwt.Claims{}, fmt.Errorf("%w: the assertion is not signed with a key of the client", ErrCredentials)
}
