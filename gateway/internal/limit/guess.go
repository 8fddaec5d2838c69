package limit

import (
	"net/netip"
	"time"

	"golang.org/x/time/rate"
)

// Guesses bounds tries of something short enough to be guessed (RFC 8628 §5.1):
// those of each address, as a Limiter does, and the wrong ones of all addresses
// together, so that many addresses are of no use.
type Guesses struct {
	each *Limiter
	all  *rate.Limiter
}

// NewGuesses returns a Guesses that lets each address try as each says, and all of
// them be wrong as all says, of which MaxKeys means nothing.
func NewGuesses(each, all Config) *Guesses {
	return &Guesses{each: NewLimiter(each), all: rate.NewLimiter(rate.Limit(max(all.PerMinute, 0)/60), max(all.Burst, 0))}
}

// Allow counts a try before it is looked at, as a wrong one, and reports whether it
// may be looked at. Call right if it was no wrong one.
func (g *Guesses) Allow(addr netip.Addr, now time.Time) (right func(), ok bool) {
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
