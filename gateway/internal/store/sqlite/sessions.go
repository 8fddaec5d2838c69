package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"mcp-gateway/gateway/internal/store"
)

var (
	rememberSession = writing("remember session", `INSERT INTO sessions (id, tenant, expires_at) VALUES (?1, ?2, ?3)
		ON CONFLICT DO UPDATE SET expires_at = max(expires_at, excluded.expires_at), ended_at = NULL
			WHERE ended_at IS NULL OR ended_at < ?4`)
	selectSession = reading("read session", `SELECT expires_at, ended_at FROM sessions
		WHERE id = ? AND tenant = ? AND expires_at > ?`)
	endSession = writing("end session", `UPDATE sessions SET ended_at = ?3
		WHERE id = ?1 AND (?2 = '' OR tenant = ?2) AND expires_at > ?3`)
)

// RememberSession stores a session of a sign-in, or lengthens it.
func (s *Store) RememberSession(ctx context.Context, session store.Session, began time.Time) error {
	return s.change(ctx, func(t tx) error {
		n, err := t.exec(rememberSession, session.ID[:], session.Tenant, micros(session.ExpiresAt), micros(began))
		if err == nil && n == 0 {
			return store.ErrRevoked
		}
		return err
	})
}

// Session returns a session that is remembered.
func (s *Store) Session(ctx context.Context, tenant string, id store.Hash, now time.Time) (store.Session, error) {
	var expiresAt int64
	var endedAt sql.Null[int64]
	err := tx{ctx, s.read}.row(selectSession, []any{&expiresAt, &endedAt}, id[:], tenant, micros(now))
	if errors.Is(err, sql.ErrNoRows) {
		return store.Session{}, store.ErrNotFound
	}
	if err != nil {
		return store.Session{}, err
	}
	return store.Session{Tenant: tenant, ID: id, ExpiresAt: instant(expiresAt), EndedAt: optionalInstant(endedAt)}, nil
}

// EndSession ends a session that is remembered.
func (s *Store) EndSession(ctx context.Context, tenant string, id store.Hash, now time.Time) error {
	return s.change(ctx, func(t tx) error {
		n, err := t.exec(endSession, id[:], tenant, micros(now))
		if err == nil && n == 0 {
			return store.ErrNotFound
		}
		return err
	})
}
