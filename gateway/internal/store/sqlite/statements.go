package sqlite

import (
	"context"
	"database/sql"
	"fmt"
)

// query is a statement that Open prepares. Its SQL stands next to the verb that
// uses it.
type query int

// queries are all statements; filled while the package is initialised.
var queries []struct {
	what, text string
	// reads: for the pool of readers; the others are the writer's.
	reads bool
}

// writing declares a statement of the writer; what goes into error texts.
func writing(what, text string) query { return declare(what, text, false) }

// reading declares a statement of the readers.
func reading(what, text string) query { return declare(what, text, true) }

func declare(what, text string, reads bool) query {
	queries = append(queries, struct {
		what, text string
		reads      bool
	}{what, text, reads})
	return query(len(queries) - 1)
}

// statements are the prepared queries of one side, by query.
type statements []*sql.Stmt

type preparer interface {
	PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
}

func prepare(ctx context.Context, p preparer, reads bool) (statements, error) {
	all := make(statements, len(queries))
	for i, q := range queries {
		if q.reads != reads {
			continue
		}
		var err error
		if all[i], err = p.PrepareContext(ctx, q.text); err != nil {
			return nil, fmt.Errorf("prepare to %s: %w", q.what, err)
		}
	}
	return all, nil
}

// tx runs statements, inside the writer's transaction or on a reader.
type tx struct {
	ctx context.Context
	statements
}

// exec returns how many rows changed.
func (t tx) exec(q query, args ...any) (int64, error) {
	result, err := t.statements[q].ExecContext(t.ctx, args...)
	if err != nil {
		return 0, fmt.Errorf("sqlite: %s: %w", queries[q].what, err)
	}
	return result.RowsAffected()
}

// run is exec for statements whose count does not matter.
func (t tx) run(q query, args ...any) error {
	_, err := t.exec(q, args...)
	return err
}

// row scans one row into dest; sql.ErrNoRows if there is none.
func (t tx) row(q query, dest []any, args ...any) error {
	if err := t.statements[q].QueryRowContext(t.ctx, args...).Scan(dest...); err != nil {
		return fmt.Errorf("sqlite: %s: %w", queries[q].what, err)
	}
	return nil
}

// rows calls each for every row, with what scans it.
func (t tx) rows(q query, each func(scan func(dest ...any) error) error, args ...any) (err error) {
	rows, err := t.statements[q].QueryContext(t.ctx, args...)
	if err != nil {
		return fmt.Errorf("sqlite: %s: %w", queries[q].what, err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := each(rows.Scan); err != nil {
			return fmt.Errorf("sqlite: %s: %w", queries[q].what, err)
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("sqlite: %s: %w", queries[q].what, err)
	}
	return nil
}
