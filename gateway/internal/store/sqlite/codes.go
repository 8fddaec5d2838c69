package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"mcp-gateway/gateway/internal/store"
)

var insertLogin = writing("insert login", `INSERT INTO logins (state, browser, sealed, expires_at) VALUES (?, ?, ?, ?)`)

// CreateLogin stores a sign-in under way.
func (s *Store) CreateLogin(ctx context.Context, l store.Login) error {
	return s.change(ctx, func(t tx) error {
		return t.run(insertLogin, l.State[:], l.Browser[:], blob(l.Sealed), micros(l.ExpiresAt))
	})
}

var takeLogin = writing("take login", `DELETE FROM logins WHERE state = ? AND browser = ? AND expires_at > ?
	RETURNING sealed, expires_at`)

// ConsumeLogin returns a sign-in once, to the browser that started it.
func (s *Store) ConsumeLogin(ctx context.Context, state, browser store.Hash, now time.Time) (store.Login, error) {
	return write(ctx, s, func(t tx) (store.Login, error) {
		l := store.Login{State: state, Browser: browser}
		var expiresAt int64
		err := t.row(takeLogin, []any{&l.Sealed, &expiresAt}, state[:], browser[:], micros(now))
		if errors.Is(err, sql.ErrNoRows) {
			return store.Login{}, store.ErrNotFound
		}
		if err != nil {
			return store.Login{}, err
		}
		l.ExpiresAt = instant(expiresAt)
		return l, nil
	})
}

var insertCode = writing("insert code", `INSERT INTO codes (hash, grant_id, client_id, client_name, identity, scopes, resource,
		grant_created_at, grant_expires_at, redirect_uri, challenge, created_at, expires_at, used_at, failures)
	VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`)

// CreateCode stores an authorization code.
func (s *Store) CreateCode(ctx context.Context, c store.Code) error {
	return s.change(ctx, func(t tx) error { return t.storeCode(c) })
}

func (t tx) storeCode(c store.Code) error {
	g := c.Grant
	identity, scopes, err := encodeGrant(g)
	if err != nil {
		return err
	}
	var disabled bool
	if err := t.row(checkDisabled, []any{&disabled}, g.Identity.Tenant, g.Identity.Object, g.ClientID); err != nil {
		return err
	}
	if disabled {
		return store.ErrDisabled
	}
	if err := t.storeIdentity(g.Identity, identity, c.CreatedAt); err != nil {
		return err
	}
	if c.Account != nil {
		if err := t.storeAccount(*c.Account); err != nil {
			return err
		}
	}
	return t.run(insertCode, c.Hash[:], g.ID, g.ClientID, g.ClientName, identity, scopes, g.Resource,
		micros(g.CreatedAt), micros(g.ExpiresAt), c.RedirectURI, c.Challenge, micros(c.CreatedAt), micros(c.ExpiresAt),
		optional(c.UsedAt), c.Failures)
}

var selectCode = reading("read code", `SELECT redirect_uri, challenge, created_at, expires_at, used_at, failures, `+grantColumnsOfCode+`
	FROM codes WHERE hash = ?`)

// Code returns a code without using it.
func (s *Store) Code(ctx context.Context, hash store.Hash) (store.Code, error) {
	c := store.Code{Hash: hash}
	var grant grantRow
	var createdAt, expiresAt int64
	var usedAt sql.Null[int64]
	err := tx{ctx, s.read}.row(selectCode,
		grant.dest(&c.RedirectURI, &c.Challenge, &createdAt, &expiresAt, &usedAt, &c.Failures), hash[:])
	if errors.Is(err, sql.ErrNoRows) {
		return store.Code{}, store.ErrNotFound
	}
	if err != nil {
		return store.Code{}, err
	}
	c.CreatedAt, c.ExpiresAt, c.UsedAt = instant(createdAt), instant(expiresAt), optionalInstant(usedAt)
	if c.Grant, err = grant.decode(); err != nil {
		return store.Code{}, err
	}
	return c, nil
}

var failCode = writing("count failure of code", `UPDATE codes SET failures = failures + 1 WHERE hash = ?`)

// FailCode counts a wrong attempt at a code.
func (s *Store) FailCode(ctx context.Context, hash store.Hash) error {
	return s.change(ctx, func(t tx) error {
		n, err := t.exec(failCode, hash[:])
		if err == nil && n == 0 {
			return store.ErrNotFound
		}
		return err
	})
}

var (
	useCode = writing("use code", `UPDATE codes SET used_at = ?1
		WHERE hash = ?2 AND used_at IS NULL AND failures < ?3 AND expires_at > ?1 AND grant_expires_at > ?1
			AND NOT `+codeDisabled)
	insertGrantOfCode = writing("insert grant", `INSERT INTO grants (`+grantColumns+`)
		SELECT `+grantColumnsOfCode+` FROM codes WHERE hash = ? RETURNING `+grantColumns)
)

// RedeemCode creates the grant of a code and its first tokens, once.
func (s *Store) RedeemCode(ctx context.Context, r store.Redemption, now time.Time) (store.Grant, error) {
	return write(ctx, s, func(t tx) (store.Grant, error) {
		n, err := t.exec(useCode, micros(now), r.Code[:], store.MaxCodeFailures)
		if err != nil {
			return store.Grant{}, err
		}
		if n == 0 {
			return store.Grant{}, t.refuseCode(r.Code, now)
		}
		var row grantRow
		if err := t.row(insertGrantOfCode, row.dest(), r.Code[:]); err != nil {
			return store.Grant{}, err
		}
		grant, err := row.decode()
		if err != nil {
			return store.Grant{}, err
		}
		if r.Refresh != nil {
			if _, err := t.storeRefresh(*r.Refresh, grant, 0); err != nil {
				return store.Grant{}, err
			}
		}
		if _, err := t.storeAccess(r.Access, grant, 0); err != nil {
			return store.Grant{}, err
		}
		if r.Event != nil {
			if err := t.storeEvent(*r.Event); err != nil {
				return store.Grant{}, err
			}
		}
		return grant, nil
	})
}

var selectUse = writing("read use of code", `SELECT used_at, grant_id, `+codeDisabled+` FROM codes WHERE hash = ?`)

// refuseCode says why a code was not redeemed. "If an authorization code is
// used more than once, the authorization server MUST deny the request and
// SHOULD revoke" (RFC 6749 §4.1.2): that comes before expiry, because a replay
// is likely to come late.
func (t tx) refuseCode(code store.Hash, now time.Time) error {
	var usedAt sql.Null[int64]
	var grantID string
	var disabled bool
	err := t.row(selectUse, []any{&usedAt, &grantID, &disabled}, code[:])
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return store.ErrNotFound
	case err != nil:
		return err
	case !usedAt.Valid && disabled:
		return store.ErrDisabled
	case !usedAt.Valid:
		return store.ErrExpired // or burnt
	case micros(now)-usedAt.V <= store.ReplayBurst.Microseconds():
		return store.ErrConsumed
	}
	if _, err := t.revoke(grantID, store.ReasonCodeReplay, now); err != nil {
		return err
	}
	return committed{store.ErrConsumed}
}
