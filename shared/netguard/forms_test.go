package netguard

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// trap is a listener on loopback that nobody should reach.
type trap struct {
	port     string
	accepted atomic.Int64
}

// newTrap listens until the test ends.
func newTrap(t *testing.T) *trap {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	tr := &trap{port: port}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			tr.accepted.Add(1)
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-done
		if n := tr.accepted.Load(); n != 0 {
			t.Errorf("%d connections reached the listener, want none", n)
		}
	})
	return tr
}

// get fetches raw and returns the answer, whose body is closed with the test.
func get(t *testing.T, client *http.Client, raw string) (*http.Response, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, raw, nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(r)
	if err == nil {
		t.Cleanup(func() { _ = resp.Body.Close() })
	}
	return resp, err
}

// forms are hosts as they stand in a URL, before the port of a listener on
// loopback. Whatever else reads the URL may find an address inside.
var forms = []struct {
	name, host, reason string
}{
	{name: "loopback", host: "127.0.0.1", reason: "(loopback"},
	{name: "another loopback", host: "127.255.255.254", reason: "(loopback"},
	{name: "loopback as one decimal number", host: "2130706433", reason: "single label"},
	{name: "loopback as one octal number", host: "017700000001", reason: "single label"},
	{name: "loopback as one hex number", host: "0x7f000001", reason: "single label"},
	{name: "loopback as one uppercase hex number", host: "0X7F000001", reason: "single label"},
	{name: "loopback as a number past 32 bits", host: "6425673729", reason: "single label"},
	{name: "loopback in octal parts", host: "0177.0.0.1", reason: "ends in a number"},
	{name: "loopback with leading zeros", host: "127.000.000.001", reason: "ends in a number"},
	{name: "loopback in a hex and a decimal part", host: "0x7f.1", reason: "ends in a number"},
	{name: "loopback in hex parts", host: "0x7f.0x0.0x0.0x1", reason: "ends in a number"},
	{name: "loopback in two parts", host: "127.1", reason: "ends in a number"},
	{name: "loopback in three parts", host: "127.0.1", reason: "ends in a number"},
	{name: "loopback with an empty hex part", host: "127.0.0.0x", reason: "ends in a number"},
	{name: "loopback with parts that overflow", host: "383.256.256.257", reason: "ends in a number"},
	{name: "loopback with a dot at the end", host: "127.0.0.1.", reason: "no host name"},
	{name: "loopback with two dots", host: "127..0.0.1", reason: "no host name"},
	{name: "loopback with a fifth part", host: "127.0.0.1.1", reason: "ends in a number"},
	{name: "loopback with ideographic dots", host: "127。0。0。1", reason: "no host name"},
	{name: "loopback with half-width ideographic dots", host: "127\uff610\uff610\uff611", reason: "no host name"},
	{name: "loopback in full-width digits", host: "\uff11\uff12\uff17.\uff10.\uff10.\uff11", reason: "no host name"},
	{name: "loopback in circled digits", host: "①②⑦.⓪.⓪.①", reason: "no host name"},
	{name: "loopback with percent-encoded digits", host: "%31%32%37.0.0.1", reason: "invalid URL escape"},
	{name: "loopback with percent-encoded dots", host: "127%2e0%2e0%2e1", reason: "invalid URL escape"},
	{name: "loopback with percent-encoded ideographic dots", host: "127%E3%80%820%E3%80%820%E3%80%821", reason: "no host name"},
	{name: "loopback before a percent-encoded NUL", host: "127.0.0.1%00", reason: "invalid URL escape"},
	{name: "loopback before a space", host: "127.0.0.1 ", reason: "invalid character"},
	{name: "loopback before a backslash", host: `127.0.0.1\.example.com`, reason: "invalid character"},
	{name: "loopback in brackets", host: "[127.0.0.1]", reason: "invalid IP-literal"},
	{name: "loopback after a name as userinfo", host: "example.com@127.0.0.1", reason: "userinfo"},
	{name: "loopback after userinfo with a port", host: "example.com:443@127.0.0.1", reason: "userinfo"},
	{name: "a name after loopback as userinfo", host: "127.0.0.1@example.com", reason: "userinfo"},
	{name: "a name after empty userinfo", host: "@example.com", reason: "userinfo"},
	{name: "userinfo with an encoded at sign", host: "a%40127.0.0.1@example.com", reason: "userinfo"},
	{name: "loopback after a comma", host: "example.com,127.0.0.1", reason: "no host name"},
	{name: "zero", host: "0", reason: "single label"},
	{name: "unspecified", host: "0.0.0.0", reason: "(this network"},
	{name: "loopback of IPv6", host: "[::1]", reason: "(loopback"},
	{name: "loopback of IPv6 in full", host: "[0000:0000:0000:0000:0000:0000:0000:0001]", reason: "(loopback"},
	{name: "loopback of IPv6 without brackets", host: "::1", reason: "invalid port"},
	{name: "unspecified of IPv6", host: "[::]", reason: "(unspecified"},
	{name: "IPv4-mapped in dots", host: "[::ffff:127.0.0.1]", reason: "(loopback"},
	{name: "IPv4-mapped in hex", host: "[::ffff:7f00:1]", reason: "(loopback"},
	{name: "IPv4-mapped in uppercase", host: "[::FFFF:7F00:1]", reason: "(loopback"},
	{name: "IPv4-mapped in full", host: "[0:0:0:0:0:ffff:7f00:0001]", reason: "(loopback"},
	{name: "IPv4-mapped with octal parts", host: "[::ffff:0177.0.0.1]", reason: "leading zero"},
	{name: "IPv4-mapped unspecified", host: "[::ffff:0.0.0.0]", reason: "(this network"},
	{name: "IPv4-compatible", host: "[::127.0.0.1]", reason: "(IPv4-compatible"},
	{name: "IPv4-translated", host: "[::ffff:0:127.0.0.1]", reason: "(IPv4-translated"},
	{name: "NAT64", host: "[64:ff9b::7f00:1]", reason: "(NAT64"},
	{name: "NAT64 of a public address", host: "[64:ff9b::808:808]", reason: "(NAT64"},
	{name: "local NAT64", host: "[64:ff9b:1::a9fe:a9fe]", reason: "(local NAT64"},
	{name: "6to4", host: "[2002:7f00:1::]", reason: "(6to4"},
	{name: "6to4 in uppercase", host: "[2002:A9FE:A9FE::1]", reason: "(6to4"},
	{name: "Teredo with an embedded address", host: "[2001:0:7f00:1:0:0:80ff:fffe]", reason: "(Teredo"},
	{name: "link-local with a zone", host: "[fe80::1%25eth0]", reason: "zone"},
	{name: "link-local with a bare zone", host: "[fe80::1%eth0]", reason: "invalid URL escape"},
	{name: "loopback with a zone", host: "[::1%25lo]", reason: "zone"},
	{name: "a public address with a zone", host: "[2606:4700::1111%251]", reason: "zone"},
	{name: "a future form of address", host: "[v1.7f000001]", reason: "invalid host"},
	{name: "metadata of most clouds", host: "169.254.169.254", reason: "(link-local"},
	{name: "metadata as a decimal number", host: "2852039166", reason: "single label"},
	{name: "metadata in octal parts", host: "0251.0376.0251.0376", reason: "ends in a number"},
	{name: "metadata in two parts", host: "169.16689662", reason: "ends in a number"},
	{name: "metadata IPv4-mapped", host: "[::ffff:a9fe:a9fe]", reason: "(link-local"},
	{name: "metadata of ECS", host: "169.254.170.2", reason: "(link-local"},
	{name: "metadata of EC2 over IPv6", host: "[fd00:ec2::254]", reason: "(unique local"},
	{name: "metadata of GCE over IPv6", host: "[fd20:ce::254]", reason: "(unique local"},
	{name: "metadata of Alibaba", host: "100.100.100.200", reason: "(shared with the carrier"},
	{name: "metadata of Oracle", host: "192.0.0.192", reason: "(IETF protocol"},
	{name: "the host of an Azure machine", host: "168.63.129.16", reason: "Azure"},
	{name: "metadata by name", host: "metadata.google.internal", reason: "inside"},
	{name: "metadata by a short name", host: "metadata", reason: "single label"},
	{name: "localhost", host: "localhost", reason: "single label"},
	{name: "localhost in uppercase", host: "LOCALHOST", reason: "single label"},
	{name: "localhost with a dot at the end", host: "localhost.", reason: "no host name"},
	{name: "localhost in full-width letters", host: "\uff4c\uff4f\uff43alhost", reason: "no host name"},
	{name: "a name under localhost", host: "app.localhost", reason: "inside"},
	{name: "a name under LocalHost", host: "app.LocalHost", reason: "inside"},
	{name: "localhost.localdomain", host: "localhost.localdomain", reason: "inside"},
	{name: "a name of multicast DNS", host: "printer.local", reason: "inside"},
	{name: "a name of a home network", host: "router.home.arpa", reason: "inside"},
	{name: "the name of NAT64 discovery", host: "ipv4only.arpa", reason: "inside"},
	{name: "a name of a company network", host: "wiki.corp", reason: "inside"},
	{name: "a name of Tor", host: "example.onion", reason: "inside"},
	{name: "a letter whose lower case is in ASCII", host: "example.\u212ao", reason: "no host name"},
	{name: "a soft hyphen in localhost", host: "local\u00adhost", reason: "no host name"},
	{name: "a label that is too long", host: strings.Repeat("a", 64) + ".com", reason: "no host name"},
	{name: "a name that is too long", host: strings.Repeat("a.", 126) + "com", reason: "no host name"},
	{name: "an empty host", host: "", reason: "no host name"},
	{name: "a dot", host: ".", reason: "no host name"},
	{name: "private, 10/8", host: "10.0.0.1", reason: "(private"},
	{name: "private, 172.16/12", host: "172.31.255.255", reason: "(private"},
	{name: "private, 192.168/16", host: "192.168.1.1", reason: "(private"},
	{name: "broadcast", host: "255.255.255.255", reason: "(broadcast"},
	{name: "multicast of IPv6", host: "[ff02::1]", reason: "(multicast"},
	{name: "site-local", host: "[fec0::1]", reason: "(site-local"},
}

// refused tells a refusal of the guard, or of url.Parse before it.
func refused(err error) bool {
	if errors.Is(err, ErrForbidden) {
		return true
	}
	parse, ok := errors.AsType[*url.Error](err)
	return ok && parse.Op == "parse"
}

func TestNoFormOfAnInsideAddressIsFetched(t *testing.T) {
	t.Parallel()
	trap := newTrap(t)
	client := NewClient(Config{})
	for _, row := range forms {
		t.Run(row.name, func(t *testing.T) {
			_, err := get(t, client, "https://"+row.host+":"+trap.port+"/")
			if !refused(err) || !strings.Contains(err.Error(), row.reason) {
				t.Errorf("got %v, want a refusal for %q", err, row.reason)
			}
		})
	}
}

// TestNoFormOfAnInsideAddressGetsToADialerOrAProxy leaves the check of the
// URL alone with the forms: what comes after it accepts everything.
func TestNoFormOfAnInsideAddressGetsToADialerOrAProxy(t *testing.T) {
	t.Parallel()
	trap := newTrap(t)
	proxy := &url.URL{Scheme: "http", Host: "127.0.0.1:" + trap.port}
	for _, client := range []*http.Client{
		NewClient(Config{Proxy: proxy}),
		NewClient(Config{Dial: (&net.Dialer{Timeout: time.Second}).DialContext}),
	} {
		for _, row := range forms {
			if _, err := get(t, client, "https://"+row.host+":"+trap.port+"/"); !refused(err) {
				t.Errorf("%s: got %v, want a refusal", row.name, err)
			}
		}
	}
}

func TestAnOddURLIsRefused(t *testing.T) {
	t.Parallel()
	trap := newTrap(t)
	client := NewClient(Config{Dial: func(context.Context, string, string) (net.Conn, error) {
		return net.Dial("tcp", "127.0.0.1:"+trap.port)
	}})
	for _, row := range []struct {
		name, url, reason string
	}{
		{name: "http", url: "http://example.com/", reason: `scheme "http"`},
		{name: "http with the port of https", url: "http://example.com:443/", reason: `scheme "http"`},
		{name: "file", url: "file:///etc/passwd", reason: `scheme "file"`},
		{name: "gopher", url: "gopher://example.com/", reason: `scheme "gopher"`},
		{name: "no scheme", url: "//example.com/", reason: `scheme ""`},
		{name: "no slashes", url: "https:example.com", reason: "without //"},
		{name: "one slash", url: "https:/example.com/", reason: `host ""`},
		{name: "three slashes", url: "https:///example.com/", reason: `host ""`},
		{name: "port 0", url: "https://example.com:0/", reason: `port "0"`},
		{name: "a port with a leading zero", url: "https://example.com:0443/", reason: `port "0443"`},
		{name: "a port past 16 bits", url: "https://example.com:65979/", reason: `port "65979"`},
		{name: "a negative port", url: "https://example.com:-443/", reason: "invalid port"},
		{name: "a port with a sign", url: "https://example.com:+443/", reason: "invalid port"},
		{name: "a port by name", url: "https://example.com:https/", reason: "invalid port"},
		{name: "two ports", url: "https://example.com:443:80/", reason: "invalid port"},
		{name: "a password", url: "https://user:secret@example.com/", reason: "userinfo"},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := get(t, client, row.url)
			if !refused(err) || !strings.Contains(err.Error(), row.reason) {
				t.Errorf("got %v, want a refusal for %q", err, row.reason)
			}
		})
	}
}
