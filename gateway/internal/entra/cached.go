package entra

import (
	"context"
	"sync"
	"time"
)

const (
	// retryAfter a failure Microsoft is asked again.
	retryAfter = 10 * time.Second
	// demandEvery limits fetches for want of something that a fresh value
	// does not have: Microsoft asks for at most one in 5 minutes.
	demandEvery = 5 * time.Minute
)

// cached is the last good answer to a question that Microsoft is asked now
// and then. One caller asks at a time, in its own context; the others wait and
// then look again.
type cached[T any] struct {
	fresh time.Duration // how long an answer is served without asking again
	kept  time.Duration // how long one is served while asking fails
	turn  chan struct{} // whoever put something in it may ask

	mu sync.Mutex
	// guards below
	value      T
	at         time.Time // when value was fetched; zero: never
	demandedAt time.Time // the same, of a fetch that freshness did not call for
	failedAt   time.Time // when the last fetch failed; zero: it did not
	err        error     // why
}

func newCached[T any](fresh, kept time.Duration) *cached[T] {
	return &cached[T]{fresh: fresh, kept: kept, turn: make(chan struct{}, 1)}
}

// get returns an answer, if it can one that will do. The caller must look
// again: an answer that will not do is returned when a new one is not due.
// The error is what fetch returned, to this caller or to one shortly before.
func (c *cached[T]) get(ctx context.Context, now time.Time, willDo func(T) bool, fetch func(context.Context) (T, error)) (T, error) {
	if v, done, err := c.look(now, willDo); done {
		return v, err
	}
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return *new(T), unavailable(context.Cause(ctx))
	}
	if v, done, err := c.look(now, willDo); done {
		return v, err // another caller has asked meanwhile
	}
	start := time.Now()
	v, err := fetch(ctx)
	now = now.Add(time.Since(start))
	if err != nil && ctx.Err() != nil {
		return v, err // this caller gave up, which says nothing to others
	}
	return c.keep(now, v, err, willDo)
}

// look reports done unless it is time to ask.
func (c *cached[T]) look(now time.Time, willDo func(T) bool) (v T, done bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fresh := !c.at.IsZero() && now.Sub(c.at) < c.fresh
	switch {
	case fresh && willDo(c.value):
		return c.value, true, nil
	case !c.failedAt.IsZero() && now.Sub(c.failedAt) < retryAfter,
		fresh && !c.demandedAt.IsZero() && now.Sub(c.demandedAt) < demandEvery:
		v, err = c.last(now, willDo)
		return v, true, err
	}
	return v, false, nil
}

// keep records the outcome of a fetch that ended now.
func (c *cached[T]) keep(now time.Time, v T, err error, willDo func(T) bool) (T, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.failedAt, c.err = now, err
		return c.last(now, willDo)
	}
	if !c.at.IsZero() && now.Sub(c.at) < c.fresh {
		c.demandedAt = now
	}
	c.value, c.at, c.failedAt, c.err = v, now, time.Time{}, nil
	return v, nil
}

// last is the answer there is, or why there is no newer one. The caller holds mu.
func (c *cached[T]) last(now time.Time, willDo func(T) bool) (T, error) {
	if c.err != nil && (c.at.IsZero() || now.Sub(c.at) >= c.kept || !willDo(c.value)) {
		return *new(T), c.err
	}
	return c.value, nil
}
