package page_test

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"mcp-gateway/gateway/internal/page"
)

const nasty = `"><script>alert(1)</script>`

// elements returns every element of a document by tag.
func elements(t *testing.T, body string) map[string][]*html.Node {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][]*html.Node{}
	for n := range doc.Descendants() {
		if n.Type == html.ElementNode {
			found[n.Data] = append(found[n.Data], n)
		}
	}
	return found
}

func attr(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

func TestConsentShowsWhoAsksAndEscapesIt(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	page.WriteConsent(w, page.Consent{
		Gateway: "gw.example", Client: nasty, RedirectHost: "evil.example", Scopes: []string{"do things"},
		Action: "/consent", Form: "sealed" + nasty, FormAction: []string{"https://login.example", "https://evil.example"},
	})
	found := elements(t, w.Body.String())
	if len(found["script"]) != 0 {
		t.Error("a client name became a script")
	}
	if !strings.Contains(w.Body.String(), "evil.example") {
		t.Error("the page does not show where the answer goes")
	}
	for _, input := range found["input"] {
		if attr(input, "name") == "form" && attr(input, "value") != "sealed"+nasty {
			t.Errorf("form = %q", attr(input, "value"))
		}
	}
	if len(found["button"]) != 2 {
		t.Errorf("%d buttons, want allow and deny", len(found["button"]))
	}
}

func TestEveryPageCarriesTheSecurityHeaders(t *testing.T) {
	t.Parallel()
	for name, write := range map[string]func(http.ResponseWriter){
		"consent": func(w http.ResponseWriter) {
			page.WriteConsent(w, page.Consent{FormAction: []string{"https://login.example"}})
		},
		"failure": func(w http.ResponseWriter) {
			page.WriteFailure(w, page.Failure{Status: 400, Return: "https://c.example/cb?error=x"})
		},
		"device": func(w http.ResponseWriter) { page.WriteDevice(w, page.Device{Status: 200, Action: "/device"}) },
		"done":   func(w http.ResponseWriter) { page.WriteDone(w, page.Done{Title: "t", Summary: "s"}) },
		"front":  func(w http.ResponseWriter) { page.WriteFront(w, page.Front{MCP: "https://gw.example/mcp"}) },
	} {
		w := httptest.NewRecorder()
		write(w)
		for header, want := range map[string]string{
			"X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
			"Cache-Control": "no-store", "Content-Type": "text/html; charset=utf-8",
		} {
			if got := w.Header().Get(header); got != want {
				t.Errorf("%s: %s = %q, want %q", name, header, got, want)
			}
		}
		csp := w.Header().Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"} {
			if !strings.Contains(csp, want) {
				t.Errorf("%s: the policy lacks %q: %s", name, want, csp)
			}
		}
		if strings.Contains(csp, "unsafe") {
			t.Errorf("%s: unsafe policy %s", name, csp)
		}
		styles := elements(t, w.Body.String())["style"]
		if len(styles) != 1 {
			t.Fatalf("%s: %d style elements", name, len(styles))
		}
		sum := sha256.Sum256([]byte(styles[0].FirstChild.Data))
		if !strings.Contains(csp, base64.StdEncoding.EncodeToString(sum[:])) {
			t.Errorf("%s: the policy does not allow the page's own style sheet", name)
		}
	}
}

// A frame needs leave in the policy, and X-Frame-Options would take it back.
func TestABlankPageIsForOneFrame(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	page.WriteBlank(w, "https://login.example")
	for header, want := range map[string]string{
		"X-Frame-Options": "", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
		"Content-Type": "text/html; charset=utf-8", "Content-Length": "0",
		"Content-Security-Policy": "default-src 'none'; form-action 'none'; frame-ancestors https://login.example; base-uri 'none'",
	} {
		if got := w.Header().Get(header); got != want {
			t.Errorf("%s = %q, want %q", header, got, want)
		}
	}
	if w.Code != http.StatusOK || w.Body.Len() != 0 {
		t.Errorf("status %d, %d bytes", w.Code, w.Body.Len())
	}
}

func TestFailureReturnsToTheClient(t *testing.T) {
	t.Parallel()
	for _, url := range []string{
		"https://c.example/cb?error=access_denied&state=" + "%22%3E", "http://127.0.0.1:4711/cb?a=1&error=x", "cursor://anysphere/cb?error=x",
	} {
		w := httptest.NewRecorder()
		page.WriteFailure(w, page.Failure{Status: http.StatusForbidden, Title: nasty, Summary: "s", Return: url, Client: nasty})
		if w.Code != http.StatusForbidden {
			t.Errorf("status = %d", w.Code)
		}
		found := elements(t, w.Body.String())
		if len(found["script"]) != 0 {
			t.Error("text became a script")
		}
		if len(found["a"]) != 1 || attr(found["a"][0], "href") != url {
			t.Errorf("the button does not lead to %s: %s", url, w.Body)
		}
		var refresh string
		for _, m := range found["meta"] {
			if attr(m, "http-equiv") == "refresh" {
				refresh = attr(m, "content")
			}
		}
		if refresh != "30;url="+url || !strings.Contains(w.Body.String(), "by itself after 30 seconds") {
			t.Errorf("refresh = %q, want 30 seconds and %s, and a word of it: %s", refresh, url, w.Body)
		}
	}
}

// TestThePageForCodes: what is typed stays in its field, and the form goes to the
// gateway and nowhere else.
func TestThePageForCodes(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	page.WriteDevice(w, page.Device{Status: http.StatusTooManyRequests, Gateway: "gw.example", Code: nasty, Problem: nasty, Action: "/device"})
	found := elements(t, w.Body.String())
	if w.Code != http.StatusTooManyRequests || len(found["script"]) != 0 || len(found["input"]) != 1 || attr(found["input"][0], "value") != nasty {
		t.Errorf("status %d:\n%s", w.Code, w.Body)
	}
	if !strings.Contains(w.Header().Get("Content-Security-Policy"), "form-action 'self';") {
		t.Errorf("the policy is %s", w.Header().Get("Content-Security-Policy"))
	}
	if described := strings.Fields(attr(found["input"][0], "aria-describedby")); len(described) != 2 {
		t.Errorf("the field is described by %q, want the problem and the advice", described)
	}
	for _, p := range found["label"] {
		if attr(p, "for") != attr(found["input"][0], "id") {
			t.Error("the label is of another field")
		}
	}
}

func TestFailureWithoutAClientEndsThere(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	page.WriteFailure(w, page.Failure{Status: http.StatusBadRequest, Title: "t", Summary: "s"})
	if found := elements(t, w.Body.String()); len(found["a"]) != 0 || strings.Contains(w.Body.String(), "refresh") {
		t.Errorf("a page with nowhere to go leads somewhere: %s", w.Body)
	}
}

// TestConsentSaysWhatIsKnown: the MCP rules want the client's name, what it gets
// and its redirect URI; the rest is for people to tell a friend from a stranger.
func TestConsentSaysWhatIsKnown(t *testing.T) {
	t.Parallel()
	const unchecked, checked, here = "nobody has checked it", "An administrator of this gateway has registered the program", "a program on this computer"
	for _, tt := range []struct {
		name      string
		consent   page.Consent
		has, lack []string
	}{
		{
			name:    "a stranger on the web",
			consent: page.Consent{Client: "Claude", RedirectHost: "claude.ai", RedirectURI: "https://claude.ai/cb?a=1&b=2", Scopes: []string{"do things"}},
			has:     []string{"<bdi>“Claude”</bdi> asks", unchecked, "<strong><code>claude.ai</code></strong>", "https://claude.ai/cb?a=1&amp;b=2", "It will be able to:", "<li>do things</li>", "and know that address"},
			lack:    []string{checked, here, "already allowed", "described at"},
		},
		{
			name:    "a stranger on this computer",
			consent: page.Consent{RedirectHost: "127.0.0.1:4711", RedirectURI: "http://127.0.0.1:4711/callback", Local: true},
			has:     []string{"A program asks", here, unchecked, "http://127.0.0.1:4711/callback"},
			lack:    []string{checked, "and know that address"},
		},
		{
			name:    "one that an administrator registered",
			consent: page.Consent{Client: "Build", Known: true, RedirectHost: "build.example", RedirectURI: "https://build.example/cb"},
			has:     []string{checked}, lack: []string{unchecked},
		},
		{
			name:    "one that a document describes",
			consent: page.Consent{Client: "C", ClientHost: "app.example", RedirectHost: "localhost", RedirectURI: "http://localhost/cb", Local: true},
			has:     []string{"described at <strong><code>app.example</code></strong>", unchecked},
		},
		{
			name:    "one that asks for more",
			consent: page.Consent{Client: "C", RedirectHost: "a.example", Scopes: []string{"change contacts"}, Granted: []string{"list the tools"}},
			has:     []string{"You have already allowed it to:", "<li>list the tools</li>", "It will also be able to:", "<li>change contacts</li>"},
			lack:    []string{"It will be able to:"},
		},
		{
			name: "one on another device",
			consent: page.Consent{Client: "C", Scopes: []string{"do things"}, Device: &page.ConsentDevice{
				Code: "BCDF-GHJK", Address: "192.0.2.7", Asked: "2 minutes ago"}},
			has:  []string{"<code>BCDF-GHJK</code>", "asked 2 minutes ago, from the address <code>192.0.2.7</code>; this browser's is another", "Did you start this yourself", unchecked, "Yes, allow"},
			lack: []string{here, "The answer goes to", "Its whole address", "which is this browser"},
		},
		{
			name:    "one on a device at this browser's address, that an administrator registered",
			consent: page.Consent{Client: "C", Known: true, Device: &page.ConsentDevice{Code: nasty, Address: nasty, Here: true, Asked: nasty}},
			has:     []string{"which is this browser's too", checked}, lack: []string{"is another", unchecked, nasty},
		},
		{
			name:    "one that asks again for what it has",
			consent: page.Consent{Client: "C", RedirectHost: "a.example", Granted: []string{"list the tools"}},
			has:     []string{"You have already allowed it to:"}, lack: []string{"be able to:"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := httptest.NewRecorder()
			page.WriteConsent(w, tt.consent)
			body := w.Body.String()
			for _, want := range tt.has {
				if !strings.Contains(body, want) {
					t.Errorf("it lacks %q", want)
				}
			}
			for _, unwanted := range tt.lack {
				if strings.Contains(body, unwanted) {
					t.Errorf("it has %q", unwanted)
				}
			}
			if t.Failed() {
				t.Log(body)
			}
		})
	}
}
