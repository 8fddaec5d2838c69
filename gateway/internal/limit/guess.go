package limit

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Guesses bounds tries of something short enough to be guessed (RFC 8628 §5.1):
// those of each address, as a Limiter does, and the wrong ones of all addresses
// together, so that many addresses are of no use.
type Guesses struct {
	each *Limiter
	all  *rate.Limiter

	mu sync.Mutex
	// guards below
	latest time.Time
}

// NewGuesses returns a Guesses that lets each address try as each says, and all of
// them be wrong as all says, of which MaxKeys means nothing.
func NewGuesses(each, all Config) *Guesses {
	return &Guesses{each: NewLimiter(each), all: rate.NewLimiter(rate.Limit(max(all.PerMinute, 0)/60), max(all.Burst, 0))}
}

// Allow counts a try before it is looked at, as a wrong one, and reports whether it
// may be looked at. Call right if it was no wrong one.
func (g *Guesses) Allow(addr netip.Addr, now time.Time) (right func(), ok bool) {
	now = g.forward(now)
	if ok, _ := g.each.Allow(addr, now); !ok {
		return nil, false
	}
	counted := g.all.ReserveN(now, 1)
	if !counted.OK() || counted.DelayFrom(now) > 0 {
		counted.CancelAt(now)
		return nil, false
	}
	return func() { counted.CancelAt(now) }, true
}

// forward is now, but never earlier than before: a rate.Limiter that is asked about
// an earlier time gives what came since then once more, and whoever sends a form
// slowly chooses how much earlier theirs is.
func (g *Guesses) forward(now time.Time) time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	if now.After(g.latest) {
		g.latest = now
	}
	return g.latest
}
