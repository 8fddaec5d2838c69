package oauth

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"strings"
)

// NewVerifier returns a code verifier of 256 random bits (RFC 7636 §4.1).
func NewVerifier() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails since Go 1.24
	return base64.RawURLEncoding.EncodeToString(b)
}

// ChallengeS256 is the code challenge of a verifier (RFC 7636 §4.2).
func ChallengeS256(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// ValidVerifier reports whether s has the form of a verifier: 43 to 128
// unreserved characters (RFC 7636 §4.1).
func ValidVerifier(s string) bool {
	return len(s) >= 43 && len(s) <= 128 && strings.Trim(s, unreserved) == ""
}

const unreserved = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"

// ValidChallenge reports whether s can be an S256 challenge: the base64url
// spelling of 32 bytes, in its one canonical form.
func ValidChallenge(s string) bool {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return err == nil && len(b) == sha256.Size
}

// VerifyS256 compares a verifier with a challenge in constant time (RFC 7636
// §4.6).
func VerifyS256(challenge, verifier string) bool {
	return ValidVerifier(verifier) && subtle.ConstantTimeCompare([]byte(ChallengeS256(verifier)), []byte(challenge)) == 1
}
