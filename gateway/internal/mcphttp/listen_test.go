package mcphttp

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// TestAListenerHearsNothingOfAfterItsGrant, also if it does not read for a while, and
// all of before.
func TestAListenerHearsNothingOfAfterItsGrant(t *testing.T) {
	t.Parallel()
	h := &Handler{listens: newListens(), streams: newStreams(), cfg: Config{Logger: slog.New(slog.DiscardHandler)}}
	l := &listening{id: json.RawMessage("1"), lists: map[string]bool{"tools": true}, out: newQueue(maxHeard)}
	ctx, revoke := context.WithCancel(t.Context())
	tell := func(what string) {
		h.listens.tell(func(l *listening) bool { return l.lists["tools"] }, "notifications/x", "what", json.RawMessage(`"`+what+`"`))
	}
	reads, read := make(chan struct{}), make(chan string, 100)
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		h.hear(line{ctx: ctx, write: func(text []byte) bool {
			<-reads
			read <- string(text)
			return true
		}}, l)
	}()
	for known := false; !known; time.Sleep(time.Millisecond) {
		h.listens.mu.Lock()
		known = len(h.listens.all) == 1
		h.listens.mu.Unlock()
	}
	tell("before")
	tell("before, too")
	revoke()
	for range 10 {
		tell("after")
	}
	close(reads)
	<-heard
	close(read)
	var all []string
	for text := range read {
		all = append(all, text)
	}
	if len(all) != 3 || !strings.Contains(all[0], `"before"`) || !strings.Contains(all[1], `"before, too"`) || !strings.Contains(all[2], `"resultType":"complete"`) {
		t.Errorf("it heard %q", all)
	}
	if len(h.listens.all) != 0 {
		t.Error("it is told still")
	}
}

// TestWhoIsToldDoesNotHoldUpOthers: while one person's listeners are told, another
// can come and leave.
func TestWhoIsToldDoesNotHoldUpOthers(t *testing.T) {
	t.Parallel()
	ls := newListens()
	ls.add(&listening{out: newQueue(1)})
	ls.tell(func(*listening) bool {
		done := make(chan struct{})
		go func() {
			defer close(done)
			ls.add(&listening{})()
		}()
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			t.Error("nobody can begin to listen meanwhile")
		}
		return true
	}, "notifications/x", "", nil)
}
