package mcphttp

import (
	"testing"
	"time"
)

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
				e := s.open(at, false)
				for range test.messages {
					e.add([]byte("{}"))
				}
				e.end(at)
			}
			if got := len(s.streams); got > test.want {
				t.Errorf("%d streams are kept, and %d are enough", got, test.want)
			}
			if s.find(s.last, false) == nil {
				t.Error("the last one is not among them")
			}
		})
	}
}

func TestStreamsThatCanBeComeBackToAreBounded(t *testing.T) {
	t.Parallel()
	now, s := time.Now(), newState("", person{})
	waiting := s.wait(now)
	under := s.open(now, false)
	var last *events
	for range 1000 {
		last = s.open(now, false)
		last.add(make([]byte, 100_000))
		last.end(now)
	}
	s.open(now, false)
	if len(s.streams) > 15 {
		t.Errorf("%d streams are kept, of 100 kB each", len(s.streams))
	}
	for name, e := range map[string]*events{"the one that waits": waiting, "one under way": under, "the last that ended": last} {
		if s.find(e.stream, e.waits) != e {
			t.Errorf("%s is forgotten", name)
		}
	}
	small := newState("", person{})
	for range 1000 {
		small.open(now, false).end(now)
	}
	if len(small.streams) > maxKept+1 {
		t.Errorf("%d streams are kept", len(small.streams))
	}
	small.open(now.Add(eventLife+time.Second), false)
	if len(small.streams) != 1 {
		t.Errorf("%d streams are kept for too long", len(small.streams))
	}
}

func TestAStreamKeepsOnlySoMuch(t *testing.T) {
	t.Parallel()
	e := newEvents(7, false)
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
	before := newState("", person{}).open(now, false)
	after := newState("", person{})
	for range 20 {
		after.open(now, false)
	}
	if after.find(before.stream, false) != nil {
		t.Errorf("%s is another stream now", before.id(1))
	}
}

func TestAnEventIDTellsWhatItIsOf(t *testing.T) {
	t.Parallel()
	for _, e := range []*events{newEvents(0, false), newEvents(1<<32-1, true), newEvents(7, true)} {
		for _, number := range []int{0, 1, 1<<31 - 1} {
			if stream, n, waits, ok := parseEventID(e.id(number)); stream != e.stream || n != number || waits != e.waits || !ok {
				t.Errorf("%s is read as %d, %d, %t, %t", e.id(number), stream, n, waits, ok)
			}
		}
	}
	for _, id := range []string{"", "g", "-", "g-", "1", "1-", "-1", "1--1", "gg1-1", "4294967296-1", "1-2147483648", "G1-1", " 1-1", "1-1 ", "+1-1", "0x1-1"} {
		if _, _, _, ok := parseEventID(id); ok {
			t.Errorf("%q is taken for an id", id)
		}
	}
}
