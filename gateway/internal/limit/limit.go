// Package limit bounds how often one remote address may ask. It owns the token
// buckets, the question whose address a request is, and the 429 answer.
//
// It refuses to own identity: an address is not a person, so these limits only
// stand where nobody has signed in yet, and should be wide enough for an office
// behind one address. Each replica counts for itself.
package limit

import (
	"hash/maphash"
	"math"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	defaultMaxKeys = 1 << 16
	maxShards      = 16
	// overflowBuckets are shared by the addresses that find the table full.
	overflowBuckets = 1024
	// longestWait is the most that anybody is told to wait.
	longestWait = time.Hour
)

// Config is a limit for each address. The zero value lets nothing through: a
// forgotten limit must not look like a working one.
type Config struct {
	// PerMinute is how many requests an address may make in the long run.
	PerMinute float64
	// Burst is how many it may make at once.
	Burst int
	// MaxKeys bounds how many addresses are counted one by one, and so the
	// memory. Default 65536, which is about 9 MB when all are in use.
	MaxKeys int
}

// Limiter is a token bucket for each IPv4 address and each IPv6 /64, the least
// that one subscriber gets (RFC 6177 §2), in bounded memory.
//
// An address that was quiet for as long as its bucket takes to fill is the same
// as a new one, and is forgotten then. Never sooner: a flood from many
// addresses would give a blocked one its burst back. When the table is full
// all the same, the addresses in it keep their buckets, and a newcomer shares
// one with its network (IPv4 /16, IPv6 /32); networks are spread over
// overflowBuckets at random. So no request goes uncounted, and nobody can keep
// all newcomers out without addresses in thousands of networks: a flooder with
// a provider's whole /32 hurts that network and a thousandth of the others.
type Limiter struct {
	limit    rate.Limit
	burst    int
	refill   time.Duration // how long an empty bucket takes to fill
	seed     maphash.Seed  // so that nobody can choose addresses to meet in a shard or bucket
	shards   []shard
	overflow [overflowBuckets]*rate.Limiter
}

// NewLimiter returns a Limiter.
func NewLimiter(cfg Config) *Limiter {
	if cfg.MaxKeys <= 0 {
		cfg.MaxKeys = defaultMaxKeys
	}
	l := &Limiter{
		limit: rate.Limit(max(cfg.PerMinute, 0) / 60), burst: max(cfg.Burst, 0),
		seed: maphash.MakeSeed(), shards: make([]shard, min(maxShards, cfg.MaxKeys)),
	}
	l.refill = l.timeFor(float64(l.burst), math.MaxInt64)
	for i := range l.shards {
		l.shards[i].max = cfg.MaxKeys / len(l.shards)
	}
	for i := range l.overflow {
		l.overflow[i] = rate.NewLimiter(l.limit, l.burst)
	}
	return l
}

// Allow counts a request and reports whether it may go on; if not, retryAfter
// is how long until one may.
func (l *Limiter) Allow(addr netip.Addr, now time.Time) (ok bool, retryAfter time.Duration) {
	k := keyOf(addr)
	bucket := l.shards[l.hash(k)%uint64(len(l.shards))].bucket(k, l, now)
	if bucket == nil {
		bucket = l.overflow[l.hash(k.network())%overflowBuckets]
	}
	if bucket.AllowN(now, 1) {
		return true, 0
	}
	return false, l.timeFor(1-bucket.TokensAt(now), longestWait)
}

// timeFor returns how long it takes until so many tokens are there, or most.
func (l *Limiter) timeFor(tokens float64, most time.Duration) time.Duration {
	d := tokens / float64(l.limit) * float64(time.Second)
	if d < float64(most) {
		return time.Duration(d)
	}
	return most // also if no token ever comes: d is infinite or no number
}

func (l *Limiter) hash(k key) uint64 { return maphash.Bytes(l.seed, k[:]) }

// key is what is counted: an IPv4 address, mapped, or the first half of an
// IPv6 address.
type key [16]byte

func keyOf(addr netip.Addr) key {
	if !addr.IsValid() {
		return key{0: 0xff} // not a source address of anybody (RFC 4291 §2.7)
	}
	k := key(addr.As16())
	if !addr.Unmap().Is4() {
		clear(k[8:])
	}
	return k
}

// network is the /16 of an IPv4 address or the /32 of an IPv6 address.
func (k key) network() key {
	if netip.AddrFrom16(k).Is4In6() {
		clear(k[14:])
	} else {
		clear(k[4:])
	}
	return k
}

// shard is a part of the table, with a lock of its own.
type shard struct {
	mu sync.Mutex // guards below
	// fresh has the buckets used since turned, stale those that were last
	// used in the period before.
	fresh, stale map[key]*rate.Limiter
	turned       time.Time

	max int
}

// bucket returns the bucket of k, or nil if there is none and no room for one.
func (s *shard) bucket(k key, l *Limiter, now time.Time) *rate.Limiter {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turn(l.refill, now)
	if b, ok := s.fresh[k]; ok {
		return b
	}
	b, ok := s.stale[k]
	switch {
	case ok:
		delete(s.stale, k)
	case len(s.fresh)+len(s.stale) >= s.max:
		return nil
	default:
		b = rate.NewLimiter(l.limit, l.burst)
	}
	s.fresh[k] = b
	return b
}

// turn makes the fresh buckets stale and drops the stale ones, once a refill.
// What is dropped was last used a refill ago or more, so it is full. Nothing is
// searched and nothing runs in the background.
func (s *shard) turn(refill time.Duration, now time.Time) {
	age := now.Sub(s.turned)
	if s.fresh != nil && age < refill {
		return
	}
	s.stale = s.fresh
	if age-refill >= refill {
		s.stale = nil
	}
	s.fresh = make(map[key]*rate.Limiter)
	s.turned = now
}
