package token

import (
	"context"
	"errors"
	"sync"
	"time"

	"mcp-gateway/gateway/internal/access"
)

// errDropped ends what was watched: the grant may have been revoked.
var errDropped = errors.New("the access was ended")

// droppedFor is how long a dropped grant is remembered: longer than any request
// takes from the check of its token to the end of its body.
const droppedFor = 5 * time.Minute

// watches are the contexts that end when their grant does.
type watches struct {
	mu sync.Mutex // guards below
	of map[string]map[*context.CancelCauseFunc]bool
	// dropped are the grants that were dropped a short time ago, and when.
	dropped map[string]time.Time
}

// Watch returns a context that also ends when the grant of a principal is revoked,
// by this process, or was since the principal was verified; and what to call when
// that is of no interest any more. It may end without a revocation: whoever comes
// back is checked again.
func (s *Service) Watch(ctx context.Context, p *access.Principal) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &s.watch
	w.mu.Lock()
	defer w.mu.Unlock()
	if at, ok := w.dropped[p.GrantID]; ok && !p.CheckedAt.After(at) {
		cancel(errDropped)
	}
	if w.of == nil {
		w.of = make(map[string]map[*context.CancelCauseFunc]bool)
	}
	if w.of[p.GrantID] == nil {
		w.of[p.GrantID] = make(map[*context.CancelCauseFunc]bool)
	}
	w.of[p.GrantID][&cancel] = true
	return ctx, func() {
		cancel(nil)
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.of[p.GrantID], &cancel)
		if len(w.of[p.GrantID]) == 0 {
			delete(w.of, p.GrantID)
		}
	}
}

// drop forgets what is known of some grants, and ends what watches them.
func (s *Service) drop(grantIDs ...string) {
	s.cache.dropGrants(grantIDs...)
	w, now := &s.watch, time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dropped == nil {
		w.dropped = make(map[string]time.Time)
	}
	for id, at := range w.dropped {
		if now.Sub(at) > droppedFor {
			delete(w.dropped, id)
		}
	}
	for _, id := range grantIDs {
		w.dropped[id] = now
		for cancel := range w.of[id] {
			(*cancel)(errDropped)
		}
	}
}
