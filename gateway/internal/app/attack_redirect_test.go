package app_test

import (
	"encoding/json"
	"html"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"

	"mcp-gateway/shared/oauth"
)

// spelling is a line of testdata/redirects.txt.
type spelling struct {
	fate, uri string
}

func spellings(t *testing.T) []spelling {
	t.Helper()
	data, err := os.ReadFile("testdata/redirects.txt")
	if err != nil {
		t.Fatal(err)
	}
	var all []spelling
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		fate, quoted, _ := strings.Cut(line, " ")
		uri, err := strconv.Unquote(strings.TrimSpace(quoted))
		if err != nil || fate != "refused" && fate != "own" && fate != "loopback" {
			t.Fatalf("%s: %v", line, err)
		}
		all = append(all, spelling{fate: fate, uri: uri})
	}
	return all
}

// TestNoSpellingOpensARedirect sends each spelling where a redirect URI can
// stand: it is refused on a page, or followed to exactly that string.
func TestNoSpellingOpensARedirect(t *testing.T) {
	t.Parallel()
	g := start(t, wideRates)
	known := g.register(`{"redirect_uris":["https://good.example/cb","http://127.0.0.1/cb","http://localhost/cb"]}`).ClientID
	all := spellings(t)
	if len(all) < 60 {
		t.Fatalf("only %d spellings", len(all))
	}
	for _, s := range all {
		t.Run(s.fate+" "+s.uri, func(t *testing.T) {
			t.Parallel()
			g := g.in(t)
			document, err := json.Marshal(map[string]any{"redirect_uris": []string{s.uri}})
			if err != nil {
				t.Fatal(err)
			}
			got := g.register(string(document))
			if s.fate == "refused" {
				if got.status != http.StatusBadRequest || got.Error != oauth.CodeInvalidRedirectURI {
					t.Errorf("registration: %d %s, want 400 invalid_redirect_uri", got.status, got.body)
				}
			} else if got.status != http.StatusCreated {
				t.Errorf("registration: %d %s, want 201", got.status, got.body)
			} else {
				g.goesTo(got.ClientID, s.uri)
				readAlike(t, s.uri)
			}
			if s.fate == "loopback" {
				g.goesTo(known, s.uri)
			} else {
				g.goesNowhere(known, s.uri)
			}
		})
	}
}

// asksToBeAnswered makes a request that is refused as soon as the client and
// its redirect URI are known, so that the answer shows where it would go.
func (g *gateway) asksToBeAnswered(clientID, uri string) document {
	g.t.Helper()
	page, _ := newBrowser(g.t).get(g.authorizeURL(newAuthorization(clientID), func(q url.Values) {
		q.Set("redirect_uri", uri)
		q.Set("response_type", "token")
	}))
	return page
}

func (g *gateway) goesTo(clientID, uri string) {
	g.t.Helper()
	page := g.asksToBeAnswered(clientID, uri)
	answer, ok := strings.CutPrefix(page.header.Get("Location"), uri)
	if page.status != http.StatusFound || !ok {
		g.t.Fatalf("status %d to %q, want a redirect to %q", page.status, page.header.Get("Location"), uri)
	}
	wantSeparator := "?"
	if strings.Contains(uri, "?") {
		wantSeparator = "&"
	}
	if !strings.HasPrefix(answer, wantSeparator+"error=unsupported_response_type&") {
		g.t.Errorf("what follows the URI is %q", answer)
	}
}

// goesNowhere checks that the person sees a page that does not lead there.
func (g *gateway) goesNowhere(clientID, uri string) {
	g.t.Helper()
	page := g.asksToBeAnswered(clientID, uri)
	if page.status != http.StatusBadRequest || page.header.Get("Location") != "" || page.header.Get("Refresh") != "" {
		g.t.Errorf("status %d to %q, want a page", page.status, page.header.Get("Location"))
	}
	for _, attribute := range []string{"href=", "action=", "http-equiv="} {
		if strings.Contains(page.body, attribute) {
			g.t.Errorf("the page leads somewhere (%s):\n%s", attribute, page.body)
		}
	}
	if uri != "" && strings.Contains(html.UnescapeString(page.body), uri) {
		g.t.Errorf("the page echoes %q:\n%s", uri, page.body)
	}
}

// readAlike checks that a browser goes to the host that net/url sees.
func readAlike(t *testing.T, raw string) {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatalf("net/url does not read %q: %v", raw, err)
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return
	}
	if got := browserHost(raw); got != strings.ToLower(u.Hostname()) {
		t.Errorf("%q leads a browser to %q and net/url to %q", raw, got, u.Hostname())
	}
}

// browserHost reads the host of an http or https URL in the steps of the URL
// standard that differ from RFC 3986.
func browserHost(raw string) string {
	raw = strings.TrimFunc(raw, func(r rune) bool { return r <= ' ' })
	raw = strings.NewReplacer("\t", "", "\n", "", "\r", "", `\`, "/").Replace(raw)
	_, rest, _ := strings.Cut(raw, ":")
	rest = strings.TrimLeft(rest, "/") // any number of slashes will do
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		rest = rest[:end]
	}
	rest = rest[strings.LastIndexByte(rest, '@')+1:]
	if inner, ok := strings.CutPrefix(rest, "["); ok {
		inner, _, _ = strings.Cut(inner, "]")
		return inner
	}
	host, _, _ := strings.Cut(rest, ":")
	if decoded, err := url.PathUnescape(host); err == nil {
		host = decoded
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if addr, ok := browserIPv4(host); ok {
		return addr
	}
	return host
}

// browserIPv4 reads what the URL standard takes for an IPv4 address: up to
// four parts, each decimal, octal or hexadecimal, the last filling the rest.
func browserIPv4(host string) (string, bool) {
	parts := strings.Split(host, ".")
	if len(parts) > 4 {
		return "", false
	}
	var value uint64
	for i, part := range parts {
		n, err := strconv.ParseUint(part, 0, 32)
		if err != nil {
			return "", false
		}
		if i == len(parts)-1 {
			value += n
		} else {
			value += n << (8 * (3 - i))
		}
	}
	return netip.AddrFrom4([4]byte{byte(value >> 24), byte(value >> 16), byte(value >> 8), byte(value)}).String(), true
}

// TestTheBrowsersReadingIsTheURLStandards guards the yardstick itself.
func TestTheBrowsersReadingIsTheURLStandards(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		`https://evil.example\@good.example/cb`:     "evil.example",
		"https:\\\\good.example\\cb":                "good.example",
		"https:///good.example/cb":                  "good.example",
		"https:good.example":                        "good.example",
		"https://go\tod.example/cb":                 "good.example",
		"https://good.example:443@evil.example/cb":  "evil.example",
		"https://good.example#@evil.example/":       "good.example",
		"https://g%6Fod.example/":                   "good.example",
		"http://0x7f.1/cb":                          "127.0.0.1",
		"http://2130706433/cb":                      "127.0.0.1",
		"http://0177.0.0.01/cb":                     "127.0.0.1",
		"http://127.0.0.1.evil/cb":                  "127.0.0.1.evil",
		"http://[::1]:80/cb":                        "::1",
		" https://GOOD.example./cb":                 "good.example",
		"https://good.example?@evil.example":        "good.example",
		"https://user:pa@ss@evil.example:1/x@y?z#@": "evil.example",
	} {
		if got := browserHost(raw); got != want {
			t.Errorf("%q: got %q, want %q", raw, got, want)
		}
	}
}
