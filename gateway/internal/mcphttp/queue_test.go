package mcphttp

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// drain takes all that waits.
func drain(t *testing.T, q *queue) (messages []string) {
	t.Helper()
	for !q.empty() {
		message, ok := q.take()
		if !ok {
			t.Fatalf("too slow after %q", messages)
		}
		messages = append(messages, string(message))
	}
	return messages
}

func TestWhoWaitsForRoomIsReadInTurn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(2)
		var putting sync.WaitGroup
		for i := range 5 {
			putting.Go(func() {
				if !q.putWithin(fmt.Append(nil, i), time.Second) {
					t.Errorf("%d was not taken", i)
				}
			})
			synctest.Wait()
		}
		time.Sleep(time.Second - time.Nanosecond) // just in time
		for i := range 3 {
			if got, ok := q.take(); !ok || string(got) != fmt.Sprint(i) {
				t.Fatalf("took %q, %t, want %d", got, ok, i)
			}
		}
		putting.Wait()
		if diff := cmp.Diff([]string{"3", "4"}, drain(t, q)); diff != "" {
			t.Error(diff)
		}
	})
}

func TestAReaderThatTakesNothingIsTooSlow(t *testing.T) {
	t.Parallel()
	for name, put := range map[string]struct {
		patience, waits time.Duration
	}{
		"at once for what cannot wait":       {patience: 0, waits: 0},
		"when a message has waited too long": {patience: time.Second, waits: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				q, start := newQueue(1), time.Now()
				if !q.put([]byte("a")) {
					t.Fatal("there was room")
				}
				if q.putWithin([]byte("b"), put.patience) || time.Since(start) != put.waits {
					t.Errorf("taken, or refused after %v", time.Since(start))
				}
				<-q.more
				if got, ok := q.take(); ok {
					t.Errorf("the reader goes on with %q", got)
				}
				if q.putWithin([]byte("c"), time.Hour) || time.Since(start) != put.waits {
					t.Errorf("a later one was taken, or waited until %v", time.Since(start))
				}
			})
		})
	}
}

func TestNobodyWaitsForAReaderThatHasLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q, start := newQueue(1), time.Now()
		q.put([]byte("a"))
		late := make(chan bool)
		go func() { late <- q.putWithin([]byte("b"), time.Hour) }()
		synctest.Wait()
		q.close()
		if <-late || q.put([]byte("c")) || time.Since(start) != 0 {
			t.Errorf("taken, or refused after %v", time.Since(start))
		}
		if message, ok := q.take(); !ok || message != nil {
			t.Errorf("took %q, %t", message, ok)
		}
	})
}

func TestWhatWaitsIsBoundedInBytes(t *testing.T) {
	t.Parallel()
	large := make([]byte, 300<<10)
	t.Run("for whoever tells everybody", func(t *testing.T) {
		t.Parallel()
		q := newQueue(1000)
		if !q.put(make([]byte, 3<<20)) { // one always may
			t.Fatal("the first was not taken")
		}
		q.take()
		n := 0
		for q.put(large) {
			n++
		}
		if n != 3 {
			t.Errorf("%d were taken, of 300 KiB each", n)
		}
	})
	t.Run("for who waits for room", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			q := newQueue(1000)
			var putting sync.WaitGroup
			var done atomic.Int32
			for range 8 {
				putting.Go(func() {
					if q.putWithin(large, time.Second) {
						done.Add(1)
					}
				})
				synctest.Wait()
			}
			if n := done.Load(); n != 3 {
				t.Errorf("%d did not wait", n)
			}
			time.Sleep(time.Second - time.Nanosecond)
			for range 5 {
				if _, ok := q.take(); !ok {
					t.Fatal("it was too slow already")
				}
			}
			putting.Wait()
			if n := done.Load(); n != 8 || len(drain(t, q)) != 3 || q.size != 0 || q.told != 0 {
				t.Errorf("%d were taken, and %d bytes wait", n, q.size)
			}
		})
	})
}

// TestWhatIsToldCutsOffNobodyWhoIsWaitedFor: whoever waits gives the reader time.
func TestWhatIsToldCutsOffNobodyWhoIsWaitedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(maxWaiting)
		for range 3 { // three large answers
			go q.putWithin(make([]byte, 600_000), writeTime)
			synctest.Wait()
		}
		time.Sleep(time.Second)
		if !q.put([]byte("told")) {
			t.Fatal("it was not taken")
		}
		for i := range 4 {
			if message, ok := q.take(); !ok || len(message) == 0 || (i == 3) != (string(message) == "told") {
				t.Fatalf("%d: took %d bytes, %t", i, len(message), ok)
			}
		}
	})
}

// TestAReaderThatGoesOnIsNotTooSlow, however many wait.
func TestAReaderThatGoesOnIsNotTooSlow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(maxWaiting)
		for range 20 {
			go q.putWithin(make([]byte, 900_000), writeTime)
			synctest.Wait()
		}
		for i := range 20 {
			time.Sleep(writeTime - time.Second)
			if message, ok := q.take(); !ok || message == nil {
				t.Fatalf("after %d messages it is taken for one that does not read", i)
			}
		}
	})
}
