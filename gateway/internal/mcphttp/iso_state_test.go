package mcphttp

import (
	"fmt"
	"testing"
	"time"

	"mcp-gateway/gateway/internal/access"
	"mcp-gateway/gateway/internal/store"
)

func principalNumber(i int) *access.Principal {
	return &access.Principal{Identity: store.Identity{Tenant: "t", Object: fmt.Sprint("person ", i)}, ClientID: "c"}
}

func sessionNumber(i int) (id sessionID) {
	copy(id[:], fmt.Sprintf("%016d", i))
	return id
}

// What a client leaves behind is bounded, and nobody is kept out by what they left.
func TestSessionsThatNobodyUsesMakeRoom(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	p := principalNumber(1)
	for name, use := range map[string]func(s *state){
		"that did nothing":                    func(*state) {},
		"that had a GET, which is over":       func(s *state) { s.wait(now) },
		"that had several GETs":               func(s *state) { s.wait(now); s.wait(now) },
		"that had a call which is over":       func(s *state) { s.open(now).end(now) },
		"that subscribed":                     func(s *state) { s.subscribed["u"] = true },
		"that had a question without a reply": func(s *state) { id, _, _ := s.ask(); s.forget(id) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ss := newStates()
			for i := range maxStatesPerPerson {
				s := ss.of(sessionNumber(i), p, now)
				if s == nil {
					t.Fatalf("session %d is refused", i)
				}
				use(s)
			}
			if ss.of(sessionNumber(-1), p, now) != nil {
				t.Error("there is no bound")
			}
			if ss.of(sessionNumber(-1), principalNumber(2), now) == nil {
				t.Error("another person is kept out")
			}
			if ss.of(sessionNumber(-1), p, now.Add(stateIdle+time.Second)) == nil {
				t.Error("the person is kept out by sessions that nobody uses")
			}
		})
	}
}

func TestSessionsThatAreUsedStay(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	later := now.Add(stateIdle + time.Second)
	for name, use := range map[string]func(s *state){
		"with a GET that is open": func(s *state) { s.wait(now).read() },
		"with a question":         func(s *state) { s.ask() },
		"with a new request":      func(s *state) { s.used = later },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ss, p := newStates(), principalNumber(1)
			for i := range maxStatesPerPerson {
				s := ss.of(sessionNumber(i), p, now)
				if i == 0 {
					use(s)
				}
			}
			kept := ss.all[sessionNumber(0)]
			ss.of(sessionNumber(-1), p, later)
			if ss.all[sessionNumber(0)] != kept || len(ss.all) != 2 || ss.persons[person{"t", p.Object}] != 2 {
				t.Errorf("kept are %d sessions, of the person %v", len(ss.all), ss.persons)
			}
		})
	}
}

func TestSessionsOfAllAreBounded(t *testing.T) {
	t.Parallel()
	now, ss := time.Now(), newStates()
	for i := range maxStates {
		if ss.of(sessionNumber(i), principalNumber(i/100), now) == nil {
			t.Fatalf("session %d is refused", i)
		}
	}
	if ss.of(sessionNumber(-1), principalNumber(-1), now) != nil {
		t.Error("there is one more")
	}
	ss.end(sessionNumber(5), now)
	if ss.of(sessionNumber(-1), principalNumber(-1), now) == nil {
		t.Error("the place of one that ended is not given")
	}
}

func TestStreamsThatCanBeComeBackToAreBounded(t *testing.T) {
	t.Parallel()
	now, s := time.Now(), newState("", person{})
	waiting := s.wait(now)
	under := s.open(now)
	var last *events
	for range 1000 {
		last = s.open(now)
		last.add(make([]byte, 100_000))
		last.end(now)
	}
	s.open(now)
	if len(s.streams) > 15 {
		t.Errorf("%d streams are kept, of 100 kB each", len(s.streams))
	}
	for name, e := range map[string]*events{"the one that waits": waiting, "one under way": under, "the last that ended": last} {
		if got, _ := s.find(e.id(0)); got != e {
			t.Errorf("%s is forgotten", name)
		}
	}
	small := newState("", person{})
	for range 1000 {
		small.open(now).end(now)
	}
	if len(small.streams) > maxKept+1 {
		t.Errorf("%d streams are kept", len(small.streams))
	}
	small.open(now.Add(eventLife + time.Second))
	if len(small.streams) != 1 {
		t.Errorf("%d streams are kept for too long", len(small.streams))
	}
}

func TestAStreamKeepsOnlySoMuch(t *testing.T) {
	t.Parallel()
	e := newEvents(7)
	for range 100 {
		e.add(make([]byte, 300_000))
	}
	if messages, last, _ := e.after(0); len(messages) != 3 || last != 100 {
		t.Errorf("%d messages are kept, the last is %d", len(messages), last)
	}
	e.add(make([]byte, 3_000_000)) // one always is
	if messages, last, _ := e.after(0); len(messages) != 1 || last != 101 {
		t.Errorf("%d messages are kept, the last is %d", len(messages), last)
	}
}

// A gateway that was restarted knows nothing of the streams of before, and must not
// take an id of theirs for one of its own.
func TestIDsOfStreamsDoNotComeAgain(t *testing.T) {
	t.Parallel()
	now := time.Now()
	before := newState("", person{}).open(now).id(1)
	after := newState("", person{})
	for range 20 {
		after.open(now)
	}
	if e, _ := after.find(before); e != nil {
		t.Errorf("%s is another stream now", before)
	}
}
