package sqlite

import (
	"context"
	"time"

	"mcp-gateway/gateway/internal/store"
)

// disabledOf is whether a person or a client is disabled, all three given as SQL.
func disabledOf(tenant, object, client string) string {
	return `(EXISTS (SELECT 1 FROM disabled_users d WHERE d.tenant = ` + tenant + ` AND d.object = ` + object + `)
		OR EXISTS (SELECT 1 FROM disabled_clients d WHERE d.client_id = ` + client + `))`
}

// codeDisabled is whether the person or the client of a row of codes is.
var codeDisabled = disabledOf(`codes.identity ->> 'tid'`, `codes.identity ->> 'oid'`, `codes.client_id`)

var checkDisabled = writing("look for who is disabled", `SELECT `+disabledOf(`?1`, `?2`, `?3`))

var (
	insertDisabledUser = writing("disable user", `INSERT INTO disabled_users (tenant, object, name, username, disabled_at)
		SELECT ?1, ?2, coalesce(max(identity ->> 'name'), ''), coalesce(max(identity ->> 'username'), ''), ?3 FROM
			(SELECT identity FROM grants WHERE identity ->> 'tid' = ?1 AND identity ->> 'oid' = ?2 ORDER BY created_at DESC LIMIT 1)
		WHERE true ON CONFLICT DO NOTHING`)
	insertDisabledClient = writing("disable client", `INSERT INTO disabled_clients (client_id, name, disabled_at)
		SELECT ?1, coalesce(max(client_name), ''), ?2 FROM
			(SELECT client_name FROM grants WHERE client_id = ?1 ORDER BY created_at DESC LIMIT 1)
		WHERE true ON CONFLICT DO NOTHING`)
	deleteDisabledUser   = writing("enable user", `DELETE FROM disabled_users WHERE tenant = ? AND object = ?`)
	deleteDisabledClient = writing("enable client", `DELETE FROM disabled_clients WHERE client_id = ?`)
	selectDisabledUser   = reading("look for disabled user", `SELECT count(*) FROM disabled_users WHERE tenant = ? AND object = ?`)
	selectDisabledClient = reading("look for disabled client", `SELECT count(*) FROM disabled_clients WHERE client_id = ?`)
)

// DisableUser keeps a person out, and ends what they have.
func (s *Store) DisableUser(ctx context.Context, tenant, object string, now time.Time) ([]string, error) {
	return write(ctx, s, func(t tx) ([]string, error) {
		if err := t.run(insertDisabledUser, tenant, object, micros(now)); err != nil {
			return nil, err
		}
		if err := t.run(deleteAccount, tenant, object); err != nil {
			return nil, err
		}
		return t.revokeAll(store.GrantFilter{Tenant: tenant, Object: object}, store.ReasonUserDisabled, now)
	})
}

// DisableClient keeps a client out, and ends what people allowed it.
func (s *Store) DisableClient(ctx context.Context, clientID string, now time.Time) ([]string, error) {
	return write(ctx, s, func(t tx) ([]string, error) {
		if err := t.run(insertDisabledClient, clientID, micros(now)); err != nil {
			return nil, err
		}
		return t.revokeAll(store.GrantFilter{ClientID: clientID}, store.ReasonClientDisabled, now)
	})
}

// EnableUser lets a person sign in again.
func (s *Store) EnableUser(ctx context.Context, tenant, object string) error {
	return s.change(ctx, func(t tx) error { return t.run(deleteDisabledUser, tenant, object) })
}

// EnableClient lets people sign in with a client again.
func (s *Store) EnableClient(ctx context.Context, clientID string) error {
	return s.change(ctx, func(t tx) error { return t.run(deleteDisabledClient, clientID) })
}

// UserDisabled tells whether a person is kept out.
func (s *Store) UserDisabled(ctx context.Context, tenant, object string) (disabled bool, err error) {
	return disabled, tx{ctx, s.read}.row(selectDisabledUser, []any{&disabled}, tenant, object)
}

// ClientDisabled tells whether a client is kept out.
func (s *Store) ClientDisabled(ctx context.Context, clientID string) (disabled bool, err error) {
	return disabled, tx{ctx, s.read}.row(selectDisabledClient, []any{&disabled}, clientID)
}
