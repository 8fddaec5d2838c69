package netguard

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"
)

// nameserver answers every question with the addresses of its turn, the last
// turn for ever. Only questions for IPv4 are counted, since a resolver asks for
// both kinds.
type nameserver struct {
	conn net.PacketConn

	mu sync.Mutex
	// guards below
	turns [][]string
	asked int
}

// newResolver returns a resolver that asks a new nameserver.
func newResolver(t *testing.T, turns ...[]string) (*net.Resolver, *nameserver) {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ns := &nameserver{conn: conn, turns: turns}
	done := make(chan struct{})
	go func() {
		defer close(done)
		ns.serve()
	}()
	t.Cleanup(func() {
		_ = conn.Close()
		<-done
	})
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", conn.LocalAddr().String())
	}}, ns
}

func (ns *nameserver) serve() {
	packet := make([]byte, 1500)
	for {
		n, from, err := ns.conn.ReadFrom(packet)
		if err != nil {
			return
		}
		if reply := ns.reply(packet[:n]); reply != nil {
			_, _ = ns.conn.WriteTo(reply, from)
		}
	}
}

// reply answers one question (RFC 1035 §4.1).
func (ns *nameserver) reply(query []byte) []byte {
	const header, typeA, typeAAAA = 12, 1, 28
	end := header
	for end < len(query) && query[end] != 0 {
		end += 1 + int(query[end])
	}
	end += 5 // the root label, type and class
	if end > len(query) {
		return nil
	}
	kind := binary.BigEndian.Uint16(query[end-4:])
	var answers []byte
	count := uint16(0)
	for _, raw := range ns.turn(kind == typeA) {
		addr := netip.MustParseAddr(raw)
		if addr.Is4() && kind != typeA || addr.Is6() && kind != typeAAAA {
			continue
		}
		count++
		answers = append(answers, 0xc0, header) // the name in the question
		answers = binary.BigEndian.AppendUint16(answers, kind)
		answers = binary.BigEndian.AppendUint16(answers, 1)
		answers = binary.BigEndian.AppendUint32(answers, 0)
		answers = binary.BigEndian.AppendUint16(answers, uint16(addr.BitLen()/8))
		answers = append(answers, addr.AsSlice()...)
	}
	reply := append([]byte{query[0], query[1], 0x81, 0x80, 0, 1}, byte(count>>8), byte(count), 0, 0, 0, 0)
	return append(append(reply, query[header:end]...), answers...)
}

// turn returns the addresses of the present turn. A question for IPv4 begins
// the next one.
func (ns *nameserver) turn(ipv4 bool) []string {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	if ipv4 {
		ns.asked++
	}
	return ns.turns[min(max(ns.asked, 1), len(ns.turns))-1]
}

// errAdmitted stands for the connection to an address outside.
var errAdmitted = errors.New("admitted")

// dials records the addresses that the guard lets through, and connects to
// none of them: a test has no network. Loopback would be connected to.
type dials struct {
	mu sync.Mutex
	// guards below
	admitted []string
}

// guardedClient returns a client with the dialer of the product, but for the
// resolver and the last step to an address outside.
func guardedClient(resolver *net.Resolver) (*http.Client, *dials) {
	seen := new(dials)
	dialer := guardedDialer(5 * time.Second)
	dialer.Resolver = resolver
	control := dialer.ControlContext
	dialer.ControlContext = func(ctx context.Context, network, address string, c syscall.RawConn) error {
		if err := control(ctx, network, address, c); err != nil {
			return err
		}
		seen.mu.Lock()
		defer seen.mu.Unlock()
		seen.admitted = append(seen.admitted, address)
		if addr, err := netip.ParseAddrPort(address); err == nil && addr.Addr().IsLoopback() {
			return nil
		}
		return errAdmitted
	}
	return NewClient(Config{Dial: dialer.DialContext}), seen
}

// all returns the addresses admitted so far.
func (d *dials) all() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]string(nil), d.admitted...)
}

func TestANameThatTurnsToLoopbackIsRefused(t *testing.T) {
	t.Parallel()
	trap := newTrap(t)
	resolver, ns := newResolver(t, []string{"8.8.8.8"}, []string{"127.0.0.1"})
	client, seen := guardedClient(resolver)
	target := "https://rebind.example.com:" + trap.port + "/"
	if _, err := get(t, client, target); !errors.Is(err, errAdmitted) {
		t.Fatalf("first, with a public address: %v, want it admitted", err)
	}
	if _, err := get(t, client, target); !errors.Is(err, ErrForbidden) {
		t.Errorf("then, with loopback: %v, want ErrForbidden", err)
	}
	ns.mu.Lock()
	defer ns.mu.Unlock()
	if got := seen.all(); ns.asked != 2 || len(got) != 1 || got[0] != "8.8.8.8:"+trap.port {
		t.Errorf("asked %d times, admitted %q; want 2, the public address alone", ns.asked, got)
	}
}

func TestANameWithAnInsideAddressIsRefused(t *testing.T) {
	t.Parallel()
	trap := newTrap(t)
	for _, row := range []struct {
		name  string
		addrs []string
	}{
		{name: "loopback", addrs: []string{"127.0.0.1"}},
		{name: "loopback twice", addrs: []string{"127.0.0.1", "127.0.0.2"}},
		{name: "unspecified", addrs: []string{"0.0.0.0"}},
		{name: "metadata", addrs: []string{"169.254.169.254"}},
		{name: "private", addrs: []string{"10.0.0.1", "192.168.0.1"}},
		{name: "loopback of IPv6", addrs: []string{"::1"}},
		{name: "loopback of both", addrs: []string{"::1", "127.0.0.1"}},
		{name: "unspecified of IPv6", addrs: []string{"::"}},
		{name: "IPv4-mapped in a AAAA record", addrs: []string{"::ffff:127.0.0.1"}},
		{name: "NAT64", addrs: []string{"64:ff9b::7f00:1"}},
		{name: "metadata over IPv6", addrs: []string{"fd00:ec2::254"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			resolver, _ := newResolver(t, row.addrs)
			client, seen := guardedClient(resolver)
			if _, err := get(t, client, "https://inside.example.com:"+trap.port+"/"); !errors.Is(err, ErrForbidden) {
				t.Errorf("got %v, want ErrForbidden", err)
			}
			if got := seen.all(); len(got) != 0 {
				t.Errorf("admitted %q, want none", got)
			}
		})
	}
}

func TestAnInsideAddressAmongPublicOnesIsNotReached(t *testing.T) {
	t.Parallel()
	trap := newTrap(t)
	for _, row := range []struct {
		name  string
		addrs []string
		want  int
	}{
		{name: "the public one first", addrs: []string{"8.8.8.8", "127.0.0.1"}, want: 1},
		{name: "the inside one first", addrs: []string{"127.0.0.1", "8.8.8.8"}, want: 1},
		{name: "the inside one between", addrs: []string{"8.8.8.8", "127.0.0.1", "1.1.1.1"}, want: 2},
		{name: "public IPv4 and loopback of IPv6", addrs: []string{"8.8.8.8", "::1"}, want: 1},
		{name: "public IPv6 and loopback of IPv4", addrs: []string{"2606:4700::1111", "127.0.0.1"}, want: 1},
		{name: "public IPv4 and IPv4-mapped loopback", addrs: []string{"8.8.8.8", "::ffff:127.0.0.1"}, want: 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			resolver, _ := newResolver(t, row.addrs)
			client, seen := guardedClient(resolver)
			_, err := get(t, client, "https://mixed.example.com:"+trap.port+"/")
			if !errors.Is(err, errAdmitted) && !errors.Is(err, ErrForbidden) {
				t.Errorf("got %v, want a public address admitted or ErrForbidden", err)
			}
			got := seen.all()
			if len(got) != row.want {
				t.Errorf("admitted %q, want %d", got, row.want)
			}
			for _, address := range got {
				if err := Check(netip.MustParseAddrPort(address).Addr()); err != nil {
					t.Errorf("admitted %s: %v", address, err)
				}
			}
		})
	}
}

// TestTheDialerRefusesWithoutTheCheckOfTheURL is the second lock alone.
func TestTheDialerRefusesWithoutTheCheckOfTheURL(t *testing.T) {
	t.Parallel()
	trap := newTrap(t)
	dialer := guardedDialer(5 * time.Second)
	dialer.Resolver, _ = newResolver(t, []string{"127.0.0.1", "::1"})
	for _, host := range []string{
		"127.0.0.1", "::1", "0.0.0.0", "::", "::ffff:127.0.0.1", "::ffff:0.0.0.0", "64:ff9b::7f00:1",
		"::127.0.0.1", "localhost", "0x7f.1", "inside.example.com", "",
	} {
		conn, err := dialer.DialContext(t.Context(), "tcp", net.JoinHostPort(host, trap.port))
		if err == nil {
			_ = conn.Close()
		}
		if !errors.Is(err, ErrForbidden) {
			t.Errorf("dial %q: %v, want ErrForbidden", host, err)
		}
	}
	conn, err := dialer.DialContext(t.Context(), "udp", "8.8.8.8:443")
	if err == nil {
		_ = conn.Close()
	}
	if !errors.Is(err, ErrForbidden) {
		t.Errorf("dial over UDP: %v, want ErrForbidden", err)
	}
}
