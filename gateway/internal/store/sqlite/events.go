package sqlite

import (
	"context"
	"fmt"
	"time"

	"mcp-gateway/gateway/internal/store"
)

var insertEvent = writing("insert event", `INSERT INTO events
	(time, kind, outcome, reason, tenant, object, grant_id, client, tool, address, duration)
	VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`)

// AppendEvents writes all events or none.
func (s *Store) AppendEvents(ctx context.Context, events []store.Event) error {
	if len(events) == 0 {
		return nil
	}
	return s.change(ctx, func(t tx) error {
		for i := range events {
			if err := t.storeEvent(events[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

func (t tx) storeEvent(e store.Event) error {
	return t.run(insertEvent, micros(e.Time), e.Kind, e.Outcome, e.Reason, e.Tenant, e.Object, e.GrantID,
		e.Client, e.Tool, e.Address, e.Duration.Microseconds())
}

var selectEvents = reading("read events", `SELECT id, time, kind, outcome, reason, tenant, object, grant_id, client, tool, address, duration
	FROM events WHERE id > ? ORDER BY id LIMIT ?`)

// Events returns up to limit events after the one with that ID.
func (s *Store) Events(ctx context.Context, after int64, limit int) ([]store.Event, error) {
	// SQLite takes a negative limit for none at all.
	rows, err := s.read[selectEvents].QueryContext(ctx, after, max(limit, 0))
	if err != nil {
		return nil, fmt.Errorf("sqlite: read events: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var events []store.Event
	for rows.Next() {
		var e store.Event
		var at, duration int64
		if err := rows.Scan(&e.ID, &at, &e.Kind, &e.Outcome, &e.Reason, &e.Tenant, &e.Object, &e.GrantID,
			&e.Client, &e.Tool, &e.Address, &duration); err != nil {
			return nil, fmt.Errorf("sqlite: read events: %w", err)
		}
		e.Time, e.Duration = instant(at), time.Duration(duration)*time.Microsecond
		events = append(events, e)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("sqlite: read events: %w", err)
	}
	return events, nil
}
