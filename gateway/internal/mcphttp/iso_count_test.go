package mcphttp

import "testing"

func TestStreamsOfAllAreBounded(t *testing.T) {
	t.Parallel()
	ss := newStreams()
	for i := range maxAllStreams {
		p := principalNumber(i / maxStreams)
		who := personOf(p)
		if i%2 == 0 {
			if !ss.take(who) {
				t.Fatalf("stream %d is refused", i)
			}
		} else if _, s := ss.begin(p); s == nil {
			t.Fatalf("stream %d is refused", i)
		}
	}
	p := principalNumber(-1)
	who := personOf(p)
	if ss.take(who) {
		t.Error("there is one more without a name")
	}
	if _, s := ss.begin(p); s != nil {
		t.Error("there is one more with a name")
	}
	first := principalNumber(0)
	ss.give(personOf(first))
	if !ss.take(who) || ss.take(who) {
		t.Error("the place of one that ended is not given, or twice")
	}
}

func TestStreamsOfOnePersonAreCountedTogether(t *testing.T) {
	t.Parallel()
	ss, p := newStreams(), principalNumber(1)
	who := personOf(p)
	other := *p
	other.ClientID = "another client"
	for range maxStreams / 2 {
		_, _ = ss.begin(&other)
		ss.take(who)
	}
	if _, s := ss.begin(p); s != nil || ss.take(who) {
		t.Error("there is one more")
	}
	for range maxStreams / 2 {
		ss.give(who)
	}
	for name, s := range ss.open {
		ss.end(name, s)
	}
	if len(ss.persons) != 0 || ss.nameless != 0 || len(ss.open) != 0 {
		t.Errorf("left are %v, %d and %d", ss.persons, ss.nameless, len(ss.open))
	}
}
