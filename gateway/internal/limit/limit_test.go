package limit_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"mcp-gateway/gateway/internal/limit"
)

func TestAddressesBelievesOnlyTrustedProxies(t *testing.T) {
	t.Parallel()
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, tt := range []struct {
		name    string
		peer    string
		forward []string
		want    string
	}{
		{"no proxy", "203.0.113.7:1", nil, "203.0.113.7"},
		{"a stranger's claim is not believed", "203.0.113.7:1", []string{"198.51.100.1"}, "203.0.113.7"},
		{"one proxy", "10.0.0.1:1", []string{"198.51.100.1"}, "198.51.100.1"},
		{"two proxies, two lines", "10.0.0.1:1", []string{"198.51.100.1", "10.0.0.2"}, "198.51.100.1"},
		{"what the client wrote itself is left of the truth", "10.0.0.1:1", []string{"192.0.2.1, 198.51.100.1"}, "198.51.100.1"},
		{"a proxy without the header", "10.0.0.1:1", nil, "10.0.0.1"},
		{"a malformed entry ends the walk", "10.0.0.1:1", []string{"198.51.100.1, evil, 10.0.0.2"}, "10.0.0.2"},
		{"only proxies", "10.0.0.1:1", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		{"IPv6", "[fd00::1]:1", []string{"2001:db8::7"}, "2001:db8::7"},
		{"an IPv4 address in IPv6", "[::ffff:10.0.0.1]:1", []string{"::ffff:198.51.100.1"}, "198.51.100.1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.RemoteAddr = tt.peer
			r.Header["X-Forwarded-For"] = tt.forward
			if got := (limit.Addresses{Trusted: trusted}).Of(r).String(); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestLimiter(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	l := limit.NewLimiter(limit.Config{PerMinute: 60, Burst: 3})
	a, b := netip.MustParseAddr("203.0.113.7"), netip.MustParseAddr("203.0.113.8")
	for i := range 3 {
		if ok, _ := l.Allow(a, now); !ok {
			t.Fatalf("request %d of the burst was refused", i)
		}
	}
	ok, retry := l.Allow(a, now)
	if ok || retry <= 0 || retry > time.Second {
		t.Errorf("beyond the burst: %v, retry after %s", ok, retry)
	}
	if ok, _ := l.Allow(b, now); !ok {
		t.Error("another address was refused")
	}
	if ok, _ := l.Allow(a, now.Add(retry)); !ok {
		t.Error("refused after the time that was told")
	}
	if ok, _ := l.Allow(netip.MustParseAddr("::ffff:203.0.113.7"), now.Add(retry)); ok {
		t.Error("the same address in IPv6 is another")
	}
}

func TestOneIPv6CustomerIsOneAddress(t *testing.T) {
	t.Parallel()
	l := limit.NewLimiter(limit.Config{PerMinute: 1, Burst: 1})
	now := time.Unix(1_800_000_000, 0)
	l.Allow(netip.MustParseAddr("2001:db8:1:2::1"), now)
	if ok, _ := l.Allow(netip.MustParseAddr("2001:db8:1:2:ffff::9"), now); ok {
		t.Error("the same /64 got a bucket of its own")
	}
	if ok, _ := l.Allow(netip.MustParseAddr("2001:db8:1:3::1"), now); !ok {
		t.Error("another /64 was refused")
	}
}

// TestAFloodOfAddressesLocksNobodyOut: memory is bounded, and somebody new is
// still served.
func TestAFloodOfAddressesLocksNobodyOut(t *testing.T) {
	t.Parallel()
	l := limit.NewLimiter(limit.Config{PerMinute: 1, Burst: 1})
	now := time.Unix(1_800_000_000, 0)
	for i := range uint32(150_000) {
		l.Allow(netip.AddrFrom4([4]byte{byte(100 + i>>24), byte(i >> 16), byte(i >> 8), byte(i)}), now)
	}
	if ok, _ := l.Allow(netip.MustParseAddr("203.0.113.7"), now); !ok {
		t.Error("a newcomer was refused")
	}
	if ok, _ := l.Allow(netip.MustParseAddr("203.0.113.7"), now); ok {
		t.Error("the limit is off after a flood")
	}
}

func TestWrap(t *testing.T) {
	t.Parallel()
	l := limit.NewLimiter(limit.Config{PerMinute: 1, Burst: 1})
	h := l.Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }), limit.Addresses{}.Of)
	for _, want := range []int{http.StatusNoContent, http.StatusTooManyRequests} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		if w.Code != want {
			t.Fatalf("status %d, want %d", w.Code, want)
		}
		if want == http.StatusTooManyRequests && (w.Header().Get("Retry-After") != "60" || w.Header().Get("Cache-Control") != "no-store" || !strings.Contains(w.Body.String(), "temporarily_unavailable")) {
			t.Errorf("headers %v, body %s", w.Header(), w.Body)
		}
	}
}

func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	l := limit.NewLimiter(limit.Config{PerMinute: 1, Burst: 100})
	now := time.Unix(1_800_000_000, 0)
	var wg sync.WaitGroup
	var mu sync.Mutex
	allowed := 0
	for range 8 {
		wg.Go(func() {
			for i := range 100 {
				l.Allow(netip.MustParseAddr(fmt.Sprintf("203.0.113.%d", i)), now)
				if ok, _ := l.Allow(netip.MustParseAddr("198.51.100.1"), now); ok {
					mu.Lock()
					allowed++
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	if allowed != 100 {
		t.Errorf("%d of 800 were allowed, want 100", allowed)
	}
}
