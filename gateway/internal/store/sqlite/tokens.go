package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"mcp-gateway/gateway/internal/store"
)

var insertAccess = writing("insert access token", `INSERT INTO access_tokens
	(hash, grant_id, generation, scopes, issued_at, expires_at) VALUES (?, ?, ?, ?, ?, ?)`)

// storeAccess stores an access token of a grant and returns it as stored.
func (t tx) storeAccess(a store.AccessToken, g store.Grant, generation int) (store.AccessToken, error) {
	a.GrantID, a.Generation = g.ID, generation
	a.IssuedAt, a.ExpiresAt = instant(micros(a.IssuedAt)), instant(micros(earlier(a.ExpiresAt, g.ExpiresAt)))
	scopes, err := encodeList(a.Scopes)
	if err != nil {
		return store.AccessToken{}, fmt.Errorf("sqlite: encode scopes: %w", err)
	}
	return a, t.run(insertAccess, a.Hash[:], a.GrantID, a.Generation, scopes, micros(a.IssuedAt), micros(a.ExpiresAt))
}

var insertRefresh = writing("insert refresh token", `INSERT INTO refresh_tokens
	(hash, grant_id, generation, issued_at, expires_at) VALUES (?, ?, ?, ?, ?)`)

// storeRefresh stores a refresh token of a grant and returns it as stored.
func (t tx) storeRefresh(r store.RefreshToken, g store.Grant, generation int) (store.RefreshToken, error) {
	r.GrantID, r.Generation = g.ID, generation
	r.IssuedAt, r.ExpiresAt = instant(micros(r.IssuedAt)), instant(micros(earlier(r.ExpiresAt, g.ExpiresAt)))
	return r, t.run(insertRefresh, r.Hash[:], r.GrantID, r.Generation, micros(r.IssuedAt), micros(r.ExpiresAt))
}

// refuse says why nothing of a grant may be used any more, or returns nil.
func refuse(g store.Grant, expiresAt, now time.Time) error {
	switch {
	case !g.RevokedAt.IsZero():
		return store.ErrRevoked
	case !now.Before(expiresAt), !now.Before(g.ExpiresAt):
		return store.ErrExpired
	}
	return nil
}

var (
	selectAccess = reading("read access token", `SELECT a.generation, a.scopes, a.issued_at, a.expires_at,
			r.hash IS NOT NULL AND r.first_used_at IS NULL, `+grantColumnsOfG+`
		FROM access_tokens a JOIN grants g ON g.id = a.grant_id
		LEFT JOIN refresh_tokens r ON r.grant_id = a.grant_id AND r.generation = a.generation
		WHERE a.hash = ?`)
	markFirstUse = writing("record first use", `UPDATE refresh_tokens SET first_used_at = ?
		WHERE grant_id = ? AND generation = ? AND first_used_at IS NULL`)
)

// UseAccessToken returns a token with its grant if it is valid, and records the
// first use of its generation. All later uses only read.
func (s *Store) UseAccessToken(ctx context.Context, hash store.Hash, now time.Time) (store.AccessToken, store.Grant, error) {
	a := store.AccessToken{Hash: hash}
	var grant grantRow
	var scopes string
	var issuedAt, expiresAt int64
	var unused bool
	err := tx{ctx, s.read}.row(selectAccess, grant.dest(&a.Generation, &scopes, &issuedAt, &expiresAt, &unused), hash[:])
	if errors.Is(err, sql.ErrNoRows) {
		return store.AccessToken{}, store.Grant{}, store.ErrNotFound
	}
	if err != nil {
		return store.AccessToken{}, store.Grant{}, err
	}
	g, err := grant.decode()
	if err != nil {
		return store.AccessToken{}, store.Grant{}, err
	}
	a.GrantID, a.IssuedAt, a.ExpiresAt = g.ID, instant(issuedAt), instant(expiresAt)
	if a.Scopes, err = decodeList(scopes); err != nil {
		return store.AccessToken{}, store.Grant{}, fmt.Errorf("sqlite: scopes of an access token: %w", err)
	}
	if err := refuse(g, a.ExpiresAt, now); err != nil {
		return store.AccessToken{}, store.Grant{}, err
	}
	// Generation 0 has no predecessor whose grace its first use could start.
	if unused && a.Generation > 0 {
		err = s.change(ctx, func(t tx) error { return t.run(markFirstUse, micros(now), g.ID, a.Generation) })
		if err != nil {
			return store.AccessToken{}, store.Grant{}, err
		}
	}
	return a, g, nil
}

// presented is a refresh token that a client sent, with the successor if it was
// rotated before.
type presented struct {
	generation int
	expiresAt  time.Time
	grant      store.Grant
	rotated    bool
	sealed     []byte
	// successor is nil if there is none, or none any more.
	successor *store.RefreshToken
	// firstUse of the successor's generation; zero if there was none.
	firstUse time.Time
}

var selectRefresh = writing("read refresh token", `SELECT r.generation, r.expires_at, r.rotated_at IS NOT NULL, r.sealed,
		s.hash, s.issued_at, s.expires_at, s.first_used_at, `+grantColumnsOfG+`
	FROM refresh_tokens r JOIN grants g ON g.id = r.grant_id
	LEFT JOIN refresh_tokens s ON s.grant_id = r.grant_id AND s.generation = r.generation + 1
	WHERE r.hash = ?`)

func (t tx) presented(hash store.Hash) (presented, error) {
	var p presented
	var grant grantRow
	var expiresAt int64
	var nextHash []byte
	var nextIssued, nextExpires, nextUsed sql.Null[int64]
	err := t.row(selectRefresh, grant.dest(&p.generation, &expiresAt, &p.rotated, &p.sealed,
		&nextHash, &nextIssued, &nextExpires, &nextUsed), hash[:])
	if errors.Is(err, sql.ErrNoRows) {
		return presented{}, store.ErrNotFound
	}
	if err != nil {
		return presented{}, err
	}
	if p.grant, err = grant.decode(); err != nil {
		return presented{}, err
	}
	p.expiresAt, p.firstUse = instant(expiresAt), optionalInstant(nextUsed)
	if len(nextHash) == len(store.Hash{}) {
		p.successor = &store.RefreshToken{
			Hash: store.Hash(nextHash), GrantID: p.grant.ID, Generation: p.generation + 1,
			IssuedAt: instant(nextIssued.V), ExpiresAt: instant(nextExpires.V),
		}
	}
	return p, nil
}

// RotateRefresh gives a refresh token its one successor, or repeats it.
func (s *Store) RotateRefresh(ctx context.Context, r store.Rotation, now time.Time) (store.Rotated, error) {
	return write(ctx, s, func(t tx) (store.Rotated, error) {
		p, err := t.presented(r.Presented)
		if err != nil {
			return store.Rotated{}, err
		}
		// RFC 6749 §6: "the refresh token is bound to the client".
		if p.grant.ClientID != r.ClientID {
			return store.Rotated{}, store.ErrNotFound
		}
		err = refuse(p.grant, p.expiresAt, now)
		if errors.Is(err, store.ErrRevoked) {
			// There is nothing to commit, but the refusal has a value.
			return store.Rotated{Grant: p.grant}, committed{err}
		}
		if err != nil {
			return store.Rotated{}, err
		}
		if p.rotated {
			return t.repeat(p, r, now)
		}
		return t.rotate(p, r, now)
	})
}

var rotateRefresh = writing("rotate refresh token", `UPDATE refresh_tokens
	SET rotated_at = ?1, sealed = ?2, first_used_at = coalesce(first_used_at, ?1) WHERE hash = ?3`)

// rotate stores the successor. Rotating is a use of the presented generation,
// so it starts the grace of the generation before that.
func (t tx) rotate(p presented, r store.Rotation, now time.Time) (store.Rotated, error) {
	if err := t.run(rotateRefresh, micros(now), blob(r.Sealed), r.Presented[:]); err != nil {
		return store.Rotated{}, err
	}
	refresh, err := t.storeRefresh(r.Successor, p.grant, p.generation+1)
	if err != nil {
		return store.Rotated{}, err
	}
	r.Access.Scopes = p.grant.Scopes
	access, err := t.storeAccess(r.Access, p.grant, refresh.Generation)
	if err != nil {
		return store.Rotated{}, err
	}
	return store.Rotated{Grant: p.grant, Access: access, Refresh: refresh, Sealed: r.Sealed}, nil
}

// repeat answers a token that was rotated before: a client that lost the answer
// gets it again, a token that comes back late was stolen (RFC 9700 §4.14.2).
func (t tx) repeat(p presented, r store.Rotation, now time.Time) (store.Rotated, error) {
	if p.successor == nil {
		return store.Rotated{}, store.ErrExpired // it lived a shorter idle time, and was collected
	}
	if !p.firstUse.IsZero() && micros(now)-micros(p.firstUse) > r.Grace.Microseconds() {
		if _, err := t.revoke(p.grant.ID, store.ReasonRefreshReplay, now); err != nil {
			return store.Rotated{}, err
		}
		p.grant.RevokedAt, p.grant.RevokedReason = instant(micros(now)), store.ReasonRefreshReplay
		return store.Rotated{Grant: p.grant}, committed{store.ErrConsumed}
	}
	r.Access.Scopes = p.grant.Scopes
	access, err := t.storeAccess(r.Access, p.grant, p.successor.Generation)
	if err != nil {
		return store.Rotated{}, err
	}
	return store.Rotated{Grant: p.grant, Access: access, Refresh: *p.successor, Sealed: p.sealed, Repeated: true}, nil
}
