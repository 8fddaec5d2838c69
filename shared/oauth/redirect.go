package oauth

import (
	"errors"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Redirect URIs: OAuth 2.1 §2.3, §4.1.1 and §8.4.2, RFC 8252 §7, RFC 9700 §2.1.
//
// Whoever gets the redirect gets the code, and the browser that follows it has
// another parser than we do. So only URIs that leave no room for two readings
// are let in: RFC 3986 characters alone, no dot segments, no odd hosts, and two
// parsers, the one below and net/url, must agree on every part.

// Reasons why a redirect URI is refused. They are written to follow the name
// of the parameter and may be shown to the client.
var (
	errRedirectEmpty     = errors.New("is empty")
	errRedirectChars     = errors.New("has a character that a URI cannot have (RFC 3986): percent-encode it")
	errRedirectPercent   = errors.New("has a percent sign that is not followed by two hex digits")
	errRedirectFragment  = errors.New("must not have a fragment")
	errRedirectScheme    = errors.New("must be an absolute URI with a lower-case scheme")
	errRedirectDenied    = errors.New("has a scheme that no program can be answered at")
	errRedirectSlash     = errors.New("must have a slash after its scheme")
	errRedirectUser      = errors.New("must not have user information")
	errRedirectHost      = errors.New("has a malformed host or port")
	errRedirectNoHost    = errors.New("has no host")
	errRedirectRemote    = errors.New("must be https, unless its host is localhost, 127.0.0.1 or [::1]")
	errRedirectDots      = errors.New("must not have . or .. as a path segment")
	errRedirectAmbiguous = errors.New("can be read in more than one way")
)

// CheckRedirectURI reports why raw may not be registered, or nil. Allowed are
//   - https with any host;
//   - http with the host localhost, 127.0.0.1 or [::1] (RFC 8252 §7.3);
//   - private-use schemes (RFC 8252 §7.1), with or without the dot that the
//     RFC wants in them: cursor, vscode and others come without.
func CheckRedirectURI(raw string) error {
	_, err := parseRedirect(raw)
	return err
}

// MatchRedirect reports whether requested is one of the registered URIs, byte
// for byte. Only loopback URIs may differ, and only in the port: "The
// authorization server MUST allow any port to be specified at the time of the
// request for loopback IP redirect URIs" (RFC 8252 §7.3). OAuth 2.1 §8.4.2
// says the same, and clients do it with localhost too.
func MatchRedirect(registered []string, requested string) bool {
	want, err := parseRedirect(requested)
	if err != nil {
		return false
	}
	if slices.Contains(registered, requested) {
		return true
	}
	return want.loopback() && slices.ContainsFunc(registered, func(raw string) bool {
		have, err := parseRedirect(raw)
		return err == nil && have.loopback() && have.host == want.host && have.rest == want.rest
	})
}

// IsLoopbackRedirect reports whether raw is a redirect URI that leads to a
// program listening on the user's own computer.
func IsLoopbackRedirect(raw string) bool {
	r, err := parseRedirect(raw)
	return err == nil && r.loopback()
}

// redirectURI is a redirect URI in the parts that decide; rest is path and
// query. The port has been checked and decides nothing.
type redirectURI struct {
	scheme, host, rest string
}

// loopback follows from the scheme: http is accepted for nothing else.
func (r redirectURI) loopback() bool { return r.scheme == "http" }

func parseRedirect(raw string) (redirectURI, error) {
	if err := checkChars(raw); err != nil {
		return redirectURI{}, err
	}
	scheme, after, found := strings.Cut(raw, ":")
	if !found || !validScheme(scheme) {
		return redirectURI{}, errRedirectScheme
	}
	if deniedSchemes[scheme] || strings.HasPrefix(scheme, "ms-") {
		return redirectURI{}, errRedirectDenied
	}
	if !strings.HasPrefix(after, "/") {
		return redirectURI{}, errRedirectSlash
	}
	authority := ""
	if hier, ok := strings.CutPrefix(after, "//"); ok {
		end := strings.IndexAny(hier+"/", "/?")
		authority, after = hier[:end], hier[end:]
	}
	host, err := hostOf(authority)
	if err != nil {
		return redirectURI{}, err
	}
	r := redirectURI{scheme: scheme, host: host, rest: after}
	if err := r.check(); err != nil {
		return redirectURI{}, err
	}
	u, err := url.Parse(raw)
	if err != nil || u.String() != raw || u.Scheme != scheme || u.Host != authority || u.User != nil || u.Opaque != "" {
		return redirectURI{}, errRedirectAmbiguous
	}
	return r, nil
}

// check judges the parts together.
func (r redirectURI) check() error {
	switch r.scheme {
	case "https":
		if r.host == "" {
			return errRedirectNoHost
		}
	case "http":
		// Not any address that is loopback: 127.1 and ::ffff:127.0.0.1 are
		// read differently by different programs.
		if r.host != "localhost" && r.host != "127.0.0.1" && r.host != "[::1]" {
			return errRedirectRemote
		}
	}
	path, _, _ := strings.Cut(r.rest, "?")
	for segment := range strings.SplitSeq(path, "/") {
		// Browsers take %2e for a dot (URL standard, double-dot segment).
		switch strings.ReplaceAll(strings.ToLower(segment), "%2e", ".") {
		case ".", "..":
			return errRedirectDots
		}
	}
	return nil
}

// checkChars lets only the characters of RFC 3986 §2 through. What it keeps
// out, such as backslashes, control characters and spaces, is what browsers
// rewrite on the way.
func checkChars(raw string) error {
	if raw == "" {
		return errRedirectEmpty
	}
	for i := range len(raw) {
		switch c := raw[i]; {
		case c == '#':
			return errRedirectFragment // RFC 6749 §3.1.2 "MUST NOT include a fragment component"
		case c == '%':
			if i+2 >= len(raw) || !isHex(raw[i+1]) || !isHex(raw[i+2]) {
				return errRedirectPercent
			}
		case !isAlphanumeric(c) && !strings.ContainsRune("-._~:/?[]@!$&'()*+,;=", rune(c)):
			return errRedirectChars
		}
	}
	return nil
}

// validScheme is RFC 3986 §3.1 in lower case, which "is the canonical form".
// One letter is refused: on Windows it is a drive.
func validScheme(scheme string) bool {
	if len(scheme) < 2 || scheme[0] < 'a' || scheme[0] > 'z' {
		return false
	}
	for i := range len(scheme) {
		if c := scheme[i]; !isAlphanumeric(c) && c != '+' && c != '-' && c != '.' || c >= 'A' && c <= 'Z' {
			return false
		}
	}
	return true
}

// hostOf cuts and checks host and port, and returns the host. None at all is
// fine for a private-use scheme; check sees to the others.
func hostOf(authority string) (string, error) {
	if strings.Contains(authority, "@") {
		return "", errRedirectUser
	}
	host := authority
	// The last colon starts the port, unless it is within the brackets.
	if i := strings.LastIndexByte(authority, ':'); i > strings.LastIndexByte(authority, ']') {
		host = authority[:i]
		port, err := strconv.ParseUint(authority[i+1:], 10, 16)
		if err != nil || port == 0 || authority[i+1] == '0' || host == "" {
			return "", errRedirectHost
		}
	}
	if host != "" && !validHost(host) {
		return "", errRedirectHost
	}
	return host, nil
}

// validHost accepts a DNS name, an IPv4 address in four decimal parts or an
// IPv6 address in brackets. Sub-delimiters, which RFC 3986 allows in a host,
// would end up in the Content-Security-Policy of a page.
func validHost(host string) bool {
	if inner, ok := strings.CutPrefix(host, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		addr, err := netip.ParseAddr(inner)
		return ok && err == nil && addr.Is6() && addr.Zone() == ""
	}
	if len(host) > 253 {
		return false
	}
	label := ""
	for label = range strings.SplitSeq(host, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, hostCharacters) != "" {
			return false
		}
	}
	// Browsers take a host whose last label is a number for an IPv4 address:
	// 127.1 and 0x7f.0.0.1 are 127.0.0.1 (URL standard, ends-in-a-number).
	if label[0] >= '0' && label[0] <= '9' && (strings.HasPrefix(strings.ToLower(label), "0x") || strings.Trim(label, "0123456789") == "") {
		_, err := netip.ParseAddr(host)
		return err == nil
	}
	return true
}

const hostCharacters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

func isAlphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}
