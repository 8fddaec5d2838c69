package limit

import (
	"encoding/json"
	"hash/maphash"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"mcp-gateway/shared/oauth"
)

// Config of a Limiter.
type Config struct {
	// PerMinute is how many requests an address may make in the long run,
	// Burst how many at once.
	PerMinute float64
	Burst     int
}

const (
	shards = 32
	// keysPerShard bounds the memory: about 130,000 addresses in all.
	keysPerShard = 4096
)

// Limiter counts requests per address: an IPv4 address, or an IPv6 /64, which
// is what one customer has.
//
// When more addresses ask than it can hold, the one that has been quiet
// longest among a few is forgotten: a flood of addresses may get more than its
// share for a moment, but nobody else is locked out and memory stays bounded.
type Limiter struct {
	rate   rate.Limit
	burst  int
	seed   maphash.Seed
	shards [shards]shard
}

type shard struct {
	mu sync.Mutex
	// guards below
	keys map[netip.Addr]*bucket
}

type bucket struct {
	limiter *rate.Limiter
	last    time.Time
}

// NewLimiter returns a Limiter.
func NewLimiter(cfg Config) *Limiter {
	l := &Limiter{rate: rate.Limit(cfg.PerMinute / 60), burst: cfg.Burst, seed: maphash.MakeSeed()}
	for i := range l.shards {
		l.shards[i].keys = make(map[netip.Addr]*bucket)
	}
	return l
}

// Allow counts one request at now. If it is too many, it returns after how
// long the next is allowed.
func (l *Limiter) Allow(addr netip.Addr, now time.Time) (ok bool, retryAfter time.Duration) {
	key := keyOf(addr)
	s := &l.shards[maphash.Comparable(l.seed, key)%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.keys[key]
	if b == nil {
		if len(s.keys) >= keysPerShard {
			s.forgetOne()
		}
		b = &bucket{limiter: rate.NewLimiter(l.rate, l.burst)}
		s.keys[key] = b
	}
	b.last = now
	if b.limiter.AllowN(now, 1) {
		return true, 0
	}
	missing := 1 - b.limiter.TokensAt(now)
	return false, time.Duration(missing / float64(l.rate) * float64(time.Second))
}

// forgetOne drops the quietest of the first few of the map's random order.
func (s *shard) forgetOne() {
	var oldest netip.Addr
	var last time.Time
	n := 0
	for key, b := range s.keys {
		if n == 0 || b.last.Before(last) {
			oldest, last = key, b.last
		}
		if n++; n == 8 {
			break
		}
	}
	delete(s.keys, oldest)
}

func keyOf(addr netip.Addr) netip.Addr {
	if addr.Is6() && !addr.Is4In6() {
		p, err := addr.WithZone("").Prefix(64)
		if err == nil {
			return p.Addr()
		}
	}
	return addr.Unmap()
}

// Wrap answers 429 to an address that asks too often and passes the rest on.
func (l *Limiter) Wrap(next http.Handler, address func(*http.Request) netip.Addr) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ok, retryAfter := l.Allow(address(r), time.Now())
		if ok {
			next.ServeHTTP(w, r)
			return
		}
		seconds := strconv.Itoa(int(math.Ceil(retryAfter.Seconds())))
		body, err := json.Marshal(oauth.ErrorResponse{
			Error:            oauth.CodeTemporarilyUnavailable,
			ErrorDescription: "too many requests from this address; try again in " + seconds + " s",
		})
		if err != nil {
			http.Error(w, "too many requests", http.StatusTooManyRequests)
			return
		}
		h := w.Header()
		h.Set("Retry-After", seconds)
		h.Set("Content-Type", "application/json")
		h.Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = w.Write(body)
	})
}
