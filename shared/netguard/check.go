package netguard

import (
	"fmt"
	"net/netip"
)

// special lists what must not be reached, with the reason. The sources are
// the IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890), and
// what is said at the line. Where blocks overlap, the narrower stands first.
//
// Some of these are reachable from everywhere by the registry: AS112 (RFC
// 7534, RFC 7535), AMT (RFC 7450), the anycast services in 2001:1::/32. They
// answer at the nearest node, which may be inside, and no document is
// published there.
var special = []struct {
	prefix netip.Prefix
	why    string
}{
	{netip.MustParsePrefix("0.0.0.0/8"), "this network, RFC 791 §3.2"},
	{netip.MustParsePrefix("10.0.0.0/8"), "private, RFC 1918"},
	{netip.MustParsePrefix("100.64.0.0/10"), "shared with the carrier, RFC 6598"},
	{netip.MustParsePrefix("127.0.0.0/8"), "loopback, RFC 1122 §3.2.1.3"},
	// Not in a registry: a public address that every machine in Azure has for
	// the agent of its host, which hands out configuration and certificates.
	{netip.MustParsePrefix("168.63.129.16/32"), "the host of an Azure machine"},
	{netip.MustParsePrefix("169.254.0.0/16"), "link-local, RFC 3927; metadata of a cloud"},
	{netip.MustParsePrefix("172.16.0.0/12"), "private, RFC 1918"},
	{netip.MustParsePrefix("192.0.0.0/24"), "IETF protocol assignments, RFC 6890 §2.1"},
	{netip.MustParsePrefix("192.0.2.0/24"), "documentation, RFC 5737"},
	{netip.MustParsePrefix("192.31.196.0/24"), "AS112, RFC 7535"},
	{netip.MustParsePrefix("192.52.193.0/24"), "AMT, RFC 7450"},
	{netip.MustParsePrefix("192.88.99.0/24"), "6to4 relay, RFC 7526"},
	{netip.MustParsePrefix("192.168.0.0/16"), "private, RFC 1918"},
	{netip.MustParsePrefix("192.175.48.0/24"), "AS112, RFC 7534"},
	{netip.MustParsePrefix("198.18.0.0/15"), "benchmarks, RFC 2544"},
	{netip.MustParsePrefix("198.51.100.0/24"), "documentation, RFC 5737"},
	{netip.MustParsePrefix("203.0.113.0/24"), "documentation, RFC 5737"},
	{netip.MustParsePrefix("224.0.0.0/4"), "multicast, RFC 5771"},
	{netip.MustParsePrefix("255.255.255.255/32"), "broadcast, RFC 919"},
	{netip.MustParsePrefix("240.0.0.0/4"), "reserved, RFC 1112 §4"},

	{netip.MustParsePrefix("::/128"), "unspecified, RFC 4291 §2.5.2"},
	{netip.MustParsePrefix("::1/128"), "loopback, RFC 4291 §2.5.3"},
	{netip.MustParsePrefix("::/96"), "IPv4-compatible, RFC 4291 §2.5.5.1"},
	{netip.MustParsePrefix("::ffff:0:0:0/96"), "IPv4-translated, RFC 2765 §2.1"},
	// What stands behind a translator is never judged by the address inside:
	// the translator may read it in another way.
	{netip.MustParsePrefix("64:ff9b::/96"), "NAT64, RFC 6052 §2.1"},
	{netip.MustParsePrefix("64:ff9b:1::/48"), "local NAT64, RFC 8215"},
	{netip.MustParsePrefix("100::/64"), "discard, RFC 6666"},
	{netip.MustParsePrefix("2001::/32"), "Teredo, RFC 4380 §2.6"},
	{netip.MustParsePrefix("2001:10::/28"), "ORCHID, RFC 4843"},
	{netip.MustParsePrefix("2001:20::/28"), "ORCHIDv2, RFC 7343"},
	{netip.MustParsePrefix("2001::/23"), "IETF protocol assignments, RFC 2928"},
	{netip.MustParsePrefix("2001:db8::/32"), "documentation, RFC 3849"},
	{netip.MustParsePrefix("2002::/16"), "6to4, RFC 3056 §2"},
	{netip.MustParsePrefix("2620:4f:8000::/48"), "AS112, RFC 7534"},
	{netip.MustParsePrefix("3fff::/20"), "documentation, RFC 9637"},
	{netip.MustParsePrefix("5f00::/16"), "SRv6 segments, RFC 9602"},
	{netip.MustParsePrefix("fc00::/7"), "unique local, RFC 4193"},
	{netip.MustParsePrefix("fe80::/10"), "link-local, RFC 4291 §2.5.6"},
	{netip.MustParsePrefix("fec0::/10"), "site-local, RFC 3879"},
	{netip.MustParsePrefix("ff00::/8"), "multicast, RFC 4291 §2.7"},
}

// allocated is all that IANA gives out as global unicast (RFC 4291 §2.4, IANA
// IPv6 Address Space): what is outside has no public server, now or later
// under a meaning that nobody checked.
var allocated = netip.MustParsePrefix("2000::/3")

// Check reports why addr must not be reached (wraps ErrForbidden), nil if it
// is a public unicast address. An IPv4-mapped address (RFC 4291 §2.5.5.2) is
// judged as the IPv4 address that the kernel dials for it. An address with a
// zone (RFC 4007 §11) is never public.
func Check(addr netip.Addr) error {
	if !addr.IsValid() {
		return fmt.Errorf("%w: no address", ErrForbidden)
	}
	if addr.Zone() != "" {
		return fmt.Errorf("%w: %s has a zone", ErrForbidden, addr)
	}
	addr = addr.Unmap()
	for _, s := range special {
		if s.prefix.Contains(addr) {
			return fmt.Errorf("%w: %s is in %s (%s)", ErrForbidden, addr, s.prefix, s.why)
		}
	}
	if addr.Is6() && !allocated.Contains(addr) {
		return fmt.Errorf("%w: %s is outside %s (global unicast)", ErrForbidden, addr, allocated)
	}
	return nil
}
