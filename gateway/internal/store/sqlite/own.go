package sqlite

import (
	"context"

	"mcp-gateway/gateway/internal/store"
)

// own picks the grants that clients have for themselves, by the index of persons.
const own = `(identity ->> 'tid' = '' AND identity ->> 'oid' = '')`

var insertGrant = writing("insert grant of a client itself", `INSERT INTO grants (`+grantColumns+`)
	VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL, '')`)

// CreateOwnGrant creates a grant that a client has for itself, and its token.
func (s *Store) CreateOwnGrant(ctx context.Context, o store.OwnGrant) error {
	g := o.Grant
	identity, scopes, err := encodeGrant(g)
	if err != nil {
		return err
	}
	return s.change(ctx, func(t tx) error {
		var disabled bool
		if err := t.row(checkDisabled, []any{&disabled}, g.Identity.Tenant, g.Identity.Object, g.ClientID); err != nil {
			return err
		}
		if disabled {
			return store.ErrDisabled
		}
		if err := t.run(insertGrant, g.ID, g.ClientID, g.ClientName, identity, scopes, g.Resource, micros(g.CreatedAt), micros(g.ExpiresAt)); err != nil {
			return err
		}
		if _, err := t.storeAccess(o.Access, g, 0); err != nil {
			return err
		}
		if o.Event == nil {
			return nil
		}
		return t.storeEvent(*o.Event)
	})
}
