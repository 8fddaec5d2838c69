package sqlite

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
)

const (
	// maxBatch requests share one commit.
	maxBatch = 256
	// queueBound is how many requests may wait for the writer; the next one
	// waits to be queued.
	queueBound = 1024
)

// errStopped is not a sentinel of package store: what a client is told is that
// the gateway is not available now.
var errStopped = errors.New("sqlite: the store is stopped")

var (
	begin      = writing("begin", `BEGIN IMMEDIATE`)
	commit     = writing("commit", `COMMIT`)
	rollback   = writing("roll back", `ROLLBACK`)
	savepoint  = writing("set savepoint", `SAVEPOINT request`)
	rollbackTo = writing("roll back to savepoint", `ROLLBACK TO request`)
	release    = writing("release savepoint", `RELEASE request`)
)

// request is one verb waiting for the writer.
type request struct {
	do func(tx) error
	// taken is set by whoever decides the request: the writer by beginning
	// it, or the caller by giving up.
	taken atomic.Bool
	// answer belongs to the writer until it is sent on done, after the
	// commit. done has room for it, so that the writer never waits.
	answer error
	done   chan error
}

// take reports whether the request is the caller's to decide.
func (r *request) take() bool { return r.taken.CompareAndSwap(false, true) }

// committed is a refusal whose changes stay: a replay revokes the grant and is
// still refused. Any other error of a request undoes all that it did.
type committed struct{ error }

// write has the writer run do and returns its answer once that is durable. If
// ctx ends while the request is queued, it is never begun; once begun, write
// waits for the answer. So an error always means that nothing was written,
// except when the commit itself fails: then only the disk knows.
func write[T any](ctx context.Context, s *Store, do func(tx) (T, error)) (T, error) {
	var value, none T
	err := s.submit(ctx, &request{done: make(chan error, 1), do: func(t tx) (err error) {
		value, err = do(t)
		return err
	}})
	if refusal, ok := errors.AsType[committed](err); ok {
		return value, refusal.error
	}
	if err != nil {
		return none, err
	}
	return value, nil
}

// change is write for verbs that return nothing.
func (s *Store) change(ctx context.Context, do func(tx) error) error {
	_, err := write(ctx, s, func(t tx) (struct{}, error) { return struct{}{}, do(t) })
	return err
}

func (s *Store) submit(ctx context.Context, r *request) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case s.queue <- r:
	case <-ctx.Done():
		return ctx.Err()
	case <-s.stopped:
		return errStopped
	}
	var gaveUp error
	select {
	case err := <-r.done:
		return err
	case <-ctx.Done():
		gaveUp = ctx.Err()
	case <-s.stopped:
		gaveUp = errStopped
	}
	if r.take() {
		return gaveUp
	}
	return <-r.done
}

// Run is the writer. It runs until ctx ends, then writes what is queued and
// returns nil; later writes are refused. It can be called once.
func (s *Store) Run(ctx context.Context) error {
	if s.running.Swap(true) {
		return errors.New("sqlite: the store has been run before")
	}
	defer close(s.stopped)
	batch := make([]*request, 0, maxBatch)
	for {
		select {
		case first := <-s.queue:
			// Callers answered a moment ago may have more to write: let them
			// queue it first, or every other batch would hold one request.
			runtime.Gosched()
			s.commit(s.fill(append(batch, first)))
		case <-ctx.Done():
			// No more than may be queued now, or busy callers could keep us.
			for range queueBound / maxBatch {
				s.commit(s.fill(batch))
			}
			return nil
		}
	}
}

// fill adds what is queued to batch, and waits for nothing: while one batch is
// synced to disk, the next one queues up by itself.
func (s *Store) fill(batch []*request) []*request {
	for len(batch) < maxBatch {
		select {
		case r := <-s.queue:
			batch = append(batch, r)
		default:
			return batch
		}
	}
	return batch
}

// commit runs a batch in one transaction, then answers every request of it.
func (s *Store) commit(batch []*request) {
	if len(batch) == 0 {
		return
	}
	// Not a caller's context: none of them may interrupt the others.
	err := tx{context.Background(), s.write}.transact(batch)
	for _, r := range batch {
		if err != nil {
			r.answer = err
		}
		r.done <- r.answer
	}
}

// transact returns an error when the whole batch is undone.
func (t tx) transact(batch []*request) error {
	err := t.run(begin)
	if err != nil {
		return err
	}
	for _, r := range batch {
		if err = t.isolate(r); err != nil {
			break
		}
	}
	if err == nil {
		err = t.run(commit)
	}
	if err != nil {
		// SQLite may have rolled back by itself (disk full), then this fails.
		_ = t.run(rollback)
		return fmt.Errorf("write batch of %d: %w", len(batch), err)
	}
	return nil
}

// isolate runs one request in a savepoint, so that its failure is its own. An
// error means that the transaction is not to be trusted any more.
func (t tx) isolate(r *request) error {
	if !r.take() {
		return nil
	}
	if err := t.run(savepoint); err != nil {
		return err
	}
	r.answer = r.do(t)
	if _, keep := errors.AsType[committed](r.answer); r.answer != nil && !keep {
		if err := t.run(rollbackTo); err != nil {
			return err
		}
	}
	return t.run(release)
}
