// Package limit bounds how often a remote address may ask. It owns what a
// remote address is behind proxies, and the counting. It refuses to know what
// is asked for.
package limit

import (
	"net/http"
	"net/netip"
	"strings"
)

// Addresses finds the remote address of a request.
type Addresses struct {
	// Trusted are the networks of the proxies in front of the gateway; only
	// they are believed about whom they forward.
	Trusted []netip.Prefix
}

// Of returns the peer's address, or, if the peer is a trusted proxy, the
// right-most address of X-Forwarded-For that is not one: everything left of it
// was written by somebody who is not trusted. A malformed entry ends the walk.
// The Forwarded header (RFC 7239) is not read: proxies that do not know it pass
// on what clients put there.
func (a Addresses) Of(r *http.Request) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	addr := peer.Addr().Unmap().WithZone("")
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && a.trusted(addr); i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		addr = hop.Unmap().WithZone("")
	}
	return addr
}

func (a Addresses) trusted(addr netip.Addr) bool {
	for _, p := range a.Trusted {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}
