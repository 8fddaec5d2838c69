package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mcp-gateway/gateway/internal/store"
	"mcp-gateway/gateway/internal/store/sqlite"
)

var start = time.Date(2026, 3, 29, 2, 0, 0, 0, time.UTC)

// sentinels are what a store that cannot answer never returns.
var sentinels = []error{store.ErrNotFound, store.ErrConsumed, store.ErrRevoked, store.ErrExpired}

// queue is a store whose writer does not run yet, in a synctest bubble, so that
// a test knows what is queued: everything, once all goroutines are blocked.
type queue struct {
	*sqlite.Store
	*watch
	t *testing.T
}

func queued(t *testing.T, test func(*testing.T, *queue)) {
	t.Helper()
	t.Parallel()
	queuedAt(t, filepath.Join(t.TempDir(), "gateway.db"), test)
}

func queuedAt(t *testing.T, path string, test func(*testing.T, *queue)) {
	t.Helper()
	w := watchDatabase(t, path)
	synctest.Test(t, func(t *testing.T) {
		s, err := sqlite.Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		w.commits.Store(0) // the migrations'
		test(t, &queue{Store: s, watch: w, t: t})
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// call makes calls and returns, when all of them are queued, where their
// answers will be.
func (q *queue) call(calls ...func() error) []chan error {
	answers := make([]chan error, len(calls))
	for i, call := range calls {
		answers[i] = make(chan error, 1)
		go func() { answers[i] <- call() }()
	}
	synctest.Wait()
	return answers
}

// callInOrder is call with the calls queued one after the other.
func (q *queue) callInOrder(calls ...func() error) []chan error {
	var answers []chan error
	for _, call := range calls {
		answers = append(answers, q.call(call)...)
	}
	return answers
}

// run runs the writer until all that is queued is answered.
func (q *queue) run() {
	q.t.Helper()
	ctx, cancel := context.WithCancel(q.t.Context())
	ran := make(chan error)
	go func() { ran <- q.Run(ctx) }()
	synctest.Wait()
	cancel()
	if err := <-ran; err != nil {
		q.t.Error(err)
	}
}

func (q *queue) login(name string) func() error {
	return func() error {
		return q.CreateLogin(q.t.Context(), store.Login{State: store.HashOf(name), Sealed: []byte(name), ExpiresAt: start})
	}
}

// kinds of all events, in order. Reading needs no writer.
func (q *queue) kinds() string {
	q.t.Helper()
	events, err := q.Events(q.t.Context(), 0, 5000)
	if err != nil {
		q.t.Fatal(err)
	}
	var kinds []string
	for _, e := range events {
		kinds = append(kinds, e.Kind)
	}
	return strings.Join(kinds, " ")
}

func (q *queue) event(kind string) func() error {
	return func() error { return q.AppendEvents(q.t.Context(), []store.Event{{Time: start, Kind: kind}}) }
}

func TestWhatIsQueuedSharesACommit(t *testing.T) {
	for _, tt := range []struct{ requests, commits int }{
		{requests: 1, commits: 1},
		{requests: 256, commits: 1},
		{requests: 257, commits: 2},
		{requests: 600, commits: 3},
	} {
		t.Run(fmt.Sprintf("%d requests", tt.requests), func(t *testing.T) {
			queued(t, func(t *testing.T, q *queue) {
				calls := make([]func() error, tt.requests)
				for i := range calls {
					calls[i] = q.event("e")
				}
				answers := q.call(calls...)
				q.run()
				for _, answer := range answers {
					if err := <-answer; err != nil {
						t.Error(err)
					}
				}
				if got := q.commits.Load(); got != int64(tt.commits) {
					t.Errorf("%d commits, want %d", got, tt.commits)
				}
				if got := len(strings.Fields(q.kinds())); got != tt.requests {
					t.Errorf("%d events, want %d", got, tt.requests)
				}
			})
		})
	}
}

func TestARequestThatFailsDoesNotFailItsNeighbours(t *testing.T) {
	queued(t, func(t *testing.T, q *queue) {
		answers := q.callInOrder(
			q.event("before"), q.login("same"), q.login("same"), q.event("between"),
			func() error { return q.FailCode(t.Context(), store.HashOf("unknown")) }, q.event("after"),
		)
		q.run()
		for i, answer := range answers {
			err := <-answer
			switch i {
			case 2:
				if err == nil || !strings.Contains(err.Error(), "sqlite: insert login: ") {
					t.Errorf("the second login of the same state: error is %v, want one that names the insert", err)
				}
			case 4:
				if !errors.Is(err, store.ErrNotFound) {
					t.Errorf("an unknown code: error is %v, want %v", err, store.ErrNotFound)
				}
			default:
				if err != nil {
					t.Errorf("request %d: %v", i, err)
				}
			}
		}
		if got, want := q.kinds(), "before between after"; got != want {
			t.Errorf("events %q, want %q", got, want)
		}
		if got := q.commits.Load(); got != 1 {
			t.Errorf("%d commits, want 1", got)
		}
	})
}

func TestACommitThatFailsFailsTheBatch(t *testing.T) {
	queued(t, func(t *testing.T, q *queue) {
		answers := q.call(q.event("one"), func() error { return q.FailCode(t.Context(), store.HashOf("unknown")) }, q.event("two"))
		q.veto.Store(true)
		ctx, cancel := context.WithCancel(t.Context())
		ran := make(chan error)
		go func() { ran <- q.Run(ctx) }()
		for i, answer := range answers {
			err := <-answer
			if err == nil || !strings.Contains(err.Error(), "write batch of 3: sqlite: commit: ") {
				t.Errorf("request %d: error is %v, want one that names the commit", i, err)
			}
			for _, sentinel := range sentinels {
				if errors.Is(err, sentinel) {
					t.Errorf("request %d: error is the sentinel %v", i, sentinel)
				}
			}
		}
		q.veto.Store(false)
		if err := q.event("three")(); err != nil {
			t.Errorf("the batch after that: %v", err)
		}
		if got := q.kinds(); got != "three" {
			t.Errorf("events %q, want only the one that was acknowledged", got)
		}
		cancel()
		if err := <-ran; err != nil {
			t.Error(err)
		}
	})
}

func TestACallerWhoGivesUpWritesNothing(t *testing.T) {
	queued(t, func(t *testing.T, q *queue) {
		ctx, giveUp := context.WithCancel(t.Context())
		answers := q.call(
			func() error { return q.AppendEvents(ctx, []store.Event{{Kind: "gone"}}) },
			q.event("waits"),
		)
		giveUp()
		if err := <-answers[0]; !errors.Is(err, context.Canceled) {
			t.Errorf("error is %v, want %v", err, context.Canceled)
		}
		q.run()
		if err := <-answers[1]; err != nil {
			t.Error(err)
		}
		if got := q.kinds(); got != "waits" {
			t.Errorf("events %q, want only that of the caller who waited", got)
		}
	})
}

// Both callers read that the generation is unused before either wrote.
func TestOfTwoFirstUsesOneCounts(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "gateway.db")
	db := raw(t, path)
	loadFixture(t, db)
	queuedAt(t, path, func(t *testing.T, q *queue) {
		use := func(now time.Time) func() error {
			return func() error {
				_, _, err := q.UseAccessToken(t.Context(), store.HashOf("access 2"), now)
				return err
			}
		}
		answers := q.callInOrder(use(start.Add(time.Second)), use(start.Add(time.Minute)))
		q.run()
		for _, answer := range answers {
			if err := <-answer; err != nil {
				t.Error(err)
			}
		}
	})
	got := column(t, db, `SELECT first_used_at FROM refresh_tokens WHERE generation = 1`)
	if want := []string{"1774749601000000"}; !slices.Equal(got, want) {
		t.Errorf("first used at %q, want %q", got, want)
	}
}

// More callers than the queue holds: the ones in it are served, the others
// refused, and nobody waits for ever.
func TestTheWriterStopsCleanly(t *testing.T) {
	queued(t, func(t *testing.T, q *queue) {
		const callers = 1500
		calls := make([]func() error, callers)
		for i := range calls {
			calls[i] = q.event("e")
		}
		answers := q.call(calls...)
		stopped, cancel := context.WithCancel(t.Context())
		cancel()
		if err := q.Run(stopped); err != nil {
			t.Error(err)
		}
		served, refused := 0, 0
		for _, answer := range answers {
			switch err := <-answer; {
			case err == nil:
				served++
			case err.Error() == "sqlite: the store is stopped":
				refused++
			default:
				t.Error(err)
			}
		}
		if served < 1024 || served+refused != callers {
			t.Errorf("%d served and %d refused of %d, want at least what the queue holds served", served, refused, callers)
		}
		if got := len(strings.Fields(q.kinds())); got != served {
			t.Errorf("%d events for %d acknowledged", got, served)
		}
		if err := q.event("late")(); err == nil || err.Error() != "sqlite: the store is stopped" {
			t.Errorf("a late write: error is %v, want that the store is stopped", err)
		}
		if err := q.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "has been run before") {
			t.Errorf("a second run: error is %v, want a refusal", err)
		}
	})
}
