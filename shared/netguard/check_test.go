package netguard

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

func TestAPublicUnicastAddressMayBeReached(t *testing.T) {
	t.Parallel()
	for _, addr := range []string{
		"1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255",
		"128.0.0.0", "168.63.129.15", "168.63.129.17", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0",
		"192.0.1.0", "192.0.3.0", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255",
		"::ffff:8.8.8.8", "2001:200::1", "2001:4860:4860::8888", "2003::1", "2606:4700::1111", "2620:4f:7fff::1",
		"2a00:1450:4001::200e", "3ffe:ffff::1",
	} {
		if err := Check(netip.MustParseAddr(addr)); err != nil {
			t.Errorf("Check(%s) = %v, want nil", addr, err)
		}
	}
}

// refusals name the reason for each block at both of its ends.
var refusals = []struct {
	addrs, reason string
}{
	{addrs: "0.0.0.0 0.255.255.255", reason: "this network"},
	{addrs: "10.0.0.0 10.255.255.255", reason: "private"},
	{addrs: "100.64.0.0 100.100.100.200 100.127.255.255", reason: "carrier"},
	{addrs: "127.0.0.0 127.0.0.1 127.255.255.255", reason: "loopback"},
	{addrs: "168.63.129.16", reason: "Azure"},
	{addrs: "169.254.0.0 169.254.169.254 169.254.170.2 169.254.255.255", reason: "link-local"},
	{addrs: "172.16.0.0 172.31.255.255", reason: "private"},
	{addrs: "192.0.0.0 192.0.0.192 192.0.0.255", reason: "protocol assignments"},
	{addrs: "192.0.2.0 192.0.2.255 198.51.100.0 198.51.100.255 203.0.113.0 203.0.113.255", reason: "documentation"},
	{addrs: "192.31.196.0 192.31.196.255 192.175.48.0 192.175.48.255", reason: "AS112"},
	{addrs: "192.52.193.0 192.52.193.255", reason: "AMT"},
	{addrs: "192.88.99.0 192.88.99.255", reason: "6to4 relay"},
	{addrs: "192.168.0.0 192.168.255.255", reason: "private"},
	{addrs: "198.18.0.0 198.19.255.255", reason: "benchmarks"},
	{addrs: "224.0.0.0 239.255.255.255", reason: "multicast"},
	{addrs: "240.0.0.0 255.255.255.254", reason: "reserved"},
	{addrs: "255.255.255.255", reason: "broadcast"},
	{addrs: "::", reason: "unspecified"},
	{addrs: "::1", reason: "loopback"},
	{addrs: "::2 ::127.0.0.1 ::8.8.8.8", reason: "IPv4-compatible"},
	{addrs: "::ffff:0.0.0.0", reason: "this network"},
	{addrs: "::ffff:127.0.0.1 ::ffff:7f00:1", reason: "loopback"},
	{addrs: "::ffff:a9fe:a9fe", reason: "link-local"},
	{addrs: "::ffff:0:127.0.0.1 ::ffff:0:8.8.8.8", reason: "IPv4-translated"},
	{addrs: "64:ff9b::7f00:1 64:ff9b::8.8.8.8", reason: "NAT64"},
	{addrs: "64:ff9b:1:: 64:ff9b:1:ffff:ffff:ffff:ffff:ffff", reason: "local NAT64"},
	{addrs: "100:: 100::ffff:ffff:ffff:ffff", reason: "discard"},
	{addrs: "2001:: 2001:0:4136:e378:8000:63bf:80ff:fffe", reason: "Teredo"},
	{addrs: "2001:10:: 2001:1f:ffff::", reason: "ORCHID,"},
	{addrs: "2001:20:: 2001:2f:ffff::", reason: "ORCHIDv2"},
	{addrs: "2001:1::1 2001:2::1 2001:3::1 2001:4:112::1 2001:30::1 2001:1ff::1", reason: "protocol assignments"},
	{addrs: "2001:db8:: 2001:db8:ffff:ffff:ffff:ffff:ffff:ffff 3fff:: 3fff:fff:ffff::", reason: "documentation"},
	{addrs: "2002:: 2002:7f00:1:: 2002:808:808::1", reason: "6to4"},
	{addrs: "2620:4f:8000::1", reason: "AS112"},
	{addrs: "5f00:: 5f00:ffff::", reason: "SRv6"},
	{addrs: "fc00:: fd00:ec2::254 fdff:ffff::", reason: "unique local"},
	{addrs: "fe80:: fe80::1 febf:ffff::", reason: "link-local"},
	{addrs: "fec0:: feff:ffff::", reason: "site-local"},
	{addrs: "ff00:: ff02::1 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", reason: "multicast"},
	{addrs: "::1:0:0:0:0 100:0:0:1::1 1fff:ffff:: 4000:: 8000::1 fbff:: fe00::1", reason: "global unicast"},
	{addrs: "fe80::1%eth0 ::1%1 2606:4700::1111%eth0 ::ffff:8.8.8.8%eth0", reason: "zone"},
}

func TestASpecialAddressIsRefusedWithItsReason(t *testing.T) {
	t.Parallel()
	for _, row := range refusals {
		for addr := range strings.FieldsSeq(row.addrs) {
			err := Check(netip.MustParseAddr(addr))
			if !errors.Is(err, ErrForbidden) || !strings.Contains(err.Error(), row.reason) {
				t.Errorf("Check(%s) = %v, want ErrForbidden for %q", addr, err, row.reason)
			}
		}
	}
	if err := Check(netip.Addr{}); !errors.Is(err, ErrForbidden) {
		t.Errorf("Check of no address = %v, want ErrForbidden", err)
	}
}

// FuzzCheck holds Check against what the standard library knows of an address,
// which is less, and against the other form of the same address.
func FuzzCheck(f *testing.F) {
	for _, row := range refusals {
		for addr := range strings.FieldsSeq(row.addrs) {
			bytes := netip.MustParseAddr(addr).As16()
			f.Add(bytes[:])
		}
	}
	for _, public := range []string{"8.8.8.8", "2606:4700::1111"} {
		bytes := netip.MustParseAddr(public).As16()
		f.Add(bytes[:])
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) != 16 {
			t.Skip("not the length of an address")
		}
		addr := netip.AddrFrom16([16]byte(raw))
		err, unmapped := Check(addr), Check(addr.Unmap())
		if (err == nil) != (unmapped == nil) {
			t.Fatalf("Check(%s) = %v, and unmapped %v", addr, err, unmapped)
		}
		if err != nil {
			if !errors.Is(err, ErrForbidden) {
				t.Fatalf("Check(%s) = %v, want ErrForbidden", addr, err)
			}
			return
		}
		a := addr.Unmap()
		if !a.IsGlobalUnicast() || a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsUnspecified() {
			t.Fatalf("Check(%s) lets it be reached", addr)
		}
	})
}
