package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync/atomic"
)

const (
	// queueBound is how many writes may wait; more callers block until there
	// is room or their context ends.
	queueBound = 1024
	// batchBound is how many writes share one commit at most.
	batchBound = 256
)

// errStopped is what a write gets when the gateway is going down.
var errStopped = errors.New("the store is closed")

// request is one write waiting for its turn.
type request struct {
	work func(ctx context.Context, tx *sql.Tx) (verdict error, err error)
	// verdict is what the caller is told although the work is committed: a
	// sentinel such as store.ErrConsumed after a revocation.
	verdict error
	done    chan error
	// claimed is set by whichever comes first: the writer that runs the work,
	// or the caller that gives up. So work never runs, nor touches what its
	// caller holds, after write has returned.
	claimed atomic.Bool
}

// write runs work in a savepoint of the next batch and returns when that is
// durable. An error rolls back what work did and nothing else; a verdict is
// returned to the caller after the commit. If ctx ends while the write waits,
// it does not happen; once it runs, write waits for it.
func (s *Store) write(ctx context.Context, work func(ctx context.Context, tx *sql.Tx) (verdict, err error)) error {
	req := &request{work: work, done: make(chan error, 1)}
	select {
	case s.queue <- req:
	case <-ctx.Done():
		return ctx.Err()
	case <-s.stopped:
		return errStopped
	}
	select {
	case err := <-req.done:
		return err
	case <-ctx.Done():
		if req.claimed.CompareAndSwap(false, true) {
			return ctx.Err()
		}
	case <-s.stopped:
		if req.claimed.CompareAndSwap(false, true) {
			return errStopped
		}
	}
	return <-req.done
}

// Run writes until ctx ends; then it finishes what is queued and returns nil.
func (s *Store) Run(ctx context.Context) error {
	defer close(s.stopped)
	for {
		select {
		case req := <-s.queue:
			s.commit(s.batch(req))
		case <-ctx.Done():
			for {
				select {
				case req := <-s.queue:
					s.commit(s.batch(req))
				default:
					return nil
				}
			}
		}
	}
}

// batch is first and what else is queued at this moment: no write waits for
// company.
func (s *Store) batch(first *request) []*request {
	batch := []*request{first}
	for len(batch) < batchBound {
		select {
		case req := <-s.queue:
			batch = append(batch, req)
		default:
			return batch
		}
	}
	return batch
}

// commit runs a batch as one transaction and answers each request after it is
// durable. The transaction does not depend on any caller's context: one that
// goes away must not roll back its neighbours.
func (s *Store) commit(batch []*request) {
	ctx := context.Background()
	results := make([]error, len(batch))
	err := s.transact(ctx, batch, results)
	for i, req := range batch {
		switch {
		case err != nil:
			req.done <- fmt.Errorf("write: %w", err)
		case results[i] != nil:
			req.done <- results[i]
		default:
			req.done <- req.verdict
		}
	}
}

func (s *Store) transact(ctx context.Context, batch []*request, results []error) error {
	tx, err := s.writer.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	for i, req := range batch {
		if !req.claimed.CompareAndSwap(false, true) {
			continue // its caller gave up
		}
		if err := savepoint(ctx, tx, req, &results[i]); err != nil {
			return errors.Join(err, tx.Rollback())
		}
	}
	return tx.Commit()
}

// savepoint runs one request so that its failure undoes only itself. Its
// result is the request's; the error is for the whole batch.
func savepoint(ctx context.Context, tx *sql.Tx, req *request, result *error) error {
	if _, err := tx.ExecContext(ctx, "SAVEPOINT request"); err != nil {
		return err
	}
	verdict, err := req.work(ctx, tx)
	if err != nil {
		*result = err
		if _, err := tx.ExecContext(ctx, "ROLLBACK TO request"); err != nil {
			return err
		}
	}
	req.verdict = verdict
	_, err = tx.ExecContext(ctx, "RELEASE request")
	return err
}
