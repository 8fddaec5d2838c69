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

// once uses a session for a moment.
func (ss *states) once(t *testing.T, i int, p *access.Principal, now time.Time) *state {
	t.Helper()
	s, done := ss.use(sessionNumber(i), p)
	if s == nil {
		t.Fatalf("session %d is refused", i)
	}
	ss.unuse(s, now)
	_ = done
	return s
}

// knows reports whether a session is remembered.
func (ss *states) knows(i int) bool { return ss.all[sessionNumber(i)] != nil }

// What a client leaves behind is bounded, and nobody is kept out by what they left.
func TestSessionsThatNobodyUsesMakeRoom(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	p := principalNumber(1)
	for name, leave := range map[string]func(s *state){
		"that did nothing":                    func(*state) {},
		"that had a GET, which is over":       func(s *state) { s.wait(now) },
		"that had several GETs":               func(s *state) { s.wait(now); s.wait(now) },
		"that had a call which is over":       func(s *state) { s.open(now, false).end(now) },
		"that subscribed":                     func(s *state) { _ = s.subscribed.add("u") },
		"that had a question without a reply": func(s *state) { id, _, _ := s.ask(); s.forget(id) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ss := newStates()
			for i := range 3 * maxStatesPerPerson {
				leave(ss.once(t, i, p, now.Add(time.Duration(i)*time.Second)))
			}
			if len(ss.all) != maxStatesPerPerson || ss.idle.Len() != maxStatesPerPerson || len(ss.persons[personOf(p)]) != maxStatesPerPerson {
				t.Errorf("%d sessions are remembered, %d of them unused, of %d persons", len(ss.all), ss.idle.Len(), len(ss.persons))
			}
			if ss.knows(2*maxStatesPerPerson-1) || !ss.knows(2*maxStatesPerPerson) {
				t.Error("it is not those which nobody has used for the longest time that made room")
			}
		})
	}
}

// TestTwoClientsThatAskForThemselvesAreTwo: what one leaves behind makes no room
// for the other, and is not what the other loses.
func TestTwoClientsThatAskForThemselvesAreTwo(t *testing.T) {
	t.Parallel()
	now, ss := time.Now(), newStates()
	one, two := &access.Principal{ClientID: "one"}, &access.Principal{ClientID: "two"}
	ss.once(t, 0, two, now)
	for i := range 2 * maxStatesPerPerson {
		ss.once(t, i+1, one, now)
	}
	if !ss.knows(0) || len(ss.persons[personOf(one)]) != maxStatesPerPerson || len(ss.persons[personOf(two)]) != 1 {
		t.Errorf("%d sessions are remembered, of %d", len(ss.all), len(ss.persons))
	}
}

func TestSessionsInUseStay(t *testing.T) {
	t.Parallel()
	now, p := time.Now(), principalNumber(1)
	ss := newStates()
	first, done := ss.use(sessionNumber(0), p)
	again, doneAgain := ss.use(sessionNumber(0), p)
	if first != again {
		t.Error("a session has two states")
	}
	doneAgain()
	for i := range 2 * maxStatesPerPerson {
		ss.once(t, i+1, p, now)
	}
	ss.collect(now.Add(2 * stateIdle))
	if ss.all[sessionNumber(0)] != first || len(ss.all) != 1 {
		t.Errorf("%d are kept, and not the one in use", len(ss.all))
	}
	done()
	if ss.collect(time.Now().Add(stateIdle + time.Second)); len(ss.all) != 0 || len(ss.persons) != 0 || ss.idle.Len() != 0 {
		t.Errorf("when nobody uses it any more %d are kept", len(ss.all))
	}
}

// TestWhoUsesAllSessionsGetsNoMore: there is nothing that could make room.
func TestWhoUsesAllSessionsGetsNoMore(t *testing.T) {
	t.Parallel()
	ss, p := newStates(), principalNumber(1)
	var last func()
	for i := range maxStatesPerPerson {
		if _, last = ss.use(sessionNumber(i), p); last == nil {
			t.Fatalf("session %d is refused", i)
		}
	}
	if s, _ := ss.use(sessionNumber(-1), p); s != nil {
		t.Error("there is one more")
	}
	if s, _ := ss.use(sessionNumber(-2), principalNumber(2)); s == nil {
		t.Error("another person is kept out")
	}
	last()
	if s, _ := ss.use(sessionNumber(-1), p); s == nil || len(ss.persons[s.who]) != maxStatesPerPerson {
		t.Error("the place of one that is not used is not given")
	}
}

// TestAClientThatBeginsManySessionsLosesItsOwn, and not those of the person's others.
func TestAClientThatBeginsManySessionsLosesItsOwn(t *testing.T) {
	t.Parallel()
	now, busy := time.Now(), principalNumber(1)
	quiet := *busy
	quiet.ClientID = "quiet"
	ss := newStates()
	ss.once(t, -1, &quiet, now.Add(-stateIdle/2))
	for i := range 3 * maxStatesPerPerson {
		ss.once(t, i, busy, now)
	}
	if !ss.knows(-1) {
		t.Error("the quiet client's is forgotten")
	}
	for i := range maxStatesPerPerson {
		ss.once(t, i, &quiet, now) // the busy one's make room
	}
}

func TestSessionsOfAllAreBounded(t *testing.T) {
	t.Parallel()
	now, ss := time.Now(), newStates()
	for i := range maxStates + 500 {
		ss.once(t, i, principalNumber(i/100), now)
	}
	if len(ss.all) != maxStates || ss.knows(499) || !ss.knows(500) {
		t.Errorf("%d are remembered", len(ss.all))
	}
	for i := range maxStates {
		if s, _ := ss.use(sessionNumber(i), principalNumber(i/100)); s == nil {
			t.Fatalf("session %d is refused", i)
		}
	}
	if s, _ := ss.use(sessionNumber(-1), principalNumber(-1)); s != nil {
		t.Error("all are in use, and there is one more")
	}
	ss.end(sessionNumber(5), now)
	if s, _ := ss.use(sessionNumber(-1), principalNumber(-1)); s == nil {
		t.Error("the place of one that ended is not given")
	}
}

// TestASessionThatEndsWhileItIsUsedIsForgotten, and what comes after it is another.
func TestASessionThatEndsWhileItIsUsedIsForgotten(t *testing.T) {
	t.Parallel()
	ss, p := newStates(), principalNumber(1)
	s, done := ss.use(sessionNumber(1), p)
	ss.end(sessionNumber(1), time.Now())
	ss.end(sessionNumber(1), time.Now()) // a second DELETE
	another, doneAnother := ss.use(sessionNumber(1), p)
	if another == s {
		t.Error("it goes on")
	}
	done()
	doneAnother()
	if ss.idle.Len() != 1 || ss.idle.Front().Value != another || len(ss.all) != 1 {
		t.Errorf("%d are unused, of %d", ss.idle.Len(), len(ss.all))
	}
}

// TestWhatIsKeptOfAStreamIsForgottenInTime, though its session begins no other.
func TestWhatIsKeptOfAStreamIsForgottenInTime(t *testing.T) {
	t.Parallel()
	now, ss := time.Now(), newStates()
	s := ss.once(t, 1, principalNumber(1), now)
	e := s.open(now, false)
	e.add([]byte("{}"))
	e.end(now)
	ss.collect(now.Add(eventLife))
	if s.find(e.stream, false) == nil {
		t.Error("it is forgotten too soon")
	}
	ss.collect(now.Add(eventLife + time.Second))
	if s.find(e.stream, false) != nil {
		t.Error("it is kept")
	}
}

// TestNobodyWaitsInASessionThatHasEnded: a GET may have found it just before.
func TestNobodyWaitsInASessionThatHasEnded(t *testing.T) {
	t.Parallel()
	now := time.Now()
	s := newState("", person{})
	s.end(now)
	if e, number := s.stream("", now); e == nil || !e.isOver(number) {
		t.Error("a GET waits on it")
	}
	if _, _, ok := s.ask(); ok {
		t.Error("its client is asked")
	}
}
