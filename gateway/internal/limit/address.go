package limit

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Addresses tells who sent a request.
type Addresses struct {
	// Trusted are the reverse proxies whose X-Forwarded-For is believed.
	// Default none: the peer of the connection is the sender.
	Trusted []netip.Prefix
}

// Of returns the address that r came from: the peer's, or, if that is a trusted
// proxy, the last one in X-Forwarded-For that is not. It reads from the right
// because each proxy appends the peer it saw, and everything to the left of
// the first stranger is what that stranger chose to write. An entry that is no
// address ends the search at the hop that wrote it. The zero Addr means that
// the peer has no IP address.
//
// Forwarded (RFC 7239) is ignored: a proxy that writes one of the two headers
// passes the other through as it came, so believing both is believing anyone.
func (a Addresses) Of(r *http.Request) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	hop := plain(peer.Addr())
	// Several lines are one list, in their order (RFC 9110 §5.3).
	lines := r.Header.Values("X-Forwarded-For")
	for _, line := range slices.Backward(lines) {
		for more := true; more; {
			if !a.trusts(hop) {
				return hop
			}
			entry := line
			i := strings.LastIndexByte(line, ',')
			if more = i >= 0; more {
				entry, line = line[i+1:], line[:i]
			}
			next, ok := parseHop(entry)
			if !ok {
				return hop
			}
			hop = next
		}
	}
	return hop
}

func (a Addresses) trusts(addr netip.Addr) bool {
	return slices.ContainsFunc(a.Trusted, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// parseHop reads one entry. Some proxies add the port (Azure Application
// Gateway does), and IPv6 then stands in brackets.
func parseHop(entry string) (netip.Addr, bool) {
	entry = strings.Trim(entry, " \t")
	addr, err := netip.ParseAddr(entry)
	if err != nil {
		withPort, err := netip.ParseAddrPort(entry)
		if err != nil {
			return netip.Addr{}, false
		}
		addr = withPort.Addr()
	}
	return plain(addr), true
}

// plain gives an address its one form: ::ffff:192.0.2.1 is 192.0.2.1, and a
// zone only means something on the machine that wrote it.
func plain(addr netip.Addr) netip.Addr { return addr.Unmap().WithZone("") }
