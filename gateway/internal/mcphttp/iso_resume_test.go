package mcphttp_test

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"mcp-gateway/shared/wire"
)

// broken begins a call whose client reads its first message and leaves.
func broken(t *testing.T, g *lively, s session, id, key string) *live {
	t.Helper()
	answer := g.start(s.script(id, key, "1"))
	g.say(key, "first")
	l := answer()
	for range 2 { // a log message and progress
		if got := l.next(); !strings.Contains(got, `"first"`) {
			t.Fatalf("got %s", got)
		}
	}
	l.leave()
	return l
}

func TestAClientThatComesBackHearsWhatItMissedOfThatStreamOnly(t *testing.T) {
	t.Parallel()
	g := newLively(t, nil)
	s := g.begin("alice")
	l := broken(t, g, s, "1", "a")
	second := g.start(s.script("2", "b", "2"))
	g.say("b", "of the other call")
	g.say("a", "while away")
	back := g.live(s.get(l.lastID))
	g.say("a", "after")
	g.changeList("tools")
	g.finish("a")
	all := back.rest()
	if len(all) != 5 {
		t.Fatalf("got %q", all)
	}
	for i, want := range []string{"while away", "while away", "after", "after", `"id":1,"result"`} {
		if !strings.Contains(all[i], want) {
			t.Errorf("%d: got %s, want %q", i, all[i], want)
		}
	}
	// Its ids go on, and the middle can be asked for again.
	if again := g.send(s.get(back.lastID)); again.status != http.StatusNoContent {
		t.Errorf("after the last: %d %s", again.status, again.body)
	}
	g.finish("b")
	if all := second().rest(); len(all) != 3 {
		t.Errorf("the other call got %q", all)
	}
}

func TestAResponseThatNobodyReadIsKept(t *testing.T) {
	t.Parallel()
	g := newLively(t, nil)
	s := g.begin("alice")
	l := broken(t, g, s, "1", "a")
	g.finish("a")
	if e := g.trail.next(t); e.Outcome != "ok" {
		t.Errorf("written down: %+v", e)
	}
	for range 2 {
		if all := g.live(s.get(l.lastID)).rest(); len(all) != 1 || !strings.Contains(all[0], "done a") {
			t.Errorf("got %q", all)
		}
	}
}

func TestTheLast256MessagesOfAStreamAreKept(t *testing.T) {
	t.Parallel()
	g := newLively(t, nil)
	s := g.begin("alice")
	l := broken(t, g, s, "1", "a")
	g.tell("a", func(ctx context.Context, srv *server.MCPServer, req mcp.CallToolRequest) {
		for i := range 300 {
			note(ctx, srv, mcp.CallToolRequest{}, i, fmt.Sprint("m", i))
		}
	})
	g.finish("a")
	g.trail.next(t)
	all := g.live(s.get(l.lastID)).rest()
	if len(all) != 256 || !strings.Contains(all[254], `"m299"`) || !strings.Contains(all[255], "done a") || !strings.Contains(all[0], `"m45"`) {
		t.Errorf("got %d messages, from %s to %s", len(all), all[0], all[len(all)-1])
	}
}

func TestAPlaceThatIsNotKeptGetsAFreshStream(t *testing.T) {
	t.Parallel()
	g := newLively(t, nil)
	alice, bob := g.begin("alice"), g.begin("bob")
	l := g.live(alice.get("")).primed()
	l.leave()
	other := g.begin("alice")
	for name, test := range map[string]struct {
		s  session
		id string
	}{
		"another person's place":              {bob, l.lastID},
		"the place in another session":        {other, l.lastID},
		"one that never was":                  {alice, "g4294967295-1"},
		"one that is no place":                {alice, "hello"},
		"one with a negative number":          {alice, "1--1"},
		"one that is larger than a number is": {alice, "99999999999999999999-1"},
	} {
		var fresh *live
		waitFor(t, "the stream before to be gone", func() bool {
			fresh = g.live(test.s.get(test.id))
			return fresh.status == http.StatusOK
		})
		fresh.primed()
		g.changeList("tools")
		if got := fresh.next(); !strings.Contains(got, "tools/list_changed") {
			t.Errorf("%s: got %s", name, got)
		}
		fresh.leave()
	}
}

// TestComingBackToACallThatIsNotKept is answered with nothing, after which nobody comes
// again, and takes nothing from the stream that the session waits on: two that come
// back after a restart would push each other away without end.
func TestComingBackToACallThatIsNotKept(t *testing.T) {
	t.Parallel()
	g := newLively(t, nil)
	alice, bob := g.begin("alice"), g.begin("bob")
	l := broken(t, g, alice, "1", "a")
	other := g.begin("alice")
	waiting := map[session]*live{}
	for _, s := range []session{alice, other, bob} {
		waiting[s] = g.live(s.get("")).primed()
	}
	for name, test := range map[string]struct {
		s  session
		id string
	}{
		"another person's call":            {bob, l.lastID},
		"the call in another session":      {other, l.lastID},
		"one that never was":               {alice, "4294967295-1"},
		"a call's number as that of a GET": {alice, "g" + l.lastID},
	} {
		if got := g.send(test.s.get(test.id)); got.status != http.StatusNoContent || got.body != "" {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	g.changeList("tools")
	for _, l := range waiting {
		if got := l.next(); !strings.Contains(got, "tools/list_changed") {
			t.Errorf("who waits got %s", got)
		}
	}
	g.finish("a")
	back := g.live(alice.get(l.lastID))
	if all := back.rest(); len(all) != 1 || !strings.Contains(all[0], "done a") {
		t.Errorf("its own client got %q", all)
	}
	if got := g.send(alice.get(back.lastID)); got.status != http.StatusNoContent {
		t.Errorf("who has heard all: %d %s", got.status, got.body)
	}
}

// TestWhoWasPushedAwayDoesNotPushBack: both would do so once a second, without end.
func TestWhoWasPushedAwayDoesNotPushBack(t *testing.T) {
	t.Parallel()
	g := newLively(t, nil)
	s := g.begin("alice")
	first := g.live(s.get("")).primed()
	second := g.live(s.get("")).primed()
	if all := first.rest(); len(all) != 0 {
		t.Errorf("the first goes on with %q", all)
	}
	for round := range 3 {
		if got := g.send(s.get(first.lastID)); got.status != http.StatusNoContent {
			t.Errorf("%d: the first comes back: %d %s", round, got.status, got.body)
		}
		// Any call that streams: then what is over is looked through.
		answer := g.start(s.script(strconv.Itoa(round), "a", "1"))
		g.say("a", "x")
		g.finish("a")
		answer().rest()
	}
	g.changeList("tools")
	if got := second.next(); !strings.Contains(got, "tools/list_changed") {
		t.Errorf("the second got %s", got)
	}
	second.leave()
	waitFor(t, "the second to be gone", func() bool {
		back := g.live(s.get(first.lastID))
		defer back.leave()
		return back.status == http.StatusOK // a fresh stream
	})
}

// TestWhoCameBackCanComeBackAgain, also if nothing was said meanwhile: clients take the
// id from the last connection.
func TestWhoCameBackCanComeBackAgain(t *testing.T) {
	t.Parallel()
	g := newLively(t, nil)
	s := g.begin("alice")
	l := broken(t, g, s, "1", "a")
	id := l.lastID
	for range 3 {
		back := g.live(s.get(id)).primed()
		if id = back.lastID; id != l.lastID {
			t.Errorf("the id to come back with is %q, and was %q", id, l.lastID)
		}
		back.leave()
	}
	g.finish("a")
	if all := g.live(s.get(id)).rest(); len(all) != 1 || !strings.Contains(all[0], "done a") {
		t.Errorf("got %q", all)
	}
}

// TestAtTheEndWhoCameBackGetsTheAnswer: the gateway waits for the call, and so does
// the stream.
func TestAtTheEndWhoCameBackGetsTheAnswer(t *testing.T) {
	t.Parallel()
	g := newLively(t, nil)
	s := g.begin("alice")
	l := broken(t, g, s, "1", "a")
	back := g.live(s.get(l.lastID))
	g.say("a", "while it stops")
	g.endStreams()
	g.finish("a")
	if all := back.rest(); len(all) != 3 || !strings.Contains(all[2], "done a") {
		t.Errorf("who came back got %q", all)
	}
}

// TestDELETEEndsTheQuestions: nobody will answer them.
func TestDELETEEndsTheQuestions(t *testing.T) {
	t.Parallel()
	g := newLively(t, nil)
	s := g.beginWith("alice", wire.LatestLegacy, canAll)
	answer := g.start(s.script("1", "a", ""))
	asked := g.asks("a", questions["roots"].ask)
	answer().next()
	end := s.message("")
	end.method = http.MethodDelete
	if got := g.send(end); got.status != http.StatusNoContent {
		t.Fatalf("DELETE: %d %s", got.status, got.body)
	}
	if got := outcome(t, asked); !strings.Contains(got, "ended its session") {
		t.Errorf("the question ended with %s", got)
	}
	if got := outcome(t, g.asks("a", questions["roots"].ask)); !strings.Contains(got, "ended its session") {
		t.Errorf("the next question ended with %s", got)
	}
	g.finish("a")
}

func TestAMessageGoesToOneStreamOfASession(t *testing.T) {
	t.Parallel()
	g := newLively(t, nil)
	s := g.begin("alice")
	t.Run("to the last GET", func(t *testing.T) {
		first := g.live(s.get("")).primed()
		g.changeList("tools")
		first.next()
		second := g.live(s.get("")).primed()
		if all := first.rest(); len(all) != 0 {
			t.Errorf("the first goes on with %q", all)
		}
		g.changeList("prompts")
		if got := second.next(); !strings.Contains(got, "prompts/list_changed") {
			t.Errorf("the second got %s", got)
		}
		second.leave()
	})
	t.Run("to the GET that came back, not to the one that is open still", func(t *testing.T) {
		first := g.live(s.get("")).primed()
		g.changeList("tools")
		first.next()
		second := g.live(s.get(first.lastID))
		if second.status != http.StatusOK {
			t.Fatal(second.status)
		}
		if all := first.rest(); len(all) != 0 {
			t.Errorf("the first goes on with %q", all)
		}
		g.changeList("prompts")
		if got := second.next(); !strings.Contains(got, "prompts/list_changed") {
			t.Errorf("the second got %s", got)
		}
	})
	t.Run("to the GET that came back for a call, not to the POST", func(t *testing.T) {
		answer := g.start(s.script("1", "a", "1"))
		g.say("a", "first")
		post := answer()
		post.next()
		post.next()
		back := g.live(s.get(post.lastID))
		g.say("a", "second")
		g.finish("a")
		if all := back.rest(); len(all) != 3 {
			t.Errorf("who came back got %q", all)
		}
		if all := post.rest(); len(all) != 0 {
			t.Errorf("the POST goes on with %q", all)
		}
	})
}
