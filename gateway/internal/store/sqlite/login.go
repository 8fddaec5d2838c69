package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"mcp-gateway/gateway/internal/store"
)

// micros is how a time is stored; fromMicros is the way back.
func micros(t time.Time) int64 { return t.UnixMicro() }

func fromMicros(us int64) time.Time { return time.UnixMicro(us).UTC() }

// CreateLogin stores a sign-in under way.
func (s *Store) CreateLogin(ctx context.Context, l store.Login) error {
	return s.write(ctx, func(ctx context.Context, tx *sql.Tx) (error, error) {
		_, err := tx.ExecContext(ctx, `INSERT INTO logins (state, browser, sealed, expires_at) VALUES (?, ?, ?, ?)`,
			l.State[:], l.Browser[:], l.Sealed, micros(l.ExpiresAt))
		return nil, wrap("create login", err)
	})
}

// ConsumeLogin deletes and returns a sign-in, if this browser started it and
// it is not over.
func (s *Store) ConsumeLogin(ctx context.Context, state, browser store.Hash, now time.Time) (store.Login, error) {
	l := store.Login{State: state, Browser: browser}
	err := s.write(ctx, func(ctx context.Context, tx *sql.Tx) (error, error) {
		var expires int64
		err := tx.QueryRowContext(ctx,
			`DELETE FROM logins WHERE state = ? AND browser = ? AND expires_at > ? RETURNING sealed, expires_at`,
			state[:], browser[:], micros(now)).Scan(&l.Sealed, &expires)
		l.ExpiresAt = fromMicros(expires)
		return nil, wrap("consume login", err)
	})
	if err != nil {
		return store.Login{}, err
	}
	return l, nil
}

// wrap says what was tried and turns "no rows" into the sentinel.
func wrap(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sql.ErrNoRows):
		return fmt.Errorf("%s: %w", what, store.ErrNotFound)
	default:
		return fmt.Errorf("%s: %w", what, err)
	}
}
