package mcphttp

import (
	"testing"
	"time"

	"mcp-gateway/gateway/internal/access"
	"mcp-gateway/gateway/internal/store"
)

// What is remembered of sessions cannot be seen from outside, and must not grow
// with what clients do.
func TestASessionIsForgottenWhenItsClientIsGone(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	p := &access.Principal{Identity: store.Identity{Tenant: "t", Object: "alice"}, ClientID: "c1"}
	ss := newStates()
	for i := range maxStatesPerPerson {
		if s := ss.of(sessionID{byte(i)}, p, now); s == nil {
			t.Fatalf("no session %d", i)
		} else {
			s.wait(now) // as nearly every client does, and then it leaves
		}
	}
	if s := ss.of(sessionID{255}, p, now.Add(stateIdle)); s != nil {
		t.Error("there is one more than may be")
	}
	if s := ss.of(sessionID{255}, p, now.Add(stateIdle+time.Second)); s == nil {
		t.Error("sessions of clients that are gone keep others out")
	}
	if len(ss.all) != 1 || ss.persons[person{"t", "alice"}] != 1 {
		t.Errorf("%d sessions are remembered, and %v", len(ss.all), ss.persons)
	}
}

func TestStreamsThatNobodyComesBackToAreForgotten(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		name     string
		messages int
		later    time.Duration // from one to the next
		want     int
	}{
		{name: "nothing was said on them", messages: 0, want: 1},
		{name: "there are many", messages: 1, want: 100},
		{name: "it is long ago", messages: 1, later: 10 * time.Second, want: int(eventLife/(10*time.Second)) + 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newState("", person{})
			at := now
			for range 1000 {
				at = at.Add(test.later)
				e := s.open(at)
				for range test.messages {
					e.add([]byte("{}"))
				}
				e.end(at)
			}
			if got := len(s.streams); got > test.want {
				t.Errorf("%d streams are kept, and %d are enough", got, test.want)
			}
			if e, _ := s.find(newEvents(s.last).id(1)); e == nil {
				t.Error("the last one is not among them")
			}
		})
	}
}
