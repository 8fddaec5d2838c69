package entra

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Microsoft's advice on signing-key rollover: look every hour, keep a key for
// a day at most.
const (
	keysFresh = time.Hour
	keysKept  = 24 * time.Hour
	// minKeyBits: RFC 7518 §3.3, "A key of size 2048 bits or larger MUST be used".
	minKeyBits = 2048
)

// signingKey is a key of the tenant's key set. Several may share an id.
type signingKey struct {
	id string
	// issuer is whose tokens the key signs, with templateTenant where it is any
	// tenant. Personal accounts have keys of their own.
	issuer string
	public *rsa.PublicKey
}

// parseKeys reads a key set (RFC 7517 §5) key by key: one that is of another
// kind, or broken, is left out and costs the others nothing.
func parseKeys(body []byte) ([]signingKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &set); err != nil {
		return nil, unavailable(fmt.Errorf("read the signing keys: %w", err))
	}
	var keys []signingKey
	for _, raw := range set.Keys {
		var key jose.JSONWebKey
		var more struct {
			Issuer string `json:"issuer"`
		}
		if json.Unmarshal(raw, &key) != nil || json.Unmarshal(raw, &more) != nil {
			continue
		}
		public, isRSA := key.Key.(*rsa.PublicKey)
		if !isRSA || public.N.BitLen() < minKeyBits || key.KeyID == "" ||
			key.Use != "sig" && key.Use != "" || key.Algorithm != string(jose.RS256) && key.Algorithm != "" {
			continue
		}
		keys = append(keys, signingKey{id: key.KeyID, issuer: more.Issuer, public: public})
	}
	if len(keys) == 0 {
		return nil, unavailable(errors.New("the key set has no key that can sign an ID token"))
	}
	return keys, nil
}

// tokenKeys is the key set for one token, as go-oidc wants it.
type tokenKeys struct {
	p   *Provider
	at  endpoints
	now time.Time
	// err is why there are no keys: go-oidc turns errors into text.
	err error
}

// VerifySignature implements oidc.KeySet. Unlike go-oidc's own it forgets
// retired keys, limits how often an unknown key makes it ask again, and holds
// each key to its issuer.
func (k *tokenKeys) VerifySignature(ctx context.Context, token string) ([]byte, error) {
	jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		return nil, err
	}
	id := jws.Signatures[0].Header.KeyID
	named := func(key signingKey) bool { return key.id == id }
	keys, err := k.p.keys.get(ctx, k.now,
		func(keys []signingKey) bool { return slices.ContainsFunc(keys, named) },
		func(ctx context.Context) ([]signingKey, error) {
			body, err := k.p.document(ctx, k.at.keys)
			if err != nil {
				return nil, err
			}
			return parseKeys(body)
		})
	if err != nil {
		k.err = err
		return nil, err
	}
	err = fmt.Errorf("the tenant has no key %q", id)
	for _, key := range keys {
		if !named(key) {
			continue
		}
		var payload []byte
		if payload, err = jws.Verify(key.public); err != nil {
			err = fmt.Errorf("signature of key %q: %w", id, err)
			continue
		}
		if err = key.maySign(payload); err == nil {
			return payload, nil
		}
	}
	return nil, err
}

// maySign holds a key to its issuer: one for personal accounts must not sign for an
// organization.
func (key signingKey) maySign(payload []byte) error {
	var c struct {
		Issuer string `json:"iss"`
		Tenant string `json:"tid"`
	}
	if err := json.Unmarshal(payload, &c); err != nil {
		return err
	}
	if issuer := issuerOf(key.issuer, c.Tenant); issuer != c.Issuer {
		return fmt.Errorf("key %q signs for issuer %q, and the token of tenant %q was issued by %q", key.id, issuer, c.Tenant, c.Issuer)
	}
	return nil
}
