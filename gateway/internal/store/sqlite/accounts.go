package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"mcp-gateway/gateway/internal/store"
)

// ofPerson picks the grants of a person (?1, ?2) by their index.
const ofPerson = `identity ->> 'tid' = ?1 AND identity ->> 'oid' = ?2`

// Most sign-ins and renewals have nothing new to say.
var followPerson = writing("give grants an identity", `UPDATE grants SET identity = ?3
	WHERE `+ofPerson+` AND identity <> ?3 AND revoked_at IS NULL AND expires_at > ?4`)

// storeIdentity gives the live grants of a person what is known of them by now.
func (t tx) storeIdentity(who store.Identity, encoded string, now time.Time) error {
	return t.run(followPerson, who.Tenant, who.Object, encoded, micros(now))
}

var (
	// A version is not used again for the same person, also if the account was
	// deleted in between, so that whoever has claimed one finds out.
	upsertAccount = writing("store account", `INSERT INTO accounts (tenant, object, sealed, version, checked_at, check_at)
		VALUES (?1, ?2, ?3, ?4, ?4, ?5)
		ON CONFLICT DO UPDATE SET sealed = excluded.sealed, version = version + 1, checked_at = excluded.checked_at,
			check_at = excluded.check_at, claimed_until = 0`)
	deleteAccount = writing("delete account", `DELETE FROM accounts WHERE tenant = ? AND object = ?`)
)

// storeAccount stores the account of a sign-in in place of the person's.
func (t tx) storeAccount(a store.Account) error {
	return t.run(upsertAccount, a.Tenant, a.Object, blob(a.Sealed), micros(a.CheckedAt), micros(a.CheckAt))
}

var selectAccountOfToken = reading("read account of token", `SELECT g.created_at, g.revoked_at IS NOT NULL,
		coalesce(a.tenant, ''), coalesce(a.object, ''), coalesce(a.version, 0), coalesce(a.checked_at, 0), coalesce(a.check_at, 0)
	FROM refresh_tokens r JOIN grants g ON g.id = r.grant_id
	LEFT JOIN accounts a ON a.tenant = g.identity ->> 'tid' AND a.object = g.identity ->> 'oid'
	WHERE r.hash = ? AND g.client_id = ?`)

// AccountOfToken returns what has to be known before Microsoft is asked. Every
// renewal of a token comes by here, so it reads no more.
func (s *Store) AccountOfToken(ctx context.Context, hash store.Hash, clientID string) (store.Standing, error) {
	var found store.Standing
	var grantedAt, checkedAt, checkAt int64
	a := &found.Account
	err := tx{ctx, s.read}.row(selectAccountOfToken,
		[]any{&grantedAt, &found.Revoked, &a.Tenant, &a.Object, &a.Version, &checkedAt, &checkAt}, hash[:], clientID)
	if errors.Is(err, sql.ErrNoRows) {
		return store.Standing{}, store.ErrNotFound
	}
	if err != nil {
		return store.Standing{}, err
	}
	found.GrantedAt = instant(grantedAt)
	if a.Tenant != "" {
		a.CheckedAt, a.CheckAt = instant(checkedAt), instant(checkAt)
	}
	return found, nil
}

var (
	claimAccount = writing("claim account", `UPDATE accounts SET claimed_until = ?3
		WHERE tenant = ?1 AND object = ?2 AND claimed_until <= ?4 RETURNING sealed, version, checked_at, check_at`)
	countAccount = writing("look for account", `SELECT count(*) FROM accounts WHERE tenant = ? AND object = ?`)
)

// ClaimAccount gives one caller the right to ask Microsoft about a person.
func (s *Store) ClaimAccount(ctx context.Context, tenant, object string, until, now time.Time) (store.Account, error) {
	return write(ctx, s, func(t tx) (store.Account, error) {
		a := store.Account{Tenant: tenant, Object: object}
		var checkedAt, checkAt int64
		err := t.row(claimAccount, []any{&a.Sealed, &a.Version, &checkedAt, &checkAt}, tenant, object, micros(until), micros(now))
		if err == nil {
			a.CheckedAt, a.CheckAt = instant(checkedAt), instant(checkAt)
			return a, nil
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return store.Account{}, err
		}
		var known int
		if err := t.row(countAccount, []any{&known}, tenant, object); err != nil {
			return store.Account{}, err
		}
		if known == 0 {
			return store.Account{}, store.ErrNotFound
		}
		return store.Account{}, store.ErrClaimed
	})
}

const ofVersion = ` WHERE tenant = ?1 AND object = ?2 AND version = ?3`

var (
	renewAccount = writing("renew account", `UPDATE accounts SET sealed = ?4, checked_at = ?5, check_at = ?6,
		version = version + 1, claimed_until = 0`+ofVersion)
	releaseAccount = writing("release account", `UPDATE accounts SET sealed = ?4, check_at = ?5, claimed_until = 0`+ofVersion)
	endAccount     = writing("end account", `DELETE FROM accounts`+ofVersion)
)

// RenewAccount stores what Microsoft said of a person and gave for them.
func (s *Store) RenewAccount(ctx context.Context, a store.Account, who store.Identity, now time.Time) error {
	encoded, err := json.Marshal(who)
	if err != nil {
		return fmt.Errorf("sqlite: encode identity: %w", err)
	}
	return s.change(ctx, func(t tx) error {
		n, err := t.exec(renewAccount, a.Tenant, a.Object, a.Version, blob(a.Sealed), micros(a.CheckedAt), micros(a.CheckAt))
		if err != nil {
			return err
		}
		if n == 0 {
			return store.ErrConsumed
		}
		return t.storeIdentity(who, string(encoded), now)
	})
}

// ReleaseAccount gives a claim back.
func (s *Store) ReleaseAccount(ctx context.Context, a store.Account) error {
	return s.change(ctx, func(t tx) error {
		return t.run(releaseAccount, a.Tenant, a.Object, a.Version, blob(a.Sealed), micros(a.CheckAt))
	})
}

// EndAccount ends what a person has whom Microsoft does not let in any longer.
func (s *Store) EndAccount(ctx context.Context, a store.Account, event store.Event, now time.Time) ([]string, error) {
	return write(ctx, s, func(t tx) ([]string, error) {
		n, err := t.exec(endAccount, a.Tenant, a.Object, a.Version)
		if err != nil || n == 0 {
			return nil, err
		}
		if err := t.storeEvent(event); err != nil {
			return nil, err
		}
		return t.endPicked(store.GrantFilter{Tenant: a.Tenant, Object: a.Object}, store.ReasonMicrosoft, now, nil)
	})
}
