package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"mcp-gateway/gateway/internal/store"
)

// AppendEvents writes audit rows, all or none.
func (s *Store) AppendEvents(ctx context.Context, events []store.Event) error {
	return s.write(ctx, func(ctx context.Context, tx *sql.Tx) (error, error) {
		for _, e := range events {
			if _, err := tx.ExecContext(ctx,
				`INSERT INTO events (time, kind, outcome, reason, tenant, object, grant_id, client, tool, address, duration_us)
				 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
				micros(e.Time), e.Kind, e.Outcome, e.Reason, e.Tenant, e.Object, e.GrantID, e.Client, e.Tool, e.Address,
				e.Duration.Microseconds()); err != nil {
				return nil, fmt.Errorf("append event: %w", err)
			}
		}
		return nil, nil
	})
}

// Events returns audit rows after an ID, ascending.
func (s *Store) Events(ctx context.Context, after int64, limit int) (_ []store.Event, err error) {
	rows, err := s.reader.QueryContext(ctx,
		`SELECT id, time, kind, outcome, reason, tenant, object, grant_id, client, tool, address, duration_us
		 FROM events WHERE id > ? ORDER BY id LIMIT ?`, after, limit)
	if err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var events []store.Event
	for rows.Next() {
		var e store.Event
		var at, took int64
		if err := rows.Scan(&e.ID, &at, &e.Kind, &e.Outcome, &e.Reason, &e.Tenant, &e.Object, &e.GrantID, &e.Client,
			&e.Tool, &e.Address, &took); err != nil {
			return nil, fmt.Errorf("read events: %w", err)
		}
		e.Time, e.Duration = fromMicros(at), time.Duration(took)*time.Microsecond
		events = append(events, e)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	return events, nil
}

// keepDead is how long dead records stay, so that a replay is still known for
// one and an operator can see what was there.
const keepDead = 24 * time.Hour

// Collect deletes what has been dead for a day and returns how many records.
func (s *Store) Collect(ctx context.Context, now time.Time) (int, error) {
	var deleted int64
	err := s.write(ctx, func(ctx context.Context, tx *sql.Tx) (error, error) {
		deleted = 0
		before := micros(now.Add(-keepDead))
		for _, statement := range []string{
			`DELETE FROM logins WHERE expires_at <= ?1`,
			`DELETE FROM codes WHERE expires_at <= ?1`,
			`DELETE FROM access_tokens WHERE expires_at <= ?1`,
			// Generations go with their grant.
			`DELETE FROM grants WHERE expires_at <= ?1 AND NOT EXISTS (SELECT 1 FROM access_tokens WHERE grant_id = grants.id)`,
		} {
			result, err := tx.ExecContext(ctx, statement, before)
			if err != nil {
				return nil, fmt.Errorf("collect: %w", err)
			}
			n, err := result.RowsAffected()
			if err != nil {
				return nil, fmt.Errorf("collect: %w", err)
			}
			deleted += n
		}
		return nil, nil
	})
	return int(deleted), err
}
