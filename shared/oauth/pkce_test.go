package oauth_test

import (
	"strings"
	"testing"

	"mcp-gateway/shared/oauth"
)

// The vector of RFC 7636 appendix B.
const (
	rfcVerifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	rfcChallenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

func TestPKCEVectorOfTheRFC(t *testing.T) {
	t.Parallel()
	if got := oauth.ChallengeS256(rfcVerifier); got != rfcChallenge {
		t.Errorf("got %s, want %s", got, rfcChallenge)
	}
	if !oauth.VerifyS256(rfcChallenge, rfcVerifier) {
		t.Error("the vector does not verify")
	}
}

func TestNewVerifierIsValidAndNeverTheSame(t *testing.T) {
	t.Parallel()
	a, b := oauth.NewVerifier(), oauth.NewVerifier()
	if len(a) != 43 || !oauth.ValidVerifier(a) {
		t.Errorf("%q is not a verifier of 43 characters", a)
	}
	if a == b {
		t.Error("two verifiers are equal")
	}
	if !oauth.ValidChallenge(oauth.ChallengeS256(a)) {
		t.Error("its challenge is not valid")
	}
}

func TestVerifyS256Rejects(t *testing.T) {
	t.Parallel()
	short := strings.Repeat("a", 42)
	for _, tt := range []struct{ name, challenge, verifier string }{
		{name: "another verifier", challenge: rfcChallenge, verifier: rfcVerifier[:42] + "X"},
		{name: "the challenge as verifier, as in plain", challenge: rfcChallenge, verifier: rfcChallenge},
		{name: "no verifier", challenge: rfcChallenge, verifier: ""},
		{name: "no challenge", challenge: "", verifier: rfcVerifier},
		{name: "neither", challenge: "", verifier: ""},
		{name: "a verifier that matches and is too short", challenge: oauth.ChallengeS256(short), verifier: short},
		{name: "a challenge with padding", challenge: rfcChallenge + "=", verifier: rfcVerifier},
		{name: "a challenge with a line break", challenge: rfcChallenge + "\n", verifier: rfcVerifier},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if oauth.VerifyS256(tt.challenge, tt.verifier) {
				t.Error("it verifies")
			}
		})
	}
}

func TestValidVerifier(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, verifier string
		want           bool
	}{
		{name: "the shortest", verifier: strings.Repeat("a", 43), want: true},
		{name: "the longest", verifier: strings.Repeat("a", 128), want: true},
		{name: "every kind of character", verifier: strings.Repeat("aZ09-._~", 6), want: true},
		{name: "one too short", verifier: strings.Repeat("a", 42)},
		{name: "one too long", verifier: strings.Repeat("a", 129)},
		{name: "a plus sign of plain base64", verifier: strings.Repeat("a", 43) + "+"},
		{name: "a space", verifier: strings.Repeat("a", 43) + " b"},
		{name: "a null byte", verifier: strings.Repeat("a", 43) + "\x00"},
		{name: "a letter beyond ASCII", verifier: strings.Repeat("a", 43) + "é"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := oauth.ValidVerifier(tt.verifier); got != tt.want {
				t.Errorf("got %t, want %t", got, tt.want)
			}
		})
	}
}

func TestValidChallenge(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, challenge string
		want            bool
	}{
		{name: "that of the RFC", challenge: rfcChallenge, want: true},
		{name: "none", challenge: ""},
		{name: "one character less", challenge: rfcChallenge[:42]},
		{name: "one character more", challenge: rfcChallenge + "A"},
		{name: "padding", challenge: rfcChallenge + "="},
		{name: "padding in its length", challenge: rfcChallenge[:42] + "="},
		{name: "a line break in its length", challenge: rfcChallenge[:42] + "\n"},
		{name: "a line break after it", challenge: rfcChallenge + "\n"},
		{name: "plain base64", challenge: "+" + rfcChallenge[1:]},
		{name: "bits that no SHA-256 leaves behind", challenge: rfcChallenge[:42] + "N"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := oauth.ValidChallenge(tt.challenge); got != tt.want {
				t.Errorf("got %t, want %t", got, tt.want)
			}
		})
	}
}
