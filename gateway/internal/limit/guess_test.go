package limit_test

import (
	"net/netip"
	"testing"
	"time"

	"mcp-gateway/gateway/internal/limit"
)

func address(n byte) netip.Addr { return netip.AddrFrom4([4]byte{198, 51, 100, n}) }

func TestGuessesOfOneAddressAreBounded(t *testing.T) {
	t.Parallel()
	g := limit.NewGuesses(limit.Config{PerMinute: 1, Burst: 3}, limit.Config{PerMinute: 1000, Burst: 1000})
	now := time.Now()
	for range 3 {
		right, ok := g.Allow(address(1), now)
		if !ok {
			t.Fatal("a guess within the burst is refused")
		}
		right() // right ones count for the address too
	}
	if _, ok := g.Allow(address(1), now); ok {
		t.Error("a guess beyond the burst is let through")
	}
	if _, ok := g.Allow(address(2), now); !ok {
		t.Error("another address pays for the first")
	}
	if _, ok := g.Allow(address(1), now.Add(time.Minute)); !ok {
		t.Error("a minute later, the guess of that minute is refused")
	}
}

func TestWrongGuessesOfAllAddressesAreBounded(t *testing.T) {
	t.Parallel()
	g := limit.NewGuesses(limit.Config{PerMinute: 60, Burst: 60}, limit.Config{PerMinute: 2, Burst: 4})
	now := time.Now()
	for n := range byte(50) {
		right, ok := g.Allow(address(n), now)
		if !ok {
			t.Fatalf("right guess %d is refused", n)
		}
		right()
	}
	for n := range byte(4) {
		if _, ok := g.Allow(address(n), now); !ok {
			t.Fatalf("wrong guess %d is refused", n)
		}
	}
	for n := range byte(100) {
		if _, ok := g.Allow(address(n), now); ok {
			t.Fatalf("address %d guesses beyond what all may", n)
		}
	}
	if _, ok := g.Allow(address(200), now.Add(30*time.Second)); !ok {
		t.Error("half a minute later none is let through")
	}
	if _, ok := g.Allow(address(201), now.Add(30*time.Second)); ok {
		t.Error("half a minute later two are let through")
	}
}

func TestForgottenGuessesLetNothingThrough(t *testing.T) {
	t.Parallel()
	for name, g := range map[string]*limit.Guesses{
		"both":    limit.NewGuesses(limit.Config{}, limit.Config{}),
		"of each": limit.NewGuesses(limit.Config{}, limit.Config{PerMinute: 1, Burst: 1}),
		"of all":  limit.NewGuesses(limit.Config{PerMinute: 1, Burst: 1}, limit.Config{}),
	} {
		if _, ok := g.Allow(address(1), time.Now()); ok {
			t.Errorf("a forgotten limit, %s, lets a guess through", name)
		}
	}
}

// TestGuessesThatComeLateAreNotGivenTwice: a form that is sent slowly is looked at
// with the time of its first byte, and takes no other back to that time.
func TestGuessesThatComeLateAreNotGivenTwice(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for name, g := range map[string]*limit.Guesses{
		"of one address":   limit.NewGuesses(limit.Config{PerMinute: 60, Burst: 60}, limit.Config{PerMinute: 6000, Burst: 6000}),
		"of all addresses": limit.NewGuesses(limit.Config{PerMinute: 6000, Burst: 6000}, limit.Config{PerMinute: 60, Burst: 60}),
	} {
		let := 0
		for range 1000 {
			for _, at := range []time.Time{now, now.Add(-30 * time.Second)} {
				if _, ok := g.Allow(address(1), at); ok {
					let++
				}
			}
		}
		if let != 60 {
			t.Errorf("%s: %d guesses were let through at once, want the 60 of the burst", name, let)
		}
	}
}
