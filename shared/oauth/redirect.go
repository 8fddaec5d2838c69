package oauth

import (
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// MaxRedirectURI is the longest redirect URI that is accepted, in bytes.
const MaxRedirectURI = 512

// forbiddenSchemes can run script, read files or leave the browser for a
// protocol that is not an application's own callback.
var forbiddenSchemes = []string{
	"about", "blob", "chrome", "chrome-extension", "content", "data", "file", "filesystem", "ftp", "ftps", "gopher",
	"intent", "jar", "javascript", "mailto", "moz-extension", "resource", "sms", "ssh", "tel", "vbscript",
	"view-source", "wais", "ws", "wss",
}

// CheckRedirectURI reports what is wrong with a redirect URI that a client
// wants to register. Allowed are https, http on loopback (RFC 8252 §7.3), and
// private-use schemes of installed applications (RFC 8252 §7.1).
//
// Only characters that every URL parser reads alike are let through, so that
// what is compared here is what the browser will go to.
func CheckRedirectURI(raw string) error {
	if raw == "" || len(raw) > MaxRedirectURI {
		return errors.New("a redirect URI must have 1 to 512 bytes")
	}
	for i := range len(raw) {
		if c := raw[i]; c <= ' ' || c >= 0x7f || strings.IndexByte("\\\"<>^`{|}", c) >= 0 {
			return errors.New("a redirect URI must not contain spaces, control characters, backslashes or other characters that URLs cannot have")
		}
	}
	if strings.Contains(raw, "#") {
		return errors.New("a redirect URI must not have a fragment (RFC 6749 §3.1.2)")
	}
	u, err := url.Parse(raw)
	if err != nil || u.Scheme == "" {
		return errors.New("a redirect URI must be an absolute URI")
	}
	if u.User != nil || strings.Contains(u.Host, "@") {
		return errors.New("a redirect URI must not carry a user name")
	}
	if hasDotSegment(u.EscapedPath()) {
		return errors.New("a redirect URI must not have . or .. segments")
	}
	switch u.Scheme {
	case "https":
		return checkWeb(raw, u, "https://")
	case "http":
		if !isLoopbackHost(u.Hostname()) {
			return errors.New("http is only allowed for 127.0.0.1, [::1] and localhost")
		}
		return checkWeb(raw, u, "http://")
	default:
		if slices.Contains(forbiddenSchemes, u.Scheme) {
			return errors.New("this scheme cannot be an application's own")
		}
		if !strings.HasPrefix(raw, u.Scheme+":") {
			return errors.New("the scheme must be in lower case")
		}
		return nil
	}
}

// checkWeb wants the one spelling of an http or https URI that leaves parsers
// nothing to disagree about.
func checkWeb(raw string, u *url.URL, prefix string) error {
	if !strings.HasPrefix(raw, prefix) || u.Opaque != "" || u.Hostname() == "" {
		return errors.New("a redirect URI must have the form scheme://host/path, with the scheme in lower case")
	}
	if strings.Contains(u.Host, "%") {
		return errors.New("a redirect URI's host must not be percent-encoded")
	}
	if strings.HasSuffix(u.Host, ":") {
		return errors.New("a redirect URI with a colon after its host must have a port")
	}
	if _, err := strconv.ParseUint(u.Port(), 10, 16); u.Port() != "" && err != nil {
		return errors.New("a redirect URI's port must be from 0 to 65535")
	}
	return nil
}

// hasDotSegment finds . and .. segments, percent-encoded ones too: browsers
// resolve both.
func hasDotSegment(path string) bool {
	for segment := range strings.SplitSeq(path, "/") {
		switch strings.ReplaceAll(strings.ToLower(segment), "%2e", ".") {
		case ".", "..":
			return true
		}
	}
	return false
}

func isLoopbackHost(host string) bool {
	return host == "127.0.0.1" || host == "::1" || host == "localhost"
}

// IsLoopbackRedirect reports whether raw is an http URI on loopback: a program
// on the person's own computer listens there.
func IsLoopbackRedirect(raw string) bool {
	u, err := url.Parse(raw)
	return err == nil && u.Scheme == "http" && isLoopbackHost(u.Hostname()) && CheckRedirectURI(raw) == nil
}

// MatchRedirect reports whether requested is one of the registered redirect
// URIs: equal byte for byte, except that a loopback URI matches on any port,
// because an installed program cannot know its port beforehand ("MUST allow any
// port", RFC 8252 §7.3, OAuth 2.1 §8.4.2). Loopback hosts are not exchanged for
// one another.
func MatchRedirect(registered []string, requested string) bool {
	if CheckRedirectURI(requested) != nil {
		return false
	}
	for _, r := range registered {
		if r == requested {
			return true
		}
		if IsLoopbackRedirect(r) && IsLoopbackRedirect(requested) && withoutPort(r) == withoutPort(requested) {
			return true
		}
	}
	return false
}

// withoutPort removes the port of an http URI that CheckRedirectURI accepted
// and leaves every other byte.
func withoutPort(raw string) string {
	rest := strings.TrimPrefix(raw, "http://")
	end := strings.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	authority := rest[:end]
	if i := strings.LastIndexByte(authority, ':'); i > strings.LastIndexByte(authority, ']') {
		authority = authority[:i]
	}
	return authority + rest[end:]
}
