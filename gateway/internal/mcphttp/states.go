package mcphttp

import (
	"container/list"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"mcp-gateway/gateway/internal/access"
)

const (
	// maxStates bounds the legacy sessions that are remembered, of all and of one
	// person: one more takes the place of the one that was not used for the longest
	// time. After stateIdle without use one is forgotten in any case.
	maxStates          = 10_000
	maxStatesPerPerson = 200
	stateIdle          = time.Hour
	// forgetEvery is how often a look is taken at what can be forgotten.
	forgetEvery = time.Minute
)

// states are the sessions that are remembered.
type states struct {
	mu      sync.Mutex // guards below, and the use of each state
	all     map[sessionID]*state
	persons map[person]map[*state]bool
	// idle are those that nobody uses, the longest first.
	idle *list.List
}

// use is how a session is used.
type use struct {
	id sessionID
	// users are the requests that use it, and since is when the last one ended.
	users int
	since time.Time
	// idle is its place there while there are no users.
	idle *list.Element
}

func newStates() *states {
	return &states{all: make(map[sessionID]*state), persons: make(map[person]map[*state]bool), idle: list.New()}
}

// use returns the state of a session, which is made if there is none, and what to
// call when it is used no more. nil means that too many are in use.
func (ss *states) use(id sessionID, p *access.Principal) (s *state, done func()) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if s = ss.all[id]; s == nil {
		if s = ss.make(id, p); s == nil {
			return nil, nil
		}
	}
	if s.use.idle != nil {
		ss.idle.Remove(s.use.idle)
		s.use.idle = nil
	}
	s.use.users++
	return s, func() { ss.unuse(s, time.Now()) }
}

func (ss *states) unuse(s *state, now time.Time) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if s.use.users--; s.use.users == 0 && ss.all[s.use.id] == s {
		s.use.since, s.use.idle = now, ss.idle.PushBack(s)
	}
}

// make makes room for a new state, if there is none, and the state.
func (ss *states) make(id sessionID, p *access.Principal) *state {
	s := newState(string(owner(p)), personOf(p))
	s.use.id = id
	others := ss.persons[s.who]
	if len(others) >= maxStatesPerPerson {
		ss.drop(longest(others, s.owner))
	}
	if first := ss.idle.Front(); len(ss.all) >= maxStates && first != nil {
		ss.drop(first.Value.(*state))
	}
	if len(ss.all) >= maxStates || len(ss.persons[s.who]) >= maxStatesPerPerson {
		return nil
	}
	ss.all[id] = s
	if ss.persons[s.who] == nil {
		ss.persons[s.who] = make(map[*state]bool)
	}
	ss.persons[s.who][s] = true
	return s
}

// longest returns the session that nobody has used for the longest time, or nil. A
// client that begins many loses its own before those of the person's other clients.
func longest(all map[*state]bool, owner string) (found *state) {
	for s := range all {
		switch {
		case s.use.idle == nil:
		case found == nil,
			(s.owner == owner) != (found.owner == owner) && s.owner == owner,
			(s.owner == owner) == (found.owner == owner) && s.use.since.Before(found.use.since):
			found = s
		}
	}
	return found
}

// drop forgets a session, if there is one.
func (ss *states) drop(s *state) {
	if s == nil {
		return
	}
	if s.use.idle != nil {
		ss.idle.Remove(s.use.idle)
		s.use.idle = nil
	}
	delete(ss.all, s.use.id)
	if delete(ss.persons[s.who], s); len(ss.persons[s.who]) == 0 {
		delete(ss.persons, s.who)
	}
}

// end forgets a session that its client has ended.
func (ss *states) end(id sessionID, now time.Time) {
	ss.mu.Lock()
	s := ss.all[id]
	ss.drop(s)
	ss.mu.Unlock()
	if s != nil {
		s.end(now)
	}
}

// forget forgets what nobody comes back to, until ctx ends.
func (ss *states) forget(ctx context.Context) {
	ticks := time.NewTicker(forgetEvery)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticks.C:
			ss.collect(now)
		}
	}
}

// collect forgets the sessions that were not used for long, and the streams of the
// others that are over.
func (ss *states) collect(now time.Time) {
	ss.mu.Lock()
	for first := ss.idle.Front(); first != nil && now.Sub(first.Value.(*state).use.since) > stateIdle; first = ss.idle.Front() {
		ss.drop(first.Value.(*state))
	}
	ss.mu.Unlock()
	ss.each(func(s *state) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.tidy(now)
	})
}

// each calls f for every session.
func (ss *states) each(f func(*state)) {
	ss.mu.Lock()
	all := slices.Collect(maps.Values(ss.all))
	ss.mu.Unlock()
	for _, s := range all {
		f(s)
	}
}
