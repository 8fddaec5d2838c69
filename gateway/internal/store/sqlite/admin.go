package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"mcp-gateway/gateway/internal/store"
)

// An administrator's verbs read all grants where they pick some: they are rare.

// picked is whether a row passes a filter: ?2 to ?5, as pick orders them. The
// name of the grant's id differs between grants and codes.
func picked(id string) string {
	return `(?2 = '' OR ` + id + ` = ?2) AND (?5 = '' OR client_id = ?5)
		AND (?3 = '' OR identity ->> 'tid' = ?3) AND (?4 = '' OR identity ->> 'oid' = ?4)`
}

// pick is now (?1) and a filter as arguments.
func pick(f store.GrantFilter, now time.Time, more ...any) []any {
	return append([]any{micros(now), f.ID, f.Tenant, f.Object, f.ClientID}, more...)
}

// live is whether a grant is, at ?1.
const live = `(revoked_at IS NULL AND expires_at > ?1)`

var (
	revokePicked = writing("revoke grants", `UPDATE grants SET revoked_at = ?1, revoked_reason = ?6
		WHERE `+live+` AND `+picked(`id`)+` RETURNING id, client_id, identity ->> 'tid', identity ->> 'oid'`)
	burnPicked = writing("burn codes", `UPDATE codes SET failures = ?6
		WHERE used_at IS NULL AND failures < ?6 AND expires_at > ?1 AND `+picked(`grant_id`))
)

// revokeAll ends the live grants that a filter picks, what would become one, and
// the consents that would let one come back without a question.
func (t tx) revokeAll(f store.GrantFilter, reason string, now time.Time) ([]string, error) {
	forget := []store.GrantFilter{f}
	if f.ID != "" {
		forget = nil // its person and client are those of the grant; a client's own has no person
	}
	ids, err := t.endPicked(f, reason, now, func(g store.GrantFilter) {
		if f.ID != "" && g.Object != "" {
			forget = append(forget, g)
		}
	})
	if err != nil {
		return nil, err
	}
	for _, of := range forget {
		if err := t.forgetConsents(of); err != nil {
			return nil, err
		}
	}
	return ids, nil
}

// endPicked ends the live grants that a filter picks, and what would become
// one. each, if not nil, is told whose and for what they were.
func (t tx) endPicked(f store.GrantFilter, reason string, now time.Time, each func(store.GrantFilter)) (ids []string, err error) {
	err = t.rows(revokePicked, func(scan func(...any) error) error {
		var g store.GrantFilter
		err := scan(&g.ID, &g.ClientID, &g.Tenant, &g.Object)
		ids = append(ids, g.ID)
		if each != nil {
			each(g)
		}
		return err
	}, pick(f, now, reason)...)
	if err != nil {
		return nil, err
	}
	slices.Sort(ids)
	return ids, t.run(burnPicked, pick(f, now, store.MaxCodeFailures)...)
}

// RevokeGrants ends the live grants that a filter picks.
func (s *Store) RevokeGrants(ctx context.Context, f store.GrantFilter, reason string, now time.Time) ([]string, error) {
	return write(ctx, s, func(t tx) ([]string, error) { return t.revokeAll(f, reason, now) })
}

// SQLite takes columns beside max() from the row that has the maximum.
var selectUsers = reading("list users", `
	SELECT g.tenant, g.object, coalesce(g.identity ->> 'name', ''), coalesce(g.identity ->> 'username', ''), g.live, g.latest, d.disabled_at
	FROM (SELECT identity ->> 'tid' AS tenant, identity ->> 'oid' AS object, identity, sum(`+live+`) AS live, max(created_at) AS latest
		FROM grants WHERE NOT `+own+` GROUP BY 1, 2) g
	LEFT JOIN disabled_users d ON d.tenant = g.tenant AND d.object = g.object
	UNION ALL
	SELECT d.tenant, d.object, d.name, d.username, 0, NULL, d.disabled_at FROM disabled_users d
	WHERE NOT EXISTS (SELECT 1 FROM grants WHERE identity ->> 'tid' = d.tenant AND identity ->> 'oid' = d.object)
	ORDER BY 1, 2`)

// Users lists who has or had a grant, and who is disabled.
func (s *Store) Users(ctx context.Context, now time.Time) (users []store.UserSummary, err error) {
	err = tx{ctx, s.read}.rows(selectUsers, func(scan func(...any) error) error {
		var u store.UserSummary
		var latest, disabled sql.Null[int64]
		err := scan(&u.Tenant, &u.Object, &u.Name, &u.Username, &u.LiveGrants, &latest, &disabled)
		u.LastSignIn, u.DisabledAt = optionalInstant(latest), optionalInstant(disabled)
		users = append(users, u)
		return err
	}, micros(now))
	if err != nil {
		return nil, err
	}
	return users, nil
}

var selectClients = reading("list clients", `
	SELECT g.client_id, g.client_name, g.live, g.people, g.latest, d.disabled_at
	FROM (SELECT client_id, client_name, sum(`+live+`) AS live, max(created_at) AS latest,
			count(DISTINCT iif(`+live+` AND NOT `+own+`, identity ->> 'tid' || '/' || (identity ->> 'oid'), NULL)) AS people
		FROM grants GROUP BY client_id) g
	LEFT JOIN disabled_clients d ON d.client_id = g.client_id
	UNION ALL
	SELECT d.client_id, d.name, 0, 0, NULL, d.disabled_at FROM disabled_clients d
	WHERE NOT EXISTS (SELECT 1 FROM grants WHERE client_id = d.client_id)
	ORDER BY 1`)

// Clients lists what people have or had a grant for, and what is disabled.
func (s *Store) Clients(ctx context.Context, now time.Time) (clients []store.ClientSummary, err error) {
	err = tx{ctx, s.read}.rows(selectClients, func(scan func(...any) error) error {
		var c store.ClientSummary
		var latest, disabled sql.Null[int64]
		err := scan(&c.ClientID, &c.Name, &c.LiveGrants, &c.People, &latest, &disabled)
		c.LastSignIn, c.DisabledAt = optionalInstant(latest), optionalInstant(disabled)
		clients = append(clients, c)
		return err
	}, micros(now))
	if err != nil {
		return nil, err
	}
	return clients, nil
}

var (
	selectGrants = reading("list grants", `SELECT `+grantColumns+` FROM grants
		WHERE (?6 OR `+live+`) AND `+picked(`id`)+` ORDER BY created_at DESC, id`)
	selectGrant = reading("read grant", `SELECT `+grantColumns+` FROM grants WHERE id = ?`)
)

// Grants lists the grants that a filter picks.
func (s *Store) Grants(ctx context.Context, f store.GrantFilter, now time.Time) (grants []store.Grant, err error) {
	err = tx{ctx, s.read}.rows(selectGrants, func(scan func(...any) error) error {
		var row grantRow
		if err := scan(row.dest()...); err != nil {
			return err
		}
		g, err := row.decode()
		grants = append(grants, g)
		return err
	}, pick(f, now, f.All)...)
	if err != nil {
		return nil, err
	}
	return grants, nil
}

// GrantByID returns one grant, live or not.
func (s *Store) GrantByID(ctx context.Context, id string) (store.Grant, error) {
	var row grantRow
	err := tx{ctx, s.read}.row(selectGrant, row.dest(), id)
	if errors.Is(err, sql.ErrNoRows) {
		return store.Grant{}, store.ErrNotFound
	}
	if err != nil {
		return store.Grant{}, err
	}
	return row.decode()
}
