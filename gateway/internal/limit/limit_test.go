package limit_test

import (
	"encoding/binary"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mcp-gateway/gateway/internal/limit"
)

var start = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// allowed counts how many of n requests at one moment get through.
func allowed(l *limit.Limiter, addr netip.Addr, n int, now time.Time) int {
	count := 0
	for range n {
		if ok, _ := l.Allow(addr, now); ok {
			count++
		}
	}
	return count
}

// numbered gives distinct addresses: i in the given byte and the one after.
func numbered(addr string, at int, i int) netip.Addr {
	b := netip.MustParseAddr(addr).AsSlice()
	binary.BigEndian.PutUint16(b[at:], uint16(i))
	out, _ := netip.AddrFromSlice(b)
	return out
}

func TestABurstAndThenTheRate(t *testing.T) {
	t.Parallel()
	l := limit.NewLimiter(limit.Config{PerMinute: 30, Burst: 5})
	addr := netip.MustParseAddr("192.0.2.1")
	if got := allowed(l, addr, 10, start); got != 5 {
		t.Errorf("at once: got %d, want 5", got)
	}
	ok, retryAfter := l.Allow(addr, start)
	if ok || retryAfter != 2*time.Second {
		t.Errorf("the sixth: got %t, retry after %s, want 2s", ok, retryAfter)
	}
	if ok, retryAfter = l.Allow(addr, start.Add(1500*time.Millisecond)); ok || retryAfter != 500*time.Millisecond {
		t.Errorf("too early: got %t, retry after %s, want 500ms", ok, retryAfter)
	}
	// Asking too often must not push the moment away.
	if ok, retryAfter = l.Allow(addr, start.Add(2*time.Second)); !ok || retryAfter != 0 {
		t.Errorf("at the announced moment: got %t, retry after %s", ok, retryAfter)
	}
	if got := allowed(l, addr, 10, start.Add(time.Hour)); got != 5 {
		t.Errorf("an hour later: got %d, want 5", got)
	}
}

func TestTheRateHoldsInTheLongRun(t *testing.T) {
	t.Parallel()
	// One request a second for ten minutes, across many turns of the table.
	l := limit.NewLimiter(limit.Config{PerMinute: 30, Burst: 5})
	addr, count := netip.MustParseAddr("192.0.2.1"), 0
	for i := range 600 {
		count += allowed(l, addr, 1, start.Add(time.Duration(i)*time.Second))
	}
	if count < 300 || count > 305 {
		t.Errorf("got %d requests in ten minutes, want 300 and a burst", count)
	}
}

func TestWhoSharesALimit(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, a, b string
		shared     bool
	}{
		{name: "an IPv4 address and itself in IPv6 form", a: "192.0.2.1", b: "::ffff:192.0.2.1", shared: true},
		{name: "two addresses of one /64", a: "2001:db8::1", b: "2001:db8::ffff:ffff:ffff:ffff", shared: true},
		{name: "two requests without an address", a: "", b: "", shared: true},
		{name: "two IPv4 addresses", a: "192.0.2.1", b: "192.0.2.2"},
		{name: "two /64s", a: "2001:db8::1", b: "2001:db8:0:1::1"},
		{name: "no address and loopback", a: "", b: "::1"},
		{name: "IPv4 and the IPv6 addresses around it", a: "0.0.0.1", b: "::1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := limit.NewLimiter(limit.Config{PerMinute: 1, Burst: 1})
			a, _ := netip.ParseAddr(tt.a)
			b, _ := netip.ParseAddr(tt.b)
			if ok, _ := l.Allow(a, start); !ok {
				t.Fatal("the first request is refused")
			}
			if ok, _ := l.Allow(b, start); ok == tt.shared {
				t.Errorf("the second request: got %t, want shared %t", ok, tt.shared)
			}
		})
	}
}

func TestAForgottenLimitLetsNothingThrough(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		cfg  limit.Config
	}{
		{name: "nothing set"},
		{name: "no burst", cfg: limit.Config{PerMinute: 60}},
		{name: "negative values", cfg: limit.Config{PerMinute: -1, Burst: -1, MaxKeys: -1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := limit.NewLimiter(tt.cfg)
			for i := range 3 {
				ok, retryAfter := l.Allow(netip.MustParseAddr("192.0.2.1"), start.Add(time.Duration(i)*time.Hour))
				if ok || retryAfter <= 0 || retryAfter > time.Hour {
					t.Errorf("got %t, retry after %s", ok, retryAfter)
				}
			}
		})
	}
	// A burst without a rate is spent once, and never comes back.
	l := limit.NewLimiter(limit.Config{Burst: 2})
	if got := allowed(l, netip.MustParseAddr("192.0.2.1"), 5, start); got != 2 {
		t.Errorf("got %d, want 2", got)
	}
	if ok, retryAfter := l.Allow(netip.MustParseAddr("192.0.2.1"), start.Add(1000*time.Hour)); ok || retryAfter != time.Hour {
		t.Errorf("got %t, retry after %s", ok, retryAfter)
	}
}

func TestAFloodGivesNobodyTheirBurstBack(t *testing.T) {
	t.Parallel()
	l := limit.NewLimiter(limit.Config{PerMinute: 6, Burst: 2, MaxKeys: 64})
	blocked := netip.MustParseAddr("192.0.2.1")
	if got := allowed(l, blocked, 5, start); got != 2 {
		t.Fatalf("got %d, want 2", got)
	}
	for i := range 10_000 {
		l.Allow(numbered("2001:db8:aaaa::", 6, i), start.Add(time.Second))
	}
	if ok, _ := l.Allow(blocked, start.Add(2*time.Second)); ok {
		t.Error("a blocked address got through after a flood from others")
	}
}

func TestAFullTableCountsNewcomersByNetwork(t *testing.T) {
	t.Parallel()
	const burst = 3
	l := limit.NewLimiter(limit.Config{PerMinute: 6, Burst: burst, MaxKeys: 64})
	known := netip.MustParseAddr("198.51.100.1")
	if ok, _ := l.Allow(known, start); !ok {
		t.Fatal("the first request is refused")
	}

	// One flooder with a whole /32, and so 2^32 networks of one subscriber.
	passed := 0
	for i := range 20_000 {
		passed += allowed(l, numbered("2001:db8::", 4, i), 1, start)
	}
	if most := 64 + burst; passed > most {
		t.Errorf("%d requests of the flood got through, want at most %d", passed, most)
	}
	if passed < 32 {
		t.Errorf("%d requests of the flood got through, want the table to be in use", passed)
	}

	if got := allowed(l, known, 5, start); got != burst-1 {
		t.Errorf("an address known before: got %d more, want %d", got, burst-1)
	}
	// Newcomers from elsewhere still get in. A few may meet the flooder, or
	// each other, in one of the shared buckets.
	newcomers := 0
	for i := range 64 {
		newcomers += allowed(l, numbered("10.0.0.1", 0, 0x0a00+i), 1, start)
	}
	if newcomers < 60 {
		t.Errorf("%d of 64 newcomers from other networks got in", newcomers)
	}
	// And none of them has no limit.
	if got := allowed(l, numbered("10.0.0.1", 0, 0x0b00), 100, start); got > burst {
		t.Errorf("a newcomer made %d requests, want at most %d", got, burst)
	}

	// Once the flood is over, there is room again: four addresses of one
	// network, as many as any part of the table holds, each have a burst.
	later := start.Add(5 * time.Minute)
	for i := range 4 {
		if got := allowed(l, numbered("203.0.113.0", 2, i), 5, later); got != burst {
			t.Fatalf("after the flood: got %d, want %d", got, burst)
		}
	}
}

func TestMemoryIsBounded(t *testing.T) {
	// Not parallel: it weighs the heap.
	l := limit.NewLimiter(limit.Config{PerMinute: 6, Burst: 3, MaxKeys: 1024})
	before := heap()
	for i := range 1 << 16 {
		l.Allow(numbered("2001:db8::", 4, i), start.Add(time.Duration(i)*10*time.Millisecond))
	}
	after := heap()
	if grown := int64(after) - int64(before); grown > 1<<20 {
		t.Errorf("the heap grew by %d bytes for 1024 keys", grown)
	}
	runtime.KeepAlive(l)
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestConcurrentRequestsNeverExceedTheBurst(t *testing.T) {
	t.Parallel()
	const burst, callers = 50, 16
	l := limit.NewLimiter(limit.Config{PerMinute: 1, Burst: burst, MaxKeys: 8})
	addr := netip.MustParseAddr("192.0.2.1")
	l.Allow(addr, start) // has its place in the table
	var passed atomic.Int64
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for i := range 200 {
				if ok, _ := l.Allow(addr, start); ok {
					passed.Add(1)
				}
				l.Allow(numbered("2001:db8::", 4, c*200+i), start.Add(time.Duration(i)*time.Second))
			}
		})
	}
	wg.Wait()
	if got := passed.Load(); got != burst-1 {
		t.Errorf("got %d, want %d", got, burst-1)
	}
}

func BenchmarkAllow(b *testing.B) {
	b.Run("known", func(b *testing.B) {
		l := limit.NewLimiter(limit.Config{PerMinute: 1e9, Burst: 1e6})
		addr := netip.MustParseAddr("192.0.2.1")
		b.ReportAllocs()
		for b.Loop() {
			l.Allow(addr, start)
		}
	})
	b.Run("flood", func(b *testing.B) {
		l := limit.NewLimiter(limit.Config{PerMinute: 30, Burst: 30, MaxKeys: 1024})
		i := 0
		b.ReportAllocs()
		for b.Loop() {
			l.Allow(numbered("2001:db8::", 4, i), start)
			i++
		}
	})
}
