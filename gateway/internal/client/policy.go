package client

import (
	"net/url"
	"slices"
	"strings"

	"mcp-gateway/shared/oauth"
)

// Admission says which clients may come in by themselves.
type Admission string

// The values of an Admission; the zero value is AdmitNone.
const (
	// AdmitAll lets in whoever comes: consent and access rules still decide
	// what they get.
	AdmitAll Admission = "open"
	// AdmitListed lets in those whose hosts are listed.
	AdmitListed Admission = "listed"
	// AdmitNone lets in none.
	AdmitNone Admission = "closed"
)

// Policy says which clients that no administrator wrote down may come in. It is
// asked at every step, so a stricter one holds for clients known before, too.
type Policy struct {
	// Registration is about clients that register themselves. When it is
	// AdmitListed, every redirect URI must lead to one of RedirectHosts or to
	// the person's own computer.
	Registration  Admission
	RedirectHosts []string
	// Documents is about clients that publish a document. When it is
	// AdmitListed, the document must be on one of DocumentHosts.
	Documents     Admission
	DocumentHosts []string
	// PrivateUseRedirects allows redirect URIs such as cursor://host/path
	// (RFC 8252 §7.1). Any program on a computer can claim such a scheme.
	PrivateUseRedirects bool
	// Device serves the grant of RFC 8628 to the clients that list it.
	Device bool
}

// admitRegistration says why clients with these redirect URIs may not register,
// or may not come in any longer; it wraps ErrForbidden.
func (p Policy) admitRegistration(redirects []string) error {
	switch p.Registration {
	case AdmitAll:
		return nil
	case AdmitListed:
		for _, uri := range redirects {
			if u, err := url.Parse(uri); err != nil || u.Scheme == "https" && !listed(p.RedirectHosts, u.Hostname()) {
				return forbid("it wants to be answered at a host that is not listed in clients.redirect_hosts")
			}
		}
		return nil
	default:
		return forbid("clients.registration is closed")
	}
}

// admitDocument is the same for a client described by a document at u.
func (p Policy) admitDocument(u *url.URL) error {
	if p.Documents == AdmitAll || p.Documents == AdmitListed && listed(p.DocumentHosts, u.Hostname()) {
		return nil
	}
	if p.Documents == AdmitListed {
		return forbid("the host of its document is not listed in clients.document_hosts")
	}
	return forbid("clients.documents is closed")
}

// admit returns a client with those of its redirect URIs and grant types that are
// served, or an ErrForbidden if it has no such redirect URI.
func (p Policy) admit(c Client) (Client, error) {
	c.GrantTypes = p.served(c.GrantTypes)
	if c.RedirectURIs = p.usable(c.RedirectURIs); len(c.RedirectURIs) == 0 {
		return Client{}, forbid("none of its redirect URIs is served here")
	}
	return c, nil
}

// served are those of a client's grant types that are served under this policy.
func (p Policy) served(grants []string) []string {
	return slices.DeleteFunc(slices.Clone(grants), func(grant string) bool { return grant == oauth.GrantTypeDeviceCode && !p.Device })
}

// usable are those of a client's redirect URIs that are served under this
// policy.
func (p Policy) usable(redirects []string) []string {
	return slices.DeleteFunc(slices.Clone(redirects), func(uri string) bool {
		return oauth.CheckRedirectURI(uri) != nil || !p.PrivateUseRedirects && privateUse(uri)
	})
}

// privateUse reports whether a redirect URI is neither https nor loopback.
func privateUse(uri string) bool {
	return !strings.HasPrefix(uri, "https:") && !oauth.IsLoopbackRedirect(uri)
}

// listed reports whether host is one of hosts, or below one that is written
// *.example.com.
func listed(hosts []string, host string) bool {
	host = strings.ToLower(host)
	return slices.ContainsFunc(hosts, func(h string) bool {
		if domain, ok := strings.CutPrefix(h, "*"); ok {
			return strings.HasSuffix(host, domain) && len(host) > len(domain)
		}
		return h == host
	})
}
