package mcphttp

import (
	"cmp"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/mark3labs/mcp-go/mcp"

	"mcp-gateway/gateway/internal/access"
	"mcp-gateway/shared/wire"
)

const (
	// maxStates bounds the legacy sessions that are remembered, of all and of one
	// person, and stateIdle is how long one that is not used is.
	maxStates          = 10_000
	maxStatesPerPerson = 200
	stateIdle          = time.Hour
	// maxSubscribed bounds the resources that one session subscribes to, and
	// maxAsked the questions to a client that wait for an answer.
	maxSubscribed = 500
	maxAsked      = 32
	// maxKept bounds the streams of a session that are over and can be come back to.
	// Together they are kept up to maxBytes.
	maxKept = 100
)

// state is what is remembered of a legacy session besides what its id says. It is
// lost when the gateway restarts; the session goes on without it, except that the
// client has to subscribe and to set its log level again.
type state struct {
	owner string
	who   person

	mu sync.Mutex // guards below
	// level is what the client wants to hear of logs; empty until it has said so.
	level mcp.LoggingLevel
	// revision and can are those of a stream, whose session has no id that could
	// say them.
	revision string
	can      can
	// subscribed are the resources whose changes it wants to hear of.
	subscribed map[string]bool
	// streams are those that can be come back to, by number.
	streams map[uint32]*events
	last    uint32
	// waiting is the stream that a GET waits on; nil if there is none.
	waiting *events
	// asked are the questions to the client that wait for its answer.
	asked    map[string]chan wire.Message
	question int
	used     time.Time
}

func newState(owner string, who person) *state {
	var random [4]byte
	_, _ = rand.Read(random[:]) // never fails since Go 1.24
	return &state{
		owner: owner, who: who, subscribed: make(map[string]bool), streams: make(map[uint32]*events),
		asked: make(map[string]chan wire.Message),
		// Not from the start again after a restart: an id of before is no stream of now.
		last: binary.BigEndian.Uint32(random[:]),
	}
}

// states are the sessions that are remembered.
type states struct {
	mu      sync.Mutex // guards below
	all     map[sessionID]*state
	persons map[person]int
}

func newStates() *states {
	return &states{all: make(map[sessionID]*state), persons: make(map[person]int)}
}

// of returns the state of a session, which is made if there is none. nil means
// that there are too many of this person's.
func (ss *states) of(id sessionID, p *access.Principal, now time.Time) *state {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	s := ss.all[id]
	if s == nil {
		who := person{p.Tenant, p.Object}
		if len(ss.all) >= maxStates || ss.persons[who] >= maxStatesPerPerson {
			ss.collect(now)
		}
		if len(ss.all) >= maxStates || ss.persons[who] >= maxStatesPerPerson {
			return nil
		}
		s = newState(string(owner(p)), who)
		ss.all[id] = s
		ss.persons[who]++
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used = now
	return s
}

// collect forgets the sessions that were not used for long.
func (ss *states) collect(now time.Time) {
	for id, s := range ss.all {
		s.mu.Lock()
		idle := now.Sub(s.used) > stateIdle && (s.waiting == nil || !s.waiting.isRead()) && len(s.asked) == 0
		s.mu.Unlock()
		if idle {
			ss.drop(id)
		}
	}
}

// used notes that a session was used until now.
func (ss *states) used(id sessionID, now time.Time) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if s := ss.all[id]; s != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.used = now
	}
}

func (ss *states) drop(id sessionID) {
	s, ok := ss.all[id]
	if !ok {
		return
	}
	delete(ss.all, id)
	if ss.persons[s.who]--; ss.persons[s.who] == 0 {
		delete(ss.persons, s.who)
	}
}

// end forgets a session and ends its streams.
func (ss *states) end(id sessionID, now time.Time) {
	ss.mu.Lock()
	s := ss.all[id]
	ss.drop(id)
	ss.mu.Unlock()
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.streams {
		e.end(now)
	}
}

// each calls f for every session.
func (ss *states) each(f func(*state)) {
	ss.mu.Lock()
	all := make([]*state, 0, len(ss.all))
	for _, s := range ss.all {
		all = append(all, s)
	}
	ss.mu.Unlock()
	for _, s := range all {
		f(s)
	}
}

// open returns a new stream that can be come back to.
func (s *state) open(now time.Time) *events {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tidy(now)
	s.last++
	e := newEvents(s.last)
	s.streams[s.last] = e
	return e
}

// tidy forgets streams that are over: the old ones, and the oldest if there are too
// many or too much is kept of them.
func (s *state) tidy(now time.Time) {
	type over struct {
		number uint32
		ended  time.Time
		bytes  int
	}
	var all []over
	total := 0
	for number, e := range s.streams {
		ended, bytes := e.endedAt()
		if !ended.IsZero() && bytes == 0 { // nothing was said on it
			delete(s.streams, number)
		} else if !ended.IsZero() {
			all = append(all, over{number, ended, bytes})
			total += bytes
		}
	}
	slices.SortFunc(all, func(a, b over) int {
		return cmp.Or(a.ended.Compare(b.ended), cmp.Compare(a.number-s.last-1, b.number-s.last-1))
	})
	// One that has only just ended stays, however large: its client may come.
	for i, o := range all {
		many := len(all)-i >= maxKept || total > maxBytes && i < len(all)-1
		if !many && now.Sub(o.ended) <= eventLife {
			return
		}
		delete(s.streams, o.number)
		total -= o.bytes
	}
}

// wait opens the stream that a GET waits on. One that waited before is over: a
// message goes to exactly one stream.
func (s *state) wait(now time.Time) *events {
	e := s.open(now)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting != nil {
		s.waiting.end(now)
	}
	s.waiting = e
	return e
}

// push sends a message that is about no request to the client, if it listens.
func (s *state) push(message []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting != nil {
		s.waiting.add(message)
	}
}

// find returns the stream of an event id, if it is kept.
func (s *state) find(id string) (e *events, number int) {
	stream, number, ok := parseEventID(id)
	if !ok {
		return nil, 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.streams[stream], number
}

// ask notes a question to the client, whose answer comes to the channel. false:
// too many wait already.
func (s *state) ask() (id json.RawMessage, answer chan wire.Message, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.asked) >= maxAsked {
		return nil, nil, false
	}
	s.question++
	id = wire.AppendString(nil, "gateway-"+strconv.Itoa(s.question))
	answer = make(chan wire.Message, 1)
	s.asked[wire.IDKey(id)] = answer
	return id, answer, true
}

// forget is for a question whose answer nobody waits for.
func (s *state) forget(id json.RawMessage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.asked, wire.IDKey(id))
}

// answered takes the client's answer. One to no question is dropped.
func (s *state) answered(msg wire.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if answer, ok := s.asked[wire.IDKey(msg.ID)]; ok {
		delete(s.asked, wire.IDKey(msg.ID))
		answer <- msg // it has room for one, and there is one
	}
}
