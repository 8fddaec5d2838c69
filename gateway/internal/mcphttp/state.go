package mcphttp

import (
	"cmp"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/mark3labs/mcp-go/mcp"

	"mcp-gateway/shared/wire"
)

const (
	// maxAsked bounds the questions to a client that wait for an answer.
	maxAsked = 32
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
	// use is for states.
	use use

	mu sync.Mutex // guards below
	// level is what the client wants to hear of logs; empty until it has said so.
	level mcp.LoggingLevel
	// revision and can are those of a stream, whose session has no id that could
	// say them.
	revision string
	can      can
	// subscribed are the resources whose changes it wants to hear of.
	subscribed uris
	// streams are those that can be come back to, by number.
	streams map[uint32]*events
	last    uint32
	// waiting is the stream that a GET waits on; nil if there is none.
	waiting *events
	// asked are the questions to the client that wait for its answer.
	asked map[string]chan wire.Message
	// over: the client has ended the session.
	over bool
}

func newState(owner string, who person) *state {
	var random [4]byte
	_, _ = rand.Read(random[:]) // never fails since Go 1.24
	return &state{
		owner: owner, who: who, streams: make(map[uint32]*events), asked: make(map[string]chan wire.Message),
		// Not from the start again after a restart: an id of before is no stream of now.
		last: binary.BigEndian.Uint32(random[:]),
	}
}

// open returns a new stream that can be come back to: of a request, or of a GET that
// waits.
func (s *state) open(now time.Time, waits bool) *events {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tidy(now)
	s.last++
	e := newEvents(s.last, waits)
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
	e := s.open(now, true)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting != nil {
		s.waiting.end(now)
	}
	if s.waiting = e; s.over {
		e.end(now)
	}
	return e
}

// heard reports whether a connection reads the stream that a GET waits on.
func (s *state) heard() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waiting != nil && s.waiting.isRead()
}

// push sends a message that is about no request to the client, if it listens.
func (s *state) push(message []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting != nil {
		s.waiting.add(message)
	}
}

// find returns a stream, if it is kept.
func (s *state) find(stream uint32, waits bool) *events {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.streams[stream]; e != nil && e.waits == waits {
		return e
	}
	return nil
}

// ask notes a question to the client, whose answer comes to the channel, which is
// closed when the session ends. false: too many wait already, or it has ended. An id
// is of no other question, also of before a restart.
func (s *state) ask() (id json.RawMessage, answer chan wire.Message, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over || len(s.asked) >= maxAsked {
		return nil, nil, false
	}
	id = wire.AppendString(nil, "gateway-"+rand.Text())
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

// end ends the streams and the questions of a session that its client has ended.
func (s *state) end(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	for _, e := range s.streams {
		e.end(now)
	}
	for id, answer := range s.asked {
		delete(s.asked, id)
		close(answer)
	}
}
