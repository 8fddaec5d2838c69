package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"mcp-gateway/gateway/internal/store"
)

var (
	revokeGrant = writing("revoke grant", `UPDATE grants SET revoked_at = ?, revoked_reason = ? WHERE id = ? AND revoked_at IS NULL`)
	countGrant  = writing("look for grant", `SELECT count(*) FROM grants WHERE id = ?`)
)

// revoke reports whether it was this call that ended the grant.
func (t tx) revoke(grantID, reason string, now time.Time) (bool, error) {
	n, err := t.exec(revokeGrant, micros(now), reason, grantID)
	return n > 0, err
}

// RevokeGrant ends a grant; the first reason stays.
func (s *Store) RevokeGrant(ctx context.Context, grantID, reason string, now time.Time) error {
	return s.change(ctx, func(t tx) error {
		if ended, err := t.revoke(grantID, reason, now); err != nil || ended {
			return err
		}
		var known int
		if err := t.row(countGrant, []any{&known}, grantID); err != nil {
			return err
		}
		if known == 0 {
			return store.ErrNotFound
		}
		return nil
	})
}

// A token is in one of the two tables: the hash tells tokens apart.
var selectGrantOfToken = writing("read grant of token", `SELECT `+grantColumns+` FROM grants WHERE client_id = ?2 AND id IN
	(SELECT grant_id FROM access_tokens WHERE hash = ?1 UNION ALL SELECT grant_id FROM refresh_tokens WHERE hash = ?1)`)

// RevokeToken ends the grant of a client's token; the first reason stays.
func (s *Store) RevokeToken(ctx context.Context, hash store.Hash, clientID string, now time.Time) (store.Grant, error) {
	return write(ctx, s, func(t tx) (store.Grant, error) {
		var row grantRow
		err := t.row(selectGrantOfToken, row.dest(), hash[:], clientID)
		if errors.Is(err, sql.ErrNoRows) {
			return store.Grant{}, store.ErrNotFound
		}
		if err != nil {
			return store.Grant{}, err
		}
		g, err := row.decode()
		if err != nil {
			return store.Grant{}, err
		}
		ended, err := t.revoke(g.ID, store.ReasonClient, now)
		if err != nil {
			return store.Grant{}, err
		}
		if ended {
			g.RevokedAt, g.RevokedReason = instant(micros(now)), store.ReasonClient
		}
		return g, nil
	})
}

const (
	// keepDead is how long after its end a record stays, so that a late use
	// is still told apart from an unknown one.
	keepDead = 24 * time.Hour
	// keepPiled is the same for what a program makes without a person, as often
	// as it likes.
	keepPiled = time.Hour
	// collectAtOnce rows are deleted in one request, so that callers behind
	// it wait milliseconds.
	collectAtOnce = 500
)

// collections delete a number of dead rows each. Tokens go before their grants.
var collections = []struct {
	keep time.Duration
	query
}{
	{keepDead, writing("collect logins", `DELETE FROM logins WHERE state IN
		(SELECT state FROM logins WHERE expires_at < ? LIMIT ?)`)},
	{keepDead, writing("collect codes", `DELETE FROM codes WHERE hash IN
		(SELECT hash FROM codes WHERE expires_at < ? LIMIT ?)`)},
	{keepPiled, writing("collect devices that nobody signed in", `DELETE FROM devices WHERE hash IN
		(SELECT hash FROM devices WHERE expires_at < ? AND approved_at IS NULL LIMIT ?)`)},
	{keepDead, writing("collect devices", `DELETE FROM devices WHERE hash IN
		(SELECT hash FROM devices WHERE expires_at < ? LIMIT ?)`)},
	{keepDead, writing("collect consents", `DELETE FROM consents WHERE rowid IN
		(SELECT rowid FROM consents WHERE expires_at < ? LIMIT ?)`)},
	{keepDead, writing("collect sessions", `DELETE FROM sessions WHERE (id, tenant) IN
		(SELECT id, tenant FROM sessions WHERE expires_at < ? LIMIT ?)`)},
	{keepPiled, writing("collect assertions", `DELETE FROM assertions WHERE hash IN
		(SELECT hash FROM assertions WHERE expires_at < ? LIMIT ?)`)},
	{keepPiled, writing("collect access tokens of clients' own grants", `DELETE FROM access_tokens WHERE hash IN
		(SELECT a.hash FROM grants g JOIN access_tokens a ON a.grant_id = g.id WHERE g.expires_at < ? AND `+own+` LIMIT ?)`)},
	{keepPiled, writing("collect clients' own grants", `DELETE FROM grants WHERE id IN
		(SELECT g.id FROM grants g WHERE g.expires_at < ? AND `+own+`
			AND NOT EXISTS (SELECT 1 FROM access_tokens a WHERE a.grant_id = g.id) LIMIT ?)`)},
	{keepDead, writing("collect access tokens", `DELETE FROM access_tokens WHERE hash IN
		(SELECT hash FROM access_tokens WHERE expires_at < ? LIMIT ?)`)},
	{keepDead, writing("collect refresh tokens", `DELETE FROM refresh_tokens WHERE hash IN
		(SELECT hash FROM refresh_tokens WHERE expires_at < ? LIMIT ?)`)},
	{keepDead, writing("collect access tokens of revoked grants", `DELETE FROM access_tokens WHERE hash IN
		(SELECT a.hash FROM grants g JOIN access_tokens a ON a.grant_id = g.id WHERE g.revoked_at < ? LIMIT ?)`)},
	{keepDead, writing("collect refresh tokens of revoked grants", `DELETE FROM refresh_tokens WHERE hash IN
		(SELECT r.hash FROM grants g JOIN refresh_tokens r ON r.grant_id = g.id WHERE g.revoked_at < ? LIMIT ?)`)},
	{keepDead, writing("collect accounts", `DELETE FROM accounts WHERE rowid IN
		(SELECT a.rowid FROM accounts a WHERE a.checked_at < ?1 AND NOT EXISTS (SELECT 1 FROM grants g INDEXED BY grants_by_person
			WHERE g.identity ->> 'tid' = a.tenant AND g.identity ->> 'oid' = a.object AND g.revoked_at IS NULL AND g.expires_at >= ?1) LIMIT ?2)`)},
	{keepDead, writing("collect grants", `DELETE FROM grants WHERE id IN
		(SELECT g.id FROM grants g WHERE (g.expires_at < ?1 OR g.revoked_at < ?1)
			AND NOT EXISTS (SELECT 1 FROM access_tokens a WHERE a.grant_id = g.id)
			AND NOT EXISTS (SELECT 1 FROM refresh_tokens r WHERE r.grant_id = g.id) LIMIT ?2)`)},
}

// Collect deletes what has been dead for long enough, some rows at a time, and
// returns how many. What it deleted before an error stays deleted.
func (s *Store) Collect(ctx context.Context, now time.Time) (int, error) {
	deleted := 0
	for _, c := range collections {
		for {
			n, err := write(ctx, s, func(t tx) (int64, error) {
				return t.exec(c.query, micros(now.Add(-c.keep)), collectAtOnce)
			})
			deleted += int(n)
			if err != nil {
				return deleted, err
			}
			if n < collectAtOnce {
				break
			}
		}
	}
	return deleted, nil
}
