package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"mcp-gateway/gateway/internal/store"
)

// grantColumns are scanned by scanGrant, after columns of the caller's.
const grantColumns = `g.id, g.client_id, g.client_name, g.identity, g.scopes, g.resource, g.created_at, g.expires_at, g.revoked_at, g.revoked_reason`

// readStatements are the prepared statements of the hot path.
type readStatements struct{ useAccess *sql.Stmt }

func (r *readStatements) prepare(ctx context.Context, db *sql.DB) (err error) {
	r.useAccess, err = db.PrepareContext(ctx,
		`SELECT a.generation, a.scopes, a.issued_at, a.expires_at, n.first_used_at, `+grantColumns+`
		 FROM access_tokens a JOIN grants g ON g.id = a.grant_id
		 JOIN generations n ON n.grant_id = a.grant_id AND n.generation = a.generation
		 WHERE a.hash = ?`)
	return wrap("prepare statement", err)
}

func (r *readStatements) close() error {
	if r.useAccess == nil {
		return nil
	}
	return r.useAccess.Close()
}

// scanner is a row.
type scanner interface{ Scan(dest ...any) error }

// scanGrant scans first and then grantColumns.
func scanGrant(row scanner, first ...any) (store.Grant, error) {
	var g store.Grant
	var identity, scopes string
	var created, expires int64
	var revoked sql.Null[int64]
	err := row.Scan(append(first, &g.ID, &g.ClientID, &g.ClientName, &identity, &scopes, &g.Resource,
		&created, &expires, &revoked, &g.RevokedReason)...)
	if err != nil {
		return store.Grant{}, err
	}
	if err := json.Unmarshal([]byte(identity), &g.Identity); err != nil {
		return store.Grant{}, err
	}
	g.Scopes = strings.Fields(scopes)
	g.CreatedAt, g.ExpiresAt = fromMicros(created), fromMicros(expires)
	if revoked.Valid {
		g.RevokedAt = fromMicros(revoked.V)
	}
	return g, nil
}

// alive says whether a grant can be used at now.
func alive(g store.Grant, now time.Time) error {
	switch {
	case !g.RevokedAt.IsZero():
		return store.ErrRevoked
	case !now.Before(g.ExpiresAt):
		return store.ErrExpired
	default:
		return nil
	}
}

// UseAccessToken returns a valid access token with its grant.
func (s *Store) UseAccessToken(ctx context.Context, hash store.Hash, now time.Time) (store.AccessToken, store.Grant, error) {
	t := store.AccessToken{Hash: hash}
	var scopes string
	var issued, expires int64
	var firstUsed sql.Null[int64]
	g, err := scanGrant(s.reads.useAccess.QueryRowContext(ctx, hash[:]), &t.Generation, &scopes, &issued, &expires, &firstUsed)
	if err != nil {
		return store.AccessToken{}, store.Grant{}, wrap("use access token", err)
	}
	t.GrantID, t.Scopes = g.ID, strings.Fields(scopes)
	t.IssuedAt, t.ExpiresAt = fromMicros(issued), fromMicros(expires)
	if err := alive(g, now); err != nil {
		return store.AccessToken{}, store.Grant{}, fmt.Errorf("use access token: %w", err)
	}
	if !now.Before(t.ExpiresAt) {
		return store.AccessToken{}, store.Grant{}, fmt.Errorf("use access token: %w", store.ErrExpired)
	}
	if !firstUsed.Valid {
		if err := s.write(ctx, func(ctx context.Context, tx *sql.Tx) (error, error) {
			return nil, markUsed(ctx, tx, g.ID, t.Generation, now)
		}); err != nil {
			return store.AccessToken{}, store.Grant{}, err
		}
	}
	return t, g, nil
}

// markUsed records the first use of a generation: from then on its predecessor
// has only its grace left.
func markUsed(ctx context.Context, tx *sql.Tx, grantID string, generation int, now time.Time) error {
	_, err := tx.ExecContext(ctx,
		`UPDATE generations SET first_used_at = ? WHERE grant_id = ? AND generation = ? AND first_used_at IS NULL`,
		micros(now), grantID, generation)
	return wrap("mark generation as used", err)
}

// presented is a refresh token as found.
type presented struct {
	generation int
	expires    time.Time
	rotated    bool
	sealed     []byte
}

// RotateRefresh exchanges a refresh token for its successor (DESIGN D5).
func (s *Store) RotateRefresh(ctx context.Context, r store.Rotation, now time.Time) (store.Rotated, error) {
	var out store.Rotated
	err := s.write(ctx, func(ctx context.Context, tx *sql.Tx) (verdict, err error) {
		out = store.Rotated{}
		p, g, err := readRefresh(ctx, tx, r.Presented)
		if err != nil {
			return nil, wrap("rotate refresh token", err)
		}
		if g.ClientID != r.ClientID {
			return nil, fmt.Errorf("rotate refresh token: %w", store.ErrNotFound)
		}
		out.Grant = g
		if err := alive(g, now); err != nil {
			return nil, fmt.Errorf("rotate refresh token: %w", err)
		}
		if p.rotated {
			return repeat(ctx, tx, r, p, &out, now)
		}
		if !now.Before(p.expires) {
			return nil, fmt.Errorf("rotate refresh token: %w", store.ErrExpired)
		}
		return nil, rotate(ctx, tx, r, p, &out, now)
	})
	return out, err
}

func readRefresh(ctx context.Context, tx *sql.Tx, hash store.Hash) (presented, store.Grant, error) {
	var p presented
	var expires int64
	var rotated sql.Null[int64]
	g, err := scanGrant(tx.QueryRowContext(ctx,
		`SELECT n.generation, n.expires_at, n.rotated_at, n.sealed, `+grantColumns+`
		 FROM generations n JOIN grants g ON g.id = n.grant_id WHERE n.refresh_hash = ?`, hash[:]),
		&p.generation, &expires, &rotated, &p.sealed)
	p.expires, p.rotated = fromMicros(expires), rotated.Valid
	return p, g, err
}

// rotate is the first exchange: it makes the successor and closes the
// presented generation.
func rotate(ctx context.Context, tx *sql.Tx, r store.Rotation, p presented, out *store.Rotated, now time.Time) error {
	g, generation := out.Grant, p.generation+1
	if err := markUsed(ctx, tx, g.ID, p.generation, now); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `UPDATE generations SET rotated_at = ?, sealed = ? WHERE grant_id = ? AND generation = ?`,
		micros(now), r.Sealed, g.ID, p.generation); err != nil {
		return wrap("rotate refresh token", err)
	}
	if err := insertGeneration(ctx, tx, g, generation, &r.Successor, now); err != nil {
		return err
	}
	out.Sealed = r.Sealed
	return answer(ctx, tx, r, generation, r.Successor.Hash[:], micros(now), micros(earlier(r.Successor.ExpiresAt, g.ExpiresAt)), out)
}

// repeat answers a refresh token that was exchanged before: with the same
// successor as long as a lost answer can be the reason, and otherwise by
// revoking the grant.
func repeat(ctx context.Context, tx *sql.Tx, r store.Rotation, p presented, out *store.Rotated, now time.Time) (verdict, err error) {
	var hash []byte
	var issued, expires int64
	var firstUsed sql.Null[int64]
	err = tx.QueryRowContext(ctx,
		`SELECT refresh_hash, issued_at, expires_at, first_used_at FROM generations WHERE grant_id = ? AND generation = ?`,
		out.Grant.ID, p.generation+1).Scan(&hash, &issued, &expires, &firstUsed)
	if err != nil {
		return nil, wrap("read the successor", err)
	}
	if firstUsed.Valid && now.Sub(fromMicros(firstUsed.V)) > r.Grace {
		if err := revoke(ctx, tx, out.Grant.ID, store.ReasonRefreshReplay, now); err != nil {
			return nil, err
		}
		return fmt.Errorf("rotate refresh token: %w", store.ErrConsumed), nil
	}
	out.Sealed, out.Repeated = p.sealed, true
	return nil, answer(ctx, tx, r, p.generation+1, hash, issued, expires, out)
}

// answer issues the access token of an exchange and fills in what is returned.
func answer(ctx context.Context, tx *sql.Tx, r store.Rotation, generation int, hash []byte, issued, expires int64, out *store.Rotated) (err error) {
	r.Access.GrantID, r.Access.Generation, r.Access.Scopes = out.Grant.ID, generation, out.Grant.Scopes
	out.Access, err = insertAccess(ctx, tx, out.Grant, r.Access)
	out.Refresh = store.RefreshToken{
		Hash: store.Hash(hash), GrantID: out.Grant.ID, Generation: generation,
		IssuedAt: fromMicros(issued), ExpiresAt: fromMicros(expires),
	}
	return err
}

// RevokeGrant ends a grant and so all its tokens.
func (s *Store) RevokeGrant(ctx context.Context, grantID, reason string, now time.Time) error {
	return s.write(ctx, func(ctx context.Context, tx *sql.Tx) (error, error) {
		return nil, revoke(ctx, tx, grantID, reason, now)
	})
}

// revoke keeps the first time and reason.
func revoke(ctx context.Context, tx *sql.Tx, grantID, reason string, now time.Time) error {
	var id string
	err := tx.QueryRowContext(ctx,
		`UPDATE grants SET revoked_reason = CASE WHEN revoked_at IS NULL THEN ? ELSE revoked_reason END,
		 revoked_at = COALESCE(revoked_at, ?) WHERE id = ? RETURNING id`, reason, micros(now), grantID).Scan(&id)
	return wrap("revoke grant", err)
}
