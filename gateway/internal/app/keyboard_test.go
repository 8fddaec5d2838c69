package app_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"mcp-gateway/shared/entrasim"
	"mcp-gateway/shared/oauth"
)

// stop is where the keyboard is: the first line of what has the focus, and what
// keeps a person from seeing that.
type stop struct {
	Name  string
	Wrong []string
}

// tab moves the keyboard on, and looks at the place in the light and in the dark.
func (s *stage) tab(w *window, held ...chromedp.Modifier) string {
	s.t.Helper()
	w.press(kb.Tab, held...)
	var at stop
	for _, scheme := range []string{"light", "dark"} {
		w.scheme(scheme)
		at = within(w, chromedp.Evaluate[stop](s.look+".focus()"))
		for _, wrong := range at.Wrong {
			s.t.Errorf("%s: the keyboard is on %q, which has %s", scheme, at.Name, wrong)
		}
	}
	return at.Name
}

// walk goes once round a page and back, and wants to come by these places in
// their order.
func (s *stage) walk(w *window, want ...string) {
	s.t.Helper()
	for _, name := range want {
		if got := s.tab(w); got != name {
			s.t.Fatalf("the keyboard is on %q, want %q", got, name)
		}
	}
	// Out of the last, to nothing or round to the first, and back again.
	if got := s.tab(w); got != "" && got != want[0] {
		s.t.Fatalf("after the last place comes %q", got)
	}
	for _, name := range slices.Backward(want) {
		if got := s.tab(w, chromedp.ModifierShift); got != name {
			s.t.Fatalf("going back, the keyboard is on %q, want %q", got, name)
		}
	}
}

// TestADeviceWithTheKeyboardAlone types the code that the device shows.
func TestADeviceWithTheKeyboardAlone(t *testing.T) {
	t.Parallel()
	s := newStage(t, "127.0.0.1:0")
	w := newWindow(t, s.chromium)
	w.size(375, 720)
	d := s.device()
	w.open(d.VerificationURI)
	w.see("Sign in a device")
	s.tab(w) // the field, which has no text of its own
	w.press(strings.ToLower(d.UserCode))
	if got := s.tab(w); got != "Continue" {
		t.Fatalf("after the field the keyboard is on %q", got)
	}
	w.press(kb.Enter)
	w.see("asks to use your tools")
	s.walk(w, "Yes, allow and sign in with Microsoft", "Deny")
	w.press(kb.Enter)
	w.see("Who are you today?")
	s.tab(w)
	w.press(kb.Enter)
	w.see("Your device is signed in")
	if got := d.poll(); got.status != http.StatusOK {
		t.Errorf("the device gets %d %s", got.status, got.body)
	}
	w.check(s.known()...)
}

// TestASignInWithTheKeyboardAlone: from the client's address to its tokens, to its
// refusal, and through both ways of failing. The keyboard starts outside the page:
// nothing is allowed by a key that was meant for something else.
func TestASignInWithTheKeyboardAlone(t *testing.T) {
	t.Parallel()
	s := newStage(t, "127.0.0.1:0")
	consent := []string{"Allow and sign in with Microsoft", "Deny"}
	people := []string{"Ada Admin", "Max Member", "Nora Norole", "Olga Overage", "Gus Guest", "Ada Admin", "Cancel"}
	for _, tt := range []struct {
		name string
		walk func(s *stage, w *window)
		want url.Values
	}{
		{name: "allowed with Enter", walk: func(s *stage, w *window) {
			s.walk(w, consent...)
			w.press(kb.Enter)
			w.see("Who are you today?")
			s.walk(w, people...)
			w.press(kb.Enter)
		}},
		{name: "allowed with the space bar", walk: func(s *stage, w *window) {
			s.tab(w)
			w.press(" ")
			w.see("Who are you today?")
			s.tab(w)
			s.tab(w)
			w.press(" ")
		}},
		{name: "denied", want: url.Values{"error": {oauth.CodeAccessDenied}}, walk: func(s *stage, w *window) {
			s.tab(w)
			s.tab(w)
			w.press(kb.Enter)
		}},
		{name: "cancelled at Microsoft", want: url.Values{"error": {oauth.CodeAccessDenied}}, walk: func(s *stage, w *window) {
			s.tab(w)
			w.press(kb.Enter)
			w.see("Who are you today?")
			for s.tab(w) != "Cancel" {
			}
			w.press(kb.Enter)
			w.see("You are not signed in")
			s.walk(w, "Return to “Test client”")
			w.press(kb.Enter)
		}},
		{name: "refused by Microsoft", want: url.Values{"error": {oauth.CodeServerError}}, walk: func(s *stage, w *window) {
			s.sim.FailToken(entrasim.Outcome{AADSTS: 7000215})
			s.tab(w)
			w.press(kb.Enter)
			w.see("Who are you today?")
			s.tab(w)
			w.press(kb.Enter)
			w.see("not set up correctly")
			s.tab(w)
			w.press(kb.Enter)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := s.at(t)
			w := newWindow(t, s.chromium)
			w.size(375, 720)
			a := s.ask(w, s.stranger("Test client", s.redirect), s.redirect, nil)
			w.see("asks to use your tools")
			if at := within(w, chromedp.Evaluate[stop](s.look+".focus()")); at.Name != "" {
				t.Errorf("the keyboard begins on %q", at.Name)
			}
			tt.walk(s, w)
			w.see("Back at the client")
			answer := <-s.answers
			if answer.Get("error") != tt.want.Get("error") || answer.Get("state") != a.state {
				t.Fatalf("the client was told %v", answer)
			}
			if tt.want == nil {
				if got := s.redeem(a, answer.Get("code"), func(q url.Values) { q.Set("redirect_uri", s.redirect) }); got.status != http.StatusOK {
					t.Errorf("redeem: %+v", got)
				}
			}
			w.check(s.known()...)
		})
	}
}
