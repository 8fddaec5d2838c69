package mcphttp

import (
	"context"
	"errors"
	"sync"

	"mcp-gateway/gateway/internal/access"
)

var (
	errCancelled = errors.New("cancelled by the client")
	errTimeout   = errors.New("out of time")
	errRevoked   = errors.New("the access was revoked")
)

// callKey names a legacy call that can be cancelled. The session is in it, and
// a session is one person's through one client: nobody else's notification
// reaches the call.
type callKey struct {
	session sessionID
	id      string // by wire.IDKey
}

// calls are the legacy calls under way.
type calls struct {
	mu     sync.Mutex // guards below
	cancel map[callKey]*context.CancelCauseFunc
}

// add makes the call known until done is called.
func (c *calls) add(key callKey, cancel context.CancelCauseFunc) (done func()) {
	entry := &cancel
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cancel == nil {
		c.cancel = make(map[callKey]*context.CancelCauseFunc)
	}
	c.cancel[key] = entry
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		// A client that used the id twice has replaced the entry.
		if c.cancel[key] == entry {
			delete(c.cancel, key)
		}
	}
}

// stop cancels the call, if it is under way.
func (c *calls) stop(key callKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if cancel, ok := c.cancel[key]; ok {
		(*cancel)(errCancelled)
	}
}

// slots bound how many requests of one person are served at a time.
type slots struct {
	limit int

	mu    sync.Mutex // guards below
	taken map[person]int
}

// person is who a principal is, through whatever client (DESIGN D7); or a client
// that asks for itself, which is not any other that does.
type person struct{ tenant, object, client string }

func personOf(p *access.Principal) person {
	if p.Nobody() {
		return person{client: p.ClientID}
	}
	return person{tenant: p.Tenant, object: p.Object}
}

func (s *slots) take(p *access.Principal) bool {
	who := personOf(p)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken[who] >= s.limit {
		return false
	}
	if s.taken == nil {
		s.taken = make(map[person]int)
	}
	s.taken[who]++
	return true
}

func (s *slots) give(p *access.Principal) {
	who := personOf(p)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken[who]--; s.taken[who] == 0 {
		delete(s.taken, who)
	}
}
