package oauth_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"mcp-gateway/shared/oauth"
)

func TestCheckRedirectURIAccepts(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, uri string }{
		{name: "https", uri: "https://claude.ai/api/mcp/auth_callback"},
		{name: "https without a path", uri: "https://example.com"},
		{name: "https with a port", uri: "https://example.com:8443/cb"},
		{name: "https with a query", uri: "https://example.com/cb?a=b&c=%20d"},
		{name: "https with a query alone", uri: "https://example.com?a=b"},
		{name: "https with an upper-case host", uri: "https://Example.com/cb"},
		{name: "https with an IPv4 address", uri: "https://192.0.2.1/cb"},
		{name: "https with an IPv6 address", uri: "https://[2001:db8::1]:8443/cb"},
		{name: "https with an underscore in the host", uri: "https://my_host.internal/cb"},
		{name: "https with an internationalized host in ASCII", uri: "https://xn--bcher-kva.example/cb"},
		{name: "an encoded slash in a segment", uri: "https://example.com/a%2Fb"},
		{name: "dots that are not a whole segment", uri: "https://example.com/a..b/.c/d./..."},
		{name: "loopback without a port, as Claude Code's document has it", uri: "http://localhost/callback"},
		{name: "loopback by name", uri: "http://localhost:3000/callback"},
		{name: "loopback by IPv4", uri: "http://127.0.0.1:33418/"},
		{name: "loopback by IPv6", uri: "http://[::1]:1455/auth/callback"},
		{name: "loopback with a query", uri: "http://127.0.0.1/cb?x=1"},
		{name: "Cursor", uri: "cursor://anysphere.cursor-mcp/oauth/callback"},
		{name: "VS Code", uri: "vscode://vscode.github-authentication/did-authenticate"},
		{name: "a reverse domain name with one slash", uri: "com.example.app:/oauth2redirect/example-provider"},
		{name: "a private-use scheme without a host", uri: "com.example.app:///cb"},
		{name: "a private-use scheme without a path", uri: "myapp://callback"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if err := oauth.CheckRedirectURI(tt.uri); err != nil {
				t.Errorf("%q is refused: it %v", tt.uri, err)
			}
			if !oauth.MatchRedirect([]string{"https://other.example/", tt.uri}, tt.uri) {
				t.Errorf("%q does not match itself", tt.uri)
			}
			if got, want := oauth.IsLoopbackRedirect(tt.uri), strings.HasPrefix(tt.uri, "http:"); got != want {
				t.Errorf("IsLoopbackRedirect = %t, want %t", got, want)
			}
		})
	}
}

func TestCheckRedirectURIRejects(t *testing.T) {
	t.Parallel()
	const (
		chars  = "has a character that a URI cannot have (RFC 3986): percent-encode it"
		dots   = "must not have . or .. as a path segment"
		denied = "has a scheme that no program can be answered at"
		host   = "has a malformed host or port"
		remote = "must be https, unless its host is localhost, 127.0.0.1 or [::1]"
		scheme = "must be an absolute URI with a lower-case scheme"
		slash  = "must have a slash after its scheme"
		user   = "must not have user information"
	)
	for _, tt := range []struct{ name, uri, reason string }{
		{name: "nothing", uri: "", reason: "is empty"},
		{name: "a path", uri: "/callback", reason: scheme},
		{name: "a network path", uri: "//example.com/cb", reason: scheme},
		{name: "a bare host", uri: "example.com/cb", reason: scheme},
		{name: "a port and no scheme", uri: "127.0.0.1:8080/cb", reason: scheme},
		{name: "a scheme of nothing", uri: "://example.com/", reason: scheme},
		{name: "a Windows path", uri: "c:/cb", reason: scheme},
		{name: "a scheme that begins with a digit", uri: "1app:/cb", reason: scheme},
		{name: "a scheme with an underscore", uri: "my_app:/cb", reason: scheme},
		{name: "an upper-case scheme", uri: "HTTPS://example.com/", reason: scheme},

		{name: "a fragment", uri: "https://example.com/cb#frag", reason: "must not have a fragment"},
		{name: "an empty fragment", uri: "https://example.com/cb#", reason: "must not have a fragment"},
		{name: "a user", uri: "https://user@example.com/cb", reason: user},
		{name: "a trusted name as the user", uri: "https://claude.ai:443@evil.example/cb", reason: user},
		{name: "a loopback name as the user", uri: "http://localhost:80@evil.example/cb", reason: user},
		{name: "an empty user", uri: "https://@example.com/cb", reason: user},

		{name: "a backslash", uri: `https://evil.example\@example.com/cb`, reason: chars},
		{name: "a backslash for a slash", uri: `https:\\example.com\cb`, reason: chars},
		{name: "a space", uri: "https://example.com/a b", reason: chars},
		{name: "a space before it", uri: " https://example.com/cb", reason: chars},
		{name: "a tab within the scheme", uri: "java\tscript:/x", reason: chars},
		{name: "a line break", uri: "https://example.com/cb\r\nX: y", reason: chars},
		{name: "a null byte", uri: "https://example.com\x00.evil.example/", reason: chars},
		{name: "a delete character", uri: "https://example.com/\x7f", reason: chars},
		{name: "a letter beyond ASCII in the host", uri: "https://exаmple.com/cb", reason: chars},
		{name: "a letter beyond ASCII in the path", uri: "https://example.com/ü", reason: chars},
		{name: "bytes that are not UTF-8", uri: "https://example.com/\xff", reason: chars},
		{name: "a quote", uri: `https://example.com/"><script>`, reason: chars},
		{name: "a brace", uri: "https://example.com/{tenant}", reason: chars},
		{name: "half an escape", uri: "https://example.com/%2", reason: "has a percent sign that is not followed by two hex digits"},
		{name: "an escape that is none", uri: "https://example.com/%zz", reason: "has a percent sign that is not followed by two hex digits"},

		{name: "dot segments", uri: "https://example.com/a/../b", reason: dots},
		{name: "a dot segment at the end", uri: "https://example.com/a/..", reason: dots},
		{name: "a single dot", uri: "https://example.com/./a", reason: dots},
		{name: "encoded dots", uri: "https://example.com/a/%2e%2E/b", reason: dots},
		{name: "a half encoded dot segment", uri: "https://example.com/a/.%2e/b", reason: dots},
		{name: "dot segments before a query", uri: "https://example.com/..?a=b", reason: dots},
		{name: "dot segments under a private-use scheme", uri: "com.example.app:/a/../b", reason: dots},

		{name: "http to another machine", uri: "http://example.com/cb", reason: remote},
		{name: "http to an address", uri: "http://192.168.0.1/cb", reason: remote},
		{name: "http with no host", uri: "http:///cb", reason: remote},
		{name: "http with one slash", uri: "http:/localhost/cb", reason: remote},
		{name: "a host that begins like localhost", uri: "http://localhost.evil.example/cb", reason: remote},
		{name: "a host under localhost", uri: "http://app.localhost/cb", reason: remote},
		{name: "localhost with a dot", uri: "http://localhost./cb", reason: host},
		{name: "localhost in upper case", uri: "http://LOCALHOST/cb", reason: remote},
		{name: "another loopback address", uri: "http://127.0.0.2/cb", reason: remote},
		{name: "every address", uri: "http://0.0.0.0/cb", reason: remote},
		{name: "a short loopback address", uri: "http://127.1/cb", reason: host},
		{name: "a decimal loopback address", uri: "http://2130706433/cb", reason: host},
		{name: "an octal loopback address", uri: "http://0177.0.0.1/cb", reason: host},
		{name: "a mapped loopback address", uri: "http://[::ffff:127.0.0.1]/cb", reason: remote},
		{name: "a long loopback address", uri: "http://[0:0:0:0:0:0:0:1]/cb", reason: remote},

		{name: "https with no host", uri: "https:///cb", reason: "has no host"},
		{name: "https with one slash", uri: "https:/example.com/cb", reason: "has no host"},
		{name: "a port of nothing", uri: "https://example.com:/cb", reason: host},
		{name: "a port of letters", uri: "https://example.com:http/cb", reason: host},
		{name: "a port of zero", uri: "https://example.com:0/cb", reason: host},
		{name: "a port that is too large", uri: "https://example.com:65536/cb", reason: host},
		{name: "a port with a leading zero", uri: "https://example.com:0443/cb", reason: host},
		{name: "a port with a sign", uri: "https://example.com:+443/cb", reason: host},
		{name: "two ports", uri: "https://example.com:1:2/cb", reason: host},
		{name: "a port without a host", uri: "https://:443/cb", reason: host},
		{name: "an encoded host", uri: "https://ex%61mple.com/cb", reason: host},
		{name: "an empty label", uri: "https://example..com/cb", reason: host},
		{name: "a wildcard", uri: "https://*.example.com/cb", reason: host},
		{name: "a semicolon that would end a content policy", uri: "https://example.com;script-src/cb", reason: host},
		{name: "a hexadecimal address", uri: "https://0x7f.0.0.0x1/cb", reason: host},
		{name: "a label that is too long", uri: "https://" + strings.Repeat("a", 64) + ".example/", reason: host},
		{name: "a host that is too long", uri: "https://" + strings.Repeat("a.", 127) + "aa/", reason: host},
		{name: "an IPv6 address without an end", uri: "https://[::1/cb", reason: host},
		{name: "an IPv6 address with a tail", uri: "https://[::1]x/cb", reason: host},
		{name: "an IPv6 address with a zone", uri: "https://[fe80::1%25eth0]/cb", reason: host},
		{name: "IPv4 in brackets", uri: "https://[127.0.0.1]/cb", reason: host},

		{name: "a scheme with nothing after it", uri: "myapp:", reason: slash},
		{name: "a scheme without a slash", uri: "com.example.app:callback", reason: slash},
		{name: "the out-of-band URN", uri: "urn:ietf:wg:oauth:2.0:oob", reason: slash},
		{name: "javascript", uri: "javascript:alert(1)", reason: denied},
		{name: "javascript with a host", uri: "javascript://example.com/%0aalert(1)", reason: denied},
		{name: "data", uri: "data:text/html,x", reason: denied},
		{name: "file", uri: "file:///etc/passwd", reason: denied},
		{name: "vbscript", uri: "vbscript:/x", reason: denied},
		{name: "about", uri: "about:blank", reason: denied},
		{name: "blob", uri: "blob:https://example.com/x", reason: denied},
		{name: "filesystem", uri: "filesystem:https://example.com/x", reason: denied},
		{name: "view-source", uri: "view-source:https://example.com/", reason: denied},
		{name: "ftp", uri: "ftp://example.com/cb", reason: denied},
		{name: "ws", uri: "ws://example.com/cb", reason: denied},
		{name: "wss", uri: "wss://example.com/cb", reason: denied},
		{name: "intent", uri: "intent://example.com/#Intent", reason: "must not have a fragment"},
		{name: "intent without a fragment", uri: "intent://example.com/", reason: denied},
		{name: "a scheme of Windows", uri: "ms-msdt:/id", reason: denied},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := oauth.CheckRedirectURI(tt.uri)
			if err == nil {
				t.Fatalf("%q is accepted", tt.uri)
			}
			if err.Error() != tt.reason {
				t.Errorf("%q is refused because it %q, want %q", tt.uri, err, tt.reason)
			}
			// What may not be registered may not be used either, even if
			// an older rule let it in.
			if oauth.MatchRedirect([]string{tt.uri}, tt.uri) {
				t.Error("it still matches itself")
			}
			if oauth.IsLoopbackRedirect(tt.uri) {
				t.Error("it counts as loopback")
			}
		})
	}
}

func TestMatchRedirect(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name       string
		registered string
		requested  string
		want       bool
	}{
		{name: "loopback on another port", registered: "http://127.0.0.1:1000/cb", requested: "http://127.0.0.1:2000/cb", want: true},
		{name: "loopback registered without a port", registered: "http://localhost/callback", requested: "http://localhost:49152/callback", want: true},
		{name: "loopback requested without a port", registered: "http://[::1]:1000/cb", requested: "http://[::1]/cb", want: true},
		{name: "loopback with the same query", registered: "http://127.0.0.1/cb?a=b", requested: "http://127.0.0.1:9/cb?a=b", want: true},

		{name: "localhost is not 127.0.0.1", registered: "http://localhost/cb", requested: "http://127.0.0.1/cb"},
		{name: "127.0.0.1 is not ::1", registered: "http://127.0.0.1/cb", requested: "http://[::1]/cb"},
		{name: "loopback with another path", registered: "http://127.0.0.1/cb", requested: "http://127.0.0.1:9/cb2"},
		{name: "loopback with a longer path", registered: "http://127.0.0.1/cb", requested: "http://127.0.0.1:9/cb/"},
		{name: "loopback with another case of the path", registered: "http://127.0.0.1/cb", requested: "http://127.0.0.1:9/CB"},
		{name: "loopback with another spelling of the path", registered: "http://127.0.0.1/cb", requested: "http://127.0.0.1:9/%63b"},
		{name: "loopback with a query that was not registered", registered: "http://127.0.0.1/cb", requested: "http://127.0.0.1:9/cb?a=b"},
		{name: "loopback with an empty query", registered: "http://127.0.0.1/cb", requested: "http://127.0.0.1:9/cb?"},
		{name: "loopback with a fragment", registered: "http://127.0.0.1/cb", requested: "http://127.0.0.1:9/cb#x"},
		{name: "loopback with a user", registered: "http://127.0.0.1/cb", requested: "http://127.0.0.1:9@evil.example/cb"},
		{name: "loopback with a port that is none", registered: "http://127.0.0.1/cb", requested: "http://127.0.0.1:99999/cb"},
		{name: "loopback with https", registered: "http://localhost/cb", requested: "https://localhost/cb"},
		{name: "https to localhost on another port", registered: "https://localhost:1/cb", requested: "https://localhost:2/cb"},
		{name: "https on another port", registered: "https://example.com/cb", requested: "https://example.com:8443/cb"},
		{name: "https with its own port spelled out", registered: "https://example.com/cb", requested: "https://example.com:443/cb"},
		{name: "https with another case of the host", registered: "https://example.com/cb", requested: "https://EXAMPLE.com/cb"},
		{name: "https with a slash more", registered: "https://example.com", requested: "https://example.com/"},
		{name: "https under a registered path", registered: "https://example.com/cb", requested: "https://example.com/cb/x"},
		{name: "https with a query more", registered: "https://example.com/cb", requested: "https://example.com/cb?x=y"},
		{name: "a private-use scheme with another path", registered: "cursor://a/cb", requested: "cursor://a/cb2"},
		{name: "a private-use scheme with another port", registered: "cursor://a:1/cb", requested: "cursor://a:2/cb"},
		{name: "nothing", registered: "https://example.com/cb", requested: ""},
		{name: "nothing registered as nothing", registered: "", requested: ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := oauth.MatchRedirect([]string{tt.registered}, tt.requested); got != tt.want {
				t.Errorf("%q for %q: got %t, want %t", tt.requested, tt.registered, got, tt.want)
			}
		})
	}
	if oauth.MatchRedirect(nil, "https://example.com/cb") {
		t.Error("a client without redirect URIs matches")
	}
}

func FuzzRedirect(f *testing.F) {
	for _, seed := range [][2]string{
		{"https://example.com/cb", "https://example.com/cb"},
		{"http://127.0.0.1/cb?a=b", "http://127.0.0.1:1234/cb?a=b"},
		{"http://[::1]:80/", "http://[::1]:81/"},
		{"http://localhost/cb", "http://localhost:80@evil.example/cb"},
		{"com.example.app:/cb", "com.example.app:///cb"},
		{"cursor://a.b-c/d", `cursor:\\a.b-c\d`},
		{"https://a//b", "https:///a//b"},
		{"https://h?x=[1]", "https://h/%2e%2e/?"},
		{"javascript://x/%0aalert(1)", "https://[fe80::1%25en0]/"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, registered, requested string) {
		for _, raw := range []string{registered, requested} {
			if oauth.CheckRedirectURI(raw) == nil {
				checkAccepted(t, raw)
			}
		}
		if !oauth.MatchRedirect([]string{registered}, requested) || registered == requested {
			return
		}
		a, _ := url.Parse(registered)
		b, _ := url.Parse(requested)
		a.Host, b.Host = a.Hostname(), b.Hostname()
		if a.Scheme != "http" || a.String() != b.String() || !loopbackName(b.Host) {
			t.Errorf("%q matches %q", requested, registered)
		}
	})
}

// checkAccepted asserts what every reader of an accepted URI relies on.
func checkAccepted(t *testing.T, raw string) {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatalf("%q is accepted and does not parse: %v", raw, err)
	}
	if u.String() != raw {
		t.Errorf("%q is accepted and prints as %q", raw, u)
	}
	if u.User != nil || u.Opaque != "" || strings.ContainsAny(raw, "#\\ \t\r\n\"<>") {
		t.Errorf("%q is accepted", raw)
	}
	// A browser resolves dot segments; there must be none to resolve.
	if again, err := u.Parse(u.EscapedPath()); u.Path != "" && !strings.HasPrefix(u.Path, "//") && (err != nil || again.Path != u.Path) {
		t.Errorf("%q is accepted and its path resolves to %q", raw, again)
	}
	if u.Scheme == "http" && !loopbackName(u.Hostname()) || u.Scheme == "https" && u.Host == "" {
		t.Errorf("%q is accepted with host %q", raw, u.Host)
	}
	if slices.Contains([]string{"javascript", "data", "file", "vbscript", "blob", "about"}, u.Scheme) {
		t.Errorf("%q is accepted", raw)
	}
	if !oauth.MatchRedirect([]string{raw}, raw) {
		t.Errorf("%q is accepted and does not match itself", raw)
	}
}

func loopbackName(host string) bool {
	return host == "localhost" || host == "127.0.0.1" || host == "::1"
}

func BenchmarkMatchRedirect(b *testing.B) {
	registered := []string{"https://example.com/cb", "cursor://anysphere.cursor-mcp/oauth/callback", "http://127.0.0.1/callback"}
	b.ReportAllocs()
	for b.Loop() {
		if !oauth.MatchRedirect(registered, "http://127.0.0.1:49152/callback") {
			b.Fatal("no match")
		}
	}
}
