package entra

import (
	"context"
	"crypto"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
)

const (
	// keysFresh is after how long the keys are fetched again, keysTTL how
	// long they are trusted if that fails: a key that Microsoft withdrew
	// must not be good for ever.
	keysFresh = time.Hour
	keysTTL   = 24 * time.Hour
	// keysRetry is how often an unknown key id may make us fetch: tokens
	// with made-up key ids must not make us hammer Microsoft.
	keysRetry = 5 * time.Minute
)

// signingKey is one key of the tenant with the issuer it may sign for.
type signingKey struct {
	public *rsa.PublicKey
	// issuer may hold {tenantid}; personal accounts' keys have a fixed one.
	issuer string
}

// keySet holds the authority's signing keys. It is our own because go-oidc's
// ignores a key's issuer and fetches for every unknown key id.
type keySet struct {
	provider *Provider

	mu sync.Mutex // held while fetching
	// guards below
	keys    map[string]signingKey
	fetched time.Time
	tried   time.Time
}

// find returns the key of an id.
func (k *keySet) find(ctx context.Context, url, kid string, now time.Time) (signingKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	key, known := k.keys[kid]
	age := now.Sub(k.fetched)
	stale := age >= keysFresh
	if stale || !known && now.Sub(k.tried) >= keysRetry {
		k.tried = now
		keys, err := k.provider.fetchKeys(ctx, url)
		switch {
		case err == nil:
			k.keys, k.fetched = keys, now
			key, known = keys[kid]
		case k.keys == nil || age >= keysTTL:
			return signingKey{}, unavailable(fmt.Errorf("signing keys: %w", err))
		}
	}
	if !known {
		return signingKey{}, errors.New("signed by a key that the tenant does not publish")
	}
	return key, nil
}

// fetchKeys reads the key set (RFC 7517 §5). Keys of other kinds are skipped:
// "Implementations SHOULD ignore JWKs within a JWK Set that use kty values
// that are not understood by them".
func (p *Provider) fetchKeys(ctx context.Context, url string) (map[string]signingKey, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestTimeout)
	defer cancel()
	var set struct {
		Keys []struct {
			Kty, Kid, N, E, Issuer, Use string
		} `json:"keys"`
	}
	if err := p.getJSON(ctx, url, &set); err != nil {
		return nil, err
	}
	keys := make(map[string]signingKey)
	for _, k := range set.Keys {
		n, errN := base64.RawURLEncoding.DecodeString(k.N)
		e, errE := base64.RawURLEncoding.DecodeString(k.E)
		if k.Kty != "RSA" || k.Kid == "" || k.Issuer == "" || k.Use != "" && k.Use != "sig" ||
			errN != nil || errE != nil || len(n) < 256 || len(e) == 0 || len(e) > 4 {
			continue
		}
		keys[k.Kid] = signingKey{
			public: &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())},
			issuer: k.Issuer,
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("the document holds no usable key")
	}
	return keys, nil
}

// verifier is the oidc.KeySet for one token: it also holds the key's issuer
// against the token's.
type verifier struct {
	keys *keySet
	url  string
	now  time.Time
	// unavailable is why the keys could not be had: go-oidc does not wrap
	// what a key set returns.
	unavailable *Error
}

// VerifySignature implements oidc.KeySet. Order: algorithm, key, the key's
// issuer, signature.
func (v *verifier) VerifySignature(ctx context.Context, raw string) ([]byte, error) {
	jws, err := jose.ParseSignedCompact(raw, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil || len(jws.Signatures) != 1 {
		return nil, errors.New("not signed with RS256")
	}
	key, err := v.keys.find(ctx, v.url, jws.Signatures[0].Header.KeyID, v.now)
	if err != nil {
		v.unavailable, _ = errors.AsType[*Error](err)
		return nil, err
	}
	var claims struct {
		Issuer string `json:"iss"`
		Tenant string `json:"tid"`
	}
	if err := json.Unmarshal(jws.UnsafePayloadWithoutVerification(), &claims); err != nil {
		return nil, errors.New("the claims are malformed")
	}
	// "key.issuer with {tenantid} replaced by tid must equal iss": a key for
	// personal accounts must not sign for an organization.
	if strings.ReplaceAll(key.issuer, "{tenantid}", claims.Tenant) != claims.Issuer {
		return nil, errors.New("signed by a key of another issuer")
	}
	return (&oidc.StaticKeySet{PublicKeys: []crypto.PublicKey{key.public}}).VerifySignature(ctx, raw)
}
