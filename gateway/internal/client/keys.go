package client

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// keySource is where a client's public keys are: with it, or at a URL.
type keySource struct {
	inline []jose.JSONWebKey
	uri    string
}

// keysAt returns the keys published at uri, fetched after since.
func (p *publications) keysAt(ctx context.Context, uri string, now, since time.Time) (publication, error) {
	u, err := url.Parse(uri)
	if err != nil {
		return publication{}, fmt.Errorf("jwks_uri: %w", err)
	}
	return p.keySet(ctx, u, now, since)
}

// Bounds of a set of keys.
const (
	maxKeys    = 20
	minRSABits = 2048
)

// readKeys reads a set of public keys (RFC 7517 §5). "Implementations SHOULD
// ignore JWKs within a JWK Set that use kty values that are not understood". A
// private or symmetric key is refused with all of the set: it is in the open.
func readKeys(data []byte) ([]jose.JSONWebKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(data, &set); err != nil {
		return nil, errors.New("they are not a JSON Web Key Set")
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("there are more than %d", maxKeys)
	}
	var keys []jose.JSONWebKey
	for _, raw := range set.Keys {
		if secret, err := secretKey(raw); err != nil {
			return nil, errors.New("one of them is not an object")
		} else if secret {
			return nil, errSecretKey
		}
		var key jose.JSONWebKey
		if key.UnmarshalJSON(raw) == nil && usableKey(key) {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("none of them can check a signature")
	}
	return keys, nil
}

var errSecretKey = errors.New("one of them is a private or a symmetric key")

// secretKey reports whether a JWK holds more than a public key (RFC 7518 §6;
// priv is where post-quantum keys have it).
func secretKey(raw json.RawMessage) (bool, error) {
	var key struct {
		Type string          `json:"kty"`
		D    json.RawMessage `json:"d"`
		K    json.RawMessage `json:"k"`
		P    json.RawMessage `json:"p"`
		Q    json.RawMessage `json:"q"`
		DP   json.RawMessage `json:"dp"`
		DQ   json.RawMessage `json:"dq"`
		QI   json.RawMessage `json:"qi"`
		Oth  json.RawMessage `json:"oth"`
		Priv json.RawMessage `json:"priv"`
	}
	if err := json.Unmarshal(raw, &key); err != nil {
		return false, err
	}
	secrets := []json.RawMessage{key.D, key.K, key.P, key.Q, key.DP, key.DQ, key.QI, key.Oth, key.Priv}
	return key.Type == "oct" || slices.ContainsFunc(secrets, present), nil
}

// exposesKey reports whether a set that nobody needs has a secret in it: the
// client's developer should hear of it. What is wrong with it otherwise is
// nobody's concern.
func exposesKey(jwks json.RawMessage) bool {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if !present(jwks) || json.Unmarshal(jwks, &set) != nil {
		return false
	}
	return slices.ContainsFunc(set.Keys, func(raw json.RawMessage) bool {
		secret, err := secretKey(raw)
		return secret && err == nil
	})
}

func usableKey(key jose.JSONWebKey) bool {
	if key.Use != "" && key.Use != "sig" || !key.Valid() {
		return false
	}
	switch k := key.Key.(type) {
	case *rsa.PublicKey:
		return k.N.BitLen() >= minRSABits
	case *ecdsa.PublicKey, ed25519.PublicKey:
		return true
	default:
		return false
	}
}
