package limit_test

import (
	"net/http"
	"net/netip"
	"testing"

	"mcp-gateway/gateway/internal/limit"
)

func prefixes(list ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(list))
	for i, s := range list {
		out[i] = netip.MustParsePrefix(s)
	}
	return out
}

func TestAddressOfARequest(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		trusted []netip.Prefix
		peer    string
		forward []string
		other   http.Header
		want    string
	}{
		{name: "the peer", peer: "192.0.2.1:1234", want: "192.0.2.1"},
		{name: "an IPv6 peer", peer: "[2001:db8::1]:1234", want: "2001:db8::1"},
		{name: "an IPv4 peer of an IPv6 socket", peer: "[::ffff:192.0.2.1]:1234", want: "192.0.2.1"},
		{name: "a peer with a zone", peer: "[fe80::1%eth0]:1234", want: "fe80::1"},
		{name: "a peer without an IP address", peer: "@", want: "invalid IP"},
		{name: "no peer", peer: "", want: "invalid IP"},

		{name: "a header from a peer that is no proxy is not believed", peer: "192.0.2.1:1", forward: []string{"198.51.100.7"}, want: "192.0.2.1"},
		{name: "a header from a peer outside the trusted range is not believed", trusted: prefixes("10.0.0.0/8"), peer: "192.0.2.1:1", forward: []string{"198.51.100.7"}, want: "192.0.2.1"},
		{name: "a trusted proxy is believed", trusted: prefixes("10.0.0.0/8"), peer: "10.0.0.1:1", forward: []string{"198.51.100.7"}, want: "198.51.100.7"},
		{name: "a trusted proxy on an IPv6 socket is believed", trusted: prefixes("10.0.0.0/8"), peer: "[::ffff:10.0.0.1]:1", forward: []string{"198.51.100.7"}, want: "198.51.100.7"},
		{name: "a trusted proxy with a zone is believed", trusted: prefixes("fe80::/10"), peer: "[fe80::1%eth0]:1", forward: []string{"198.51.100.7"}, want: "198.51.100.7"},
		{name: "a trusted proxy that says nothing", trusted: prefixes("10.0.0.0/8"), peer: "10.0.0.1:1", want: "10.0.0.1"},
		{name: "what the client wrote before the proxy is not believed", trusted: prefixes("10.0.0.0/8"), peer: "10.0.0.1:1", forward: []string{"127.0.0.1, 203.0.113.9, 198.51.100.7"}, want: "198.51.100.7"},
		{name: "a trusted address that the client wrote is not believed", trusted: prefixes("10.0.0.0/8"), peer: "10.0.0.1:1", forward: []string{"203.0.113.9,10.0.0.9, 198.51.100.7"}, want: "198.51.100.7"},
		{name: "a chain of trusted proxies", trusted: prefixes("10.0.0.0/8", "2001:db8:1::/48"), peer: "10.0.0.1:1", forward: []string{"198.51.100.7, 2001:db8:1::5 ,10.0.0.2"}, want: "198.51.100.7"},
		{name: "several header lines are one list", trusted: prefixes("10.0.0.0/8"), peer: "10.0.0.1:1", forward: []string{"203.0.113.9", "198.51.100.7", "10.0.0.3,10.0.0.2"}, want: "198.51.100.7"},
		{name: "nothing but trusted proxies gives the first", trusted: prefixes("10.0.0.0/8"), peer: "10.0.0.1:1", forward: []string{"10.0.0.3, 10.0.0.2"}, want: "10.0.0.3"},
		{name: "a mapped address is the IPv4 one", trusted: prefixes("10.0.0.0/8"), peer: "10.0.0.1:1", forward: []string{"198.51.100.7, ::ffff:10.0.0.2"}, want: "198.51.100.7"},
		{name: "an address with a port", trusted: prefixes("10.0.0.0/8"), peer: "10.0.0.1:1", forward: []string{"198.51.100.7:4711"}, want: "198.51.100.7"},
		{name: "an IPv6 address with a port", trusted: prefixes("10.0.0.0/8"), peer: "10.0.0.1:1", forward: []string{"[2001:db8::7]:4711"}, want: "2001:db8::7"},

		{name: "a word ends the search", trusted: prefixes("10.0.0.0/8"), peer: "10.0.0.1:1", forward: []string{"198.51.100.7, unknown"}, want: "10.0.0.1"},
		{name: "a word ends the search at the last good hop", trusted: prefixes("10.0.0.0/8"), peer: "10.0.0.1:1", forward: []string{"198.51.100.7, _hidden, 10.0.0.2"}, want: "10.0.0.2"},
		{name: "an empty entry ends the search", trusted: prefixes("10.0.0.0/8"), peer: "10.0.0.1:1", forward: []string{"198.51.100.7,,10.0.0.2"}, want: "10.0.0.2"},
		{name: "an empty header", trusted: prefixes("10.0.0.0/8"), peer: "10.0.0.1:1", forward: []string{""}, want: "10.0.0.1"},
		{name: "an octal address is none", trusted: prefixes("10.0.0.0/8"), peer: "10.0.0.1:1", forward: []string{"0300.0.2.1"}, want: "10.0.0.1"},
		{name: "brackets without a port are none", trusted: prefixes("10.0.0.0/8"), peer: "10.0.0.1:1", forward: []string{"[2001:db8::7]"}, want: "10.0.0.1"},
		{name: "Forwarded is not read", trusted: prefixes("10.0.0.0/8"), peer: "10.0.0.1:1", other: http.Header{"Forwarded": {"for=198.51.100.7"}}, want: "10.0.0.1"},
		{name: "X-Real-IP is not read", trusted: prefixes("10.0.0.0/8"), peer: "10.0.0.1:1", other: http.Header{"X-Real-Ip": {"198.51.100.7"}}, want: "10.0.0.1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := &http.Request{RemoteAddr: tt.peer, Header: http.Header{"X-Forwarded-For": tt.forward}}
			if tt.other != nil {
				r.Header = tt.other
			}
			if got := (limit.Addresses{Trusted: tt.trusted}).Of(r).String(); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func FuzzAddressOf(f *testing.F) {
	f.Add("198.51.100.7, 10.0.0.2", "10.0.0.3")
	f.Add("[2001:db8::7]:1,::ffff:10.0.0.1", "fe80::1%eth0")
	f.Add(",,", " ")
	a := limit.Addresses{Trusted: prefixes("10.0.0.0/8")}
	f.Fuzz(func(t *testing.T, first, second string) {
		const stranger = "198.51.100.1"
		header := func(lines ...string) http.Header { return http.Header{"X-Forwarded-For": lines} }
		// The proxy wrote the last entry: nothing before it matters.
		got := a.Of(&http.Request{RemoteAddr: "10.0.0.1:1", Header: header(first, second+","+stranger)})
		if got.String() != stranger {
			t.Errorf("%q, %q: got %s, want %s", first, second, got, stranger)
		}
		got = a.Of(&http.Request{RemoteAddr: "10.0.0.1:1", Header: header(first, second)})
		if !got.IsValid() || got.Is4In6() || got.Zone() != "" {
			t.Errorf("%q, %q: got %s", first, second, got)
		}
	})
}
