package token

import (
	"context"
	"errors"
	"sync"
)

// errDropped ends what was watched: the grant may have been revoked.
var errDropped = errors.New("the access was ended")

// watches are the contexts that end when their grant does.
type watches struct {
	mu sync.Mutex // guards below
	of map[string]map[*context.CancelCauseFunc]bool
}

// Watch returns a context that also ends when the grant is revoked, by this process,
// and what to call when that is of no interest any more. It may end without a
// revocation: whoever comes back is checked again.
func (s *Service) Watch(ctx context.Context, grantID string) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &s.watch
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.of == nil {
		w.of = make(map[string]map[*context.CancelCauseFunc]bool)
	}
	if w.of[grantID] == nil {
		w.of[grantID] = make(map[*context.CancelCauseFunc]bool)
	}
	w.of[grantID][&cancel] = true
	return ctx, func() {
		cancel(nil)
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.of[grantID], &cancel)
		if len(w.of[grantID]) == 0 {
			delete(w.of, grantID)
		}
	}
}

// drop forgets what is known of some grants, and ends what watches them.
func (s *Service) drop(grantIDs ...string) {
	s.cache.dropGrants(grantIDs...)
	s.watch.mu.Lock()
	defer s.watch.mu.Unlock()
	for _, id := range grantIDs {
		for cancel := range s.watch.of[id] {
			(*cancel)(errDropped)
		}
	}
}
