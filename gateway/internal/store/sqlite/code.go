package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"mcp-gateway/gateway/internal/store"
)

// CreateCode stores an authorization code with the grant it will create.
func (s *Store) CreateCode(ctx context.Context, c store.Code) error {
	c.Grant.CreatedAt, c.Grant.ExpiresAt = truncate(c.Grant.CreatedAt), truncate(c.Grant.ExpiresAt)
	record, err := json.Marshal(c.Grant)
	if err != nil {
		return fmt.Errorf("create code: %w", err)
	}
	return s.write(ctx, func(ctx context.Context, tx *sql.Tx) (error, error) {
		_, err := tx.ExecContext(ctx,
			`INSERT INTO codes (hash, grant_record, redirect_uri, challenge, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?)`,
			c.Hash[:], string(record), c.RedirectURI, c.Challenge, micros(c.CreatedAt), micros(c.ExpiresAt))
		return nil, wrap("create code", err)
	})
}

func truncate(t time.Time) time.Time { return fromMicros(micros(t)) }

// querier is a database or a transaction.
type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Code returns a code, also a used or expired one.
func (s *Store) Code(ctx context.Context, hash store.Hash) (store.Code, error) {
	return readCode(ctx, s.reader, hash)
}

func readCode(ctx context.Context, q querier, hash store.Hash) (store.Code, error) {
	c := store.Code{Hash: hash}
	var record string
	var created, expires int64
	var used sql.Null[int64]
	err := q.QueryRowContext(ctx,
		`SELECT grant_record, redirect_uri, challenge, created_at, expires_at, used_at, failures FROM codes WHERE hash = ?`, hash[:]).
		Scan(&record, &c.RedirectURI, &c.Challenge, &created, &expires, &used, &c.Failures)
	if err != nil {
		return store.Code{}, wrap("read code", err)
	}
	if err := json.Unmarshal([]byte(record), &c.Grant); err != nil {
		return store.Code{}, wrap("read code", err)
	}
	c.CreatedAt, c.ExpiresAt = fromMicros(created), fromMicros(expires)
	if used.Valid {
		c.UsedAt = fromMicros(used.V)
	}
	return c, nil
}

// FailCode counts one wrong attempt.
func (s *Store) FailCode(ctx context.Context, hash store.Hash) error {
	return s.write(ctx, func(ctx context.Context, tx *sql.Tx) (error, error) {
		var failures int
		err := tx.QueryRowContext(ctx, `UPDATE codes SET failures = failures + 1 WHERE hash = ? RETURNING failures`, hash[:]).Scan(&failures)
		return nil, wrap("count a wrong attempt", err)
	})
}

// RedeemCode creates the grant and its first tokens, once.
func (s *Store) RedeemCode(ctx context.Context, hash store.Hash, access store.AccessToken, refresh *store.RefreshToken, now time.Time) (store.Grant, error) {
	var g store.Grant
	err := s.write(ctx, func(ctx context.Context, tx *sql.Tx) (error, error) {
		code, err := readCode(ctx, tx, hash)
		if err != nil {
			return nil, err
		}
		g = code.Grant
		if !code.UsedAt.IsZero() {
			return replayed(ctx, tx, code, now)
		}
		if code.Failures >= store.MaxCodeFailures || !now.Before(code.ExpiresAt) {
			return nil, fmt.Errorf("redeem code: %w", store.ErrExpired)
		}
		if _, err := tx.ExecContext(ctx, `UPDATE codes SET used_at = ? WHERE hash = ?`, micros(now), hash[:]); err != nil {
			return nil, wrap("redeem code", err)
		}
		if err := insertGrant(ctx, tx, g); err != nil {
			return nil, err
		}
		if err := insertGeneration(ctx, tx, g, 0, refresh, now); err != nil {
			return nil, err
		}
		access.GrantID, access.Generation = g.ID, 0
		_, err = insertAccess(ctx, tx, g, access)
		return nil, err
	})
	return g, err
}

// replayed decides what a second use of a code is: a burst of the same client
// is only refused, a later one is taken for theft (RFC 6749 §4.1.2: "SHOULD
// revoke all tokens previously issued based on that authorization code").
func replayed(ctx context.Context, tx *sql.Tx, code store.Code, now time.Time) (verdict, err error) {
	if now.Sub(code.UsedAt) > store.ReplayBurst {
		if err := revoke(ctx, tx, code.Grant.ID, store.ReasonCodeReplay, now); err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
	}
	return fmt.Errorf("redeem code: %w", store.ErrConsumed), nil
}

func insertGrant(ctx context.Context, tx *sql.Tx, g store.Grant) error {
	identity, err := json.Marshal(g.Identity)
	if err != nil {
		return wrap("create grant", err)
	}
	_, err = tx.ExecContext(ctx,
		`INSERT INTO grants (id, client_id, client_name, identity, tenant, object, scopes, resource, created_at, expires_at)
		 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		g.ID, g.ClientID, g.ClientName, string(identity), g.Identity.Tenant, g.Identity.Object,
		strings.Join(g.Scopes, " "), g.Resource, micros(g.CreatedAt), micros(g.ExpiresAt))
	return wrap("create grant", err)
}

// insertGeneration stores a generation; refresh is nil for a grant that has no
// refresh tokens.
func insertGeneration(ctx context.Context, tx *sql.Tx, g store.Grant, generation int, refresh *store.RefreshToken, now time.Time) error {
	var hash []byte
	expires := g.ExpiresAt
	if refresh != nil {
		hash = refresh.Hash[:]
		expires = earlier(refresh.ExpiresAt, g.ExpiresAt)
	}
	_, err := tx.ExecContext(ctx,
		`INSERT INTO generations (grant_id, generation, refresh_hash, issued_at, expires_at) VALUES (?, ?, ?, ?, ?)`,
		g.ID, generation, hash, micros(now), micros(expires))
	return wrap("create refresh token", err)
}

// insertAccess stores an access token, which never outlives its grant, and
// returns it as stored.
func insertAccess(ctx context.Context, tx *sql.Tx, g store.Grant, t store.AccessToken) (store.AccessToken, error) {
	t.IssuedAt, t.ExpiresAt = truncate(t.IssuedAt), truncate(earlier(t.ExpiresAt, g.ExpiresAt))
	_, err := tx.ExecContext(ctx,
		`INSERT INTO access_tokens (hash, grant_id, generation, scopes, issued_at, expires_at) VALUES (?, ?, ?, ?, ?, ?)`,
		t.Hash[:], t.GrantID, t.Generation, strings.Join(t.Scopes, " "), micros(t.IssuedAt), micros(t.ExpiresAt))
	return t, wrap("create access token", err)
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
