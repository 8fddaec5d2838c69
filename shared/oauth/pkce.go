package oauth

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"strings"
)

// PKCE, RFC 7636. Only S256 exists here: plain protects nothing once the
// request is seen (§7.2), and OAuth 2.1 §4.1.1 leaves no use for it.

const (
	minVerifier = 43
	maxVerifier = 128
)

// unreserved are the characters of a verifier (RFC 7636 §4.1, RFC 3986 §2.3).
const unreserved = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"

// NewVerifier returns 32 random bytes in base64url, the 43 characters that
// RFC 7636 §4.1 recommends.
func NewVerifier() string {
	b := make([]byte, sha256.Size)
	_, _ = rand.Read(b) // never fails since Go 1.24
	return base64.RawURLEncoding.EncodeToString(b)
}

// ChallengeS256 derives the challenge from a verifier (RFC 7636 §4.2).
func ChallengeS256(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// ValidVerifier reports whether a verifier has the form of RFC 7636 §4.1.
func ValidVerifier(verifier string) bool {
	return len(verifier) >= minVerifier && len(verifier) <= maxVerifier && strings.Trim(verifier, unreserved) == ""
}

// ValidChallenge reports whether a challenge can be an S256 one: the base64url
// of 32 bytes, without padding.
func ValidChallenge(challenge string) bool {
	// The decoder skips line breaks, so both lengths are checked.
	sum, err := base64.RawURLEncoding.Strict().DecodeString(challenge)
	return err == nil && len(sum) == sha256.Size && len(challenge) == base64.RawURLEncoding.EncodedLen(sha256.Size)
}

// VerifyS256 reports whether verifier is the one behind challenge (RFC 7636
// §4.6), in constant time.
func VerifyS256(challenge, verifier string) bool {
	return ValidVerifier(verifier) && subtle.ConstantTimeCompare([]byte(ChallengeS256(verifier)), []byte(challenge)) == 1
}
