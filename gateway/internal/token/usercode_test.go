package token_test

import (
	"regexp"
	"strings"
	"testing"

	"mcp-gateway/gateway/internal/token"
)

var userCode = regexp.MustCompile(`^[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}$`)

// TestUserCodesAreRandom: every letter comes at every place, about as often as
// the others.
func TestUserCodesAreRandom(t *testing.T) {
	t.Parallel()
	const codes = 4000
	seen, letters := make(map[string]bool), make(map[string]int)
	for range codes {
		code := token.NewUserCode()
		if !userCode.MatchString(code) || seen[code] {
			t.Fatalf("%q is no code, or came before", code)
		}
		seen[code] = true
		for i, r := range strings.Replace(code, "-", "", 1) {
			letters[string(r)+string(rune('0'+i))]++
		}
	}
	if len(letters) != 20*8 {
		t.Errorf("%d combinations of letter and place, want %d", len(letters), 20*8)
	}
	for at, n := range letters {
		// 200 are expected, with a deviation of 14.
		if n < 100 || n > 300 {
			t.Errorf("%s came %d times", at, n)
		}
	}
}

func TestParseUserCode(t *testing.T) {
	t.Parallel()
	for typed, want := range map[string]string{
		"WDJB-MJHT": "WDJB-MJHT", "wdjbmjht": "WDJB-MJHT", " wdjb – mjht\t": "WDJB-MJHT", "W.D.J.B.M.J.H.T": "WDJB-MJHT", "«WDJB_MJHT»": "WDJB-MJHT",
	} {
		if got, ok := token.ParseUserCode(typed); !ok || got != want {
			t.Errorf("%q: %q, %v", typed, got, ok)
		}
	}
	for name, typed := range map[string]string{
		"nothing": "", "seven letters": "WDJB-MJH", "nine letters": "WDJB-MJHTT", "a vowel": "WDJB-MJHA", "a digit": "WDJB-MJH0", "a digit too many": "WDJB-MJHT1",
		"a letter that only looks so": "WDJB-MJH\u0422", "full-width letters": "\uff37\uff24\uff2a\uff22\uff2d\uff2a\uff28\uff34",
		"eight dashes": "--------", "eight letters in much else": "WDJBMJHT" + strings.Repeat("-", 100),
	} {
		if got, ok := token.ParseUserCode(typed); ok || got != "" {
			t.Errorf("%s: %q is taken for %q", name, typed, got)
		}
	}
}

func FuzzParseUserCode(f *testing.F) {
	for _, typed := range []string{"WDJB-MJHT", "wdjb mjht", "", "\xff", "K\u212aBCDFGHJ"} {
		f.Add(typed)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		code, ok := token.ParseUserCode(typed)
		if !ok {
			if code != "" {
				t.Errorf("%q is refused, and gives %q", typed, code)
			}
			return
		}
		if again, ok := token.ParseUserCode(code); !userCode.MatchString(code) || !ok || again != code {
			t.Errorf("%q gives %q, which gives %q", typed, code, again)
		}
	})
}
