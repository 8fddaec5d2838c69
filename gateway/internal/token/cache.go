package token

import (
	"sync"
	"sync/atomic"
	"time"

	"mcp-gateway/gateway/internal/access"
	"mcp-gateway/gateway/internal/store"
)

const (
	// recheckAfter is how long a verified token is believed without asking
	// the store again. It bounds how long another process's revocation goes
	// unnoticed (DESIGN, promise 5: never later than 5 seconds).
	recheckAfter = 4 * time.Second
	shardCount   = 64
	// shardBound entries a shard, about 260,000 tokens in all.
	shardBound = 4096
)

// cache holds verified tokens. A look-up takes one read lock and allocates
// nothing.
type cache struct {
	shards [shardCount]shard
	// drops counts the calls of dropGrants.
	drops atomic.Uint64
}

type shard struct {
	mu sync.RWMutex
	// guards below
	entries map[store.Hash]entry
}

type entry struct {
	principal *access.Principal
	// recheck is when the store must be asked again: recheckAfter or the
	// token's end, whichever is earlier.
	recheck time.Time
}

func newCache() *cache {
	c := &cache{}
	for i := range c.shards {
		c.shards[i].entries = make(map[store.Hash]entry)
	}
	return c
}

func (c *cache) shard(h store.Hash) *shard { return &c.shards[h[0]%shardCount] }

// get returns the principal of a token verified a moment ago, or nil.
func (c *cache) get(h store.Hash, now time.Time) *access.Principal {
	s := c.shard(h)
	s.mu.RLock()
	e, ok := s.entries[h]
	s.mu.RUnlock()
	if !ok || !now.Before(e.recheck) {
		return nil
	}
	return e.principal
}

// put keeps what the store said, unless a grant was dropped since drops was
// read, which is before the store was asked: it may have been this one.
func (c *cache) put(h store.Hash, p *access.Principal, drops uint64, now time.Time) {
	s := c.shard(h)
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.drops.Load() != drops {
		return
	}
	if len(s.entries) >= shardBound {
		s.evict(now)
	}
	s.entries[h] = entry{principal: p, recheck: earlier(now.Add(recheckAfter), p.ExpiresAt)}
}

// evict drops what must be rechecked anyway, and otherwise one at random: a
// lost entry costs one look-up.
func (s *shard) evict(now time.Time) {
	for h, e := range s.entries {
		if !now.Before(e.recheck) {
			delete(s.entries, h)
		}
	}
	for h := range s.entries {
		if len(s.entries) < shardBound {
			return
		}
		delete(s.entries, h)
	}
}

// dropGrants forgets every token of some grants. It reads the whole cache, which
// is fine for something as rare as a revocation.
func (c *cache) dropGrants(grantIDs ...string) {
	if len(grantIDs) == 0 {
		return
	}
	gone := make(map[string]bool, len(grantIDs))
	for _, id := range grantIDs {
		gone[id] = true
	}
	// Before the entries go: what is put meanwhile is seen here, or is not kept.
	c.drops.Add(1)
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		for h, e := range s.entries {
			if gone[e.principal.GrantID] {
				delete(s.entries, h)
			}
		}
		s.mu.Unlock()
	}
}
