package authserver

import (
	"net/url"
	"strings"
	"time"

	"mcp-gateway/gateway/internal/client"
	"mcp-gateway/gateway/internal/store"
	"mcp-gateway/shared/oauth"
)

// authorizationRequest is what a client asked for, once everything about it
// was found to be in order. It travels sealed: in the consent form, then in the
// stored login. The keys are short because it stands in a page.
type authorizationRequest struct {
	ClientID    string   `json:"c"`
	ClientName  string   `json:"n,omitempty"`
	RedirectURI string   `json:"r,omitempty"`
	State       string   `json:"s,omitempty"`
	Challenge   string   `json:"p,omitempty"`
	Scopes      []string `json:"o"`
	// Device is set, and nothing about an answer, when it is a device that asks.
	Device *waiting `json:"d,omitempty"`
	// Known: an administrator wrote the client down.
	Known bool `json:"k,omitempty"`
	// Remember: consent to it may be remembered.
	Remember bool `json:"m,omitempty"`
}

// waiting is a device that waits for a sign-in.
type waiting struct {
	Hash    store.Hash `json:"h"`
	Expires time.Time  `json:"e"`
}

// consentForm is the sealed content of a consent page. The browser it was
// shown to is the sealing context.
type consentForm struct {
	Request authorizationRequest `json:"q"`
	Expires time.Time            `json:"e"`
}

// loginSecrets is the sealed content of a stored login: the request, and what
// proves the way through Microsoft.
type loginSecrets struct {
	Request  authorizationRequest `json:"q"`
	Nonce    string               `json:"n"`
	Verifier string               `json:"v"`
	// Began is when the person was sent to Microsoft.
	Began time.Time `json:"b"`
	// Consented is set when nobody was asked, because this person had allowed
	// the request before: it must be them who signs in.
	Consented *person `json:"w,omitempty"`
}

// redirectTarget is where a client may be answered. Only newRedirectTarget
// makes one, after the client and its redirect URI were checked, so nothing
// can be redirected before that (RFC 6749 §4.1.2.1).
type redirectTarget struct {
	uri    string
	state  string
	issuer string
}

// newRedirectTarget checks redirect_uri against the client's registration. An
// omitted one is the registered one if there is just one (RFC 6749 §3.1.2.3).
func newRedirectTarget(c client.Client, redirectURI, state, issuer string) (redirectTarget, bool) {
	if redirectURI == "" && len(c.RedirectURIs) == 1 {
		redirectURI = c.RedirectURIs[0]
	}
	if !oauth.MatchRedirect(c.RedirectURIs, redirectURI) {
		return redirectTarget{}, false
	}
	return redirectTarget{uri: redirectURI, state: state, issuer: issuer}, true
}

// target rebuilds the target of a request that was checked before it was
// sealed.
func (r authorizationRequest) target(issuer string) redirectTarget {
	return redirectTarget{uri: r.RedirectURI, state: r.State, issuer: issuer}
}

// back is where a request's client gets its error, or empty if it asks for it
// itself, as a device does.
func (s *Server) back(r authorizationRequest, code, description string) string {
	if r.Device != nil {
		return ""
	}
	return r.target(s.cfg.PublicURL).withError(code, description)
}

// with returns the redirect URI with the parameters of an answer appended, and
// state and iss as every answer has them (RFC 6749 §4.1.2, RFC 9207 §2). The
// URI itself is kept byte for byte.
func (t redirectTarget) with(params ...[2]string) string {
	var b strings.Builder
	b.WriteString(t.uri)
	separator := byte('?')
	if strings.Contains(t.uri, "?") {
		separator = '&'
	}
	if t.state != "" {
		params = append(params, [2]string{"state", t.state})
	}
	for _, p := range append(params, [2]string{"iss", t.issuer}) {
		b.WriteByte(separator)
		b.WriteString(p[0] + "=" + url.QueryEscape(p[1]))
		separator = '&'
	}
	return b.String()
}

// withError is the error answer of RFC 6749 §4.1.2.1.
func (t redirectTarget) withError(code, description string) string {
	return t.with([2]string{"error", code}, [2]string{"error_description", description})
}

// origin is what a page's form-action must list for the last hop of the
// sign-in (DESIGN D19): scheme and host, or the scheme of a private-use URI.
func (t redirectTarget) origin() string {
	u, err := url.Parse(t.uri)
	if err != nil {
		return ""
	}
	// A Content-Security-Policy has no spelling for an IPv6 address, nor for
	// a host of a private-use scheme.
	if (u.Scheme == "http" || u.Scheme == "https") && !strings.HasPrefix(u.Host, "[") {
		return u.Scheme + "://" + u.Host
	}
	return u.Scheme + ":"
}

// host is the redirect URI's host for display; a private-use URI shows its
// scheme, which is what its program is known by.
func (t redirectTarget) host() string {
	u, err := url.Parse(t.uri)
	if err != nil {
		return t.uri
	}
	if u.Scheme == "http" || u.Scheme == "https" {
		return u.Host
	}
	return u.Scheme + ":"
}

// local reports whether the answer goes to a program on the person's computer.
func (t redirectTarget) local() bool {
	return oauth.IsLoopbackRedirect(t.uri) || !strings.HasPrefix(t.uri, "https:")
}
