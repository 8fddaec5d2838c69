package netguard

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// inside lists the domains that mean something of the network that asks. The
// domains of RFC 6761 that public DNS answers with "no such name" (test,
// example) are not special to an application (§6.2, §6.5).
var inside = []string{
	"localhost",   // RFC 6761 §6.3
	"invalid",     // RFC 6761 §6.4
	"local",       // RFC 6762 §3
	"arpa",        // RFC 3172 §2: infrastructure; home.arpa, RFC 8375
	"onion",       // RFC 7686
	"alt",         // RFC 9476
	"internal",    // ICANN resolution 2024.07.29.06; metadata.google.internal
	"localdomain", // localhost.localdomain in many hosts files
	// Never to be delegated, or not delegated, since networks use them
	// (RFC 6762 Appendix G).
	"corp", "home", "intranet", "lan", "mail", "private",
}

// checkURL reports why u must not be fetched, whatever its host resolves to.
func checkURL(u *url.URL) error {
	switch {
	case u.Scheme != "https":
		return fmt.Errorf("%w: scheme %q, not https", ErrForbidden, u.Scheme)
	case u.Opaque != "":
		return fmt.Errorf("%w: URL without //", ErrForbidden)
	case u.User != nil:
		// RFC 9110 §4.2.4: userinfo obscures who is spoken to.
		return fmt.Errorf("%w: URL with userinfo", ErrForbidden)
	}
	if err := checkPort(u); err != nil {
		return err
	}
	return checkHost(u)
}

// checkPort accepts no port or one that every parser reads alike.
func checkPort(u *url.URL) error {
	port := u.Port()
	if port == "" {
		return nil
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 || strconv.FormatUint(n, 10) != port {
		return fmt.Errorf("%w: port %q", ErrForbidden, port)
	}
	return nil
}

// checkHost judges an address by itself and a name by its form and domain. A
// proxy, or a resolver of the C library, reads more forms of an address than
// we do (0x7f.1); such a form never gets to them.
func checkHost(u *url.URL) error {
	host := u.Hostname()
	addr, err := netip.ParseAddr(host)
	if strings.HasPrefix(u.Host, "[") != (err == nil && addr.Is6()) {
		return fmt.Errorf("%w: host %q: brackets are for IPv6", ErrForbidden, u.Host)
	}
	if err == nil {
		return Check(addr)
	}
	labels := strings.Split(host, ".")
	if len(host) > 253 || slices.ContainsFunc(labels, malformed) {
		return fmt.Errorf("%w: host %q is no host name", ErrForbidden, host)
	}
	if len(labels) == 1 {
		// The resolver may complete it with the search domain.
		return fmt.Errorf("%w: host %q is a single label", ErrForbidden, host)
	}
	// Only now, since some letters outside ASCII have their lower case in it.
	top := strings.ToLower(labels[len(labels)-1])
	if top[0] < 'a' || top[0] > 'z' {
		// RFC 1123 §2.1: the top-level label is alphabetic, which is what tells
		// a name from an address in an old form (RFC 3986 §7.4).
		return fmt.Errorf("%w: host %q ends in a number", ErrForbidden, host)
	}
	if slices.Contains(inside, top) {
		return fmt.Errorf("%w: host %q is inside by its domain %q", ErrForbidden, host, top)
	}
	return nil
}

// malformed tells a label that is none of DNS (RFC 1035 §2.3.4), or not made
// of the letters of a URL's host in ASCII: letters that map to others (IDNA,
// full-width digits) must have been mapped by whoever wrote the URL. An empty
// label also catches the dot at the end, which makes another name of the same
// host. Underscores are no letters of a host but exist.
func malformed(label string) bool {
	if label == "" || len(label) > 63 {
		return true
	}
	for _, c := range []byte(label) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (c < '0' || c > '9') && c != '-' && c != '_' {
			return true
		}
	}
	return false
}
