package token

import (
	"crypto/rand"
	"strings"
)

// The letters of a user code are those of RFC 8628 §6.1: no vowels, so that they
// make no words, and one case. Eight of them are 34.5 bits, which is enough for
// minutes and with a limit on guesses (§5.1).
const (
	userCodeLetters = "BCDFGHJKLMNPQRSTVWXZ"
	userCodeLength  = 8
	// maxTyped bounds what people may type around the letters, in bytes.
	maxTyped = 64
)

// NewUserCode returns a code for people to type, as it is shown: XXXX-XXXX.
func NewUserCode() string {
	code := make([]byte, 0, userCodeLength)
	// Bytes beyond the last whole run of letters would favour the first ones.
	const fair = 256 - 256%len(userCodeLetters)
	for b := make([]byte, 1); len(code) < userCodeLength; {
		_, _ = rand.Read(b) // never fails since Go 1.24
		if int(b[0]) < fair {
			code = append(code, userCodeLetters[int(b[0])%len(userCodeLetters)])
		}
	}
	return showUserCode(string(code))
}

// ParseUserCode reads what a person typed, in whatever case and with whatever
// between the letters (RFC 8628 §6.1), and returns the code as NewUserCode does;
// false if it cannot be one.
func ParseUserCode(typed string) (string, bool) {
	if len(typed) > maxTyped {
		return "", false
	}
	code := strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z':
			return r - 'a' + 'A'
		case 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
			return r
		}
		return -1
	}, typed)
	if len(code) != userCodeLength || strings.Trim(code, userCodeLetters) != "" {
		return "", false
	}
	return showUserCode(code), true
}

func showUserCode(letters string) string {
	return letters[:userCodeLength/2] + "-" + letters[userCodeLength/2:]
}
