package sqlite

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"mcp-gateway/gateway/internal/store"
)

// micros is how a time is stored.
func micros(t time.Time) int64 { return t.UnixMicro() }

// optional is micros, and NULL for the zero time.
func optional(t time.Time) sql.Null[int64] {
	return sql.Null[int64]{V: t.UnixMicro(), Valid: !t.IsZero()}
}

// instant is a stored time as callers see it: UTC.
func instant(us int64) time.Time { return time.UnixMicro(us).UTC() }

func optionalInstant(us sql.Null[int64]) time.Time {
	if !us.Valid {
		return time.Time{}
	}
	return instant(us.V)
}

// blob is b for a NOT NULL column: the driver takes nil for NULL.
func blob(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

func encodeList(list []string) (string, error) {
	if len(list) == 0 {
		return "[]", nil
	}
	text, err := json.Marshal(list)
	return string(text), err
}

// decodeList returns nil for an empty list.
func decodeList(text string) (list []string, err error) {
	if text == "[]" {
		return nil, nil
	}
	err = json.Unmarshal([]byte(text), &list)
	return list, err
}

// grantRow takes the columns of a grant, in the order of grantColumns.
type grantRow struct {
	grant               store.Grant
	identity, scopes    string
	createdAt, expireAt int64
	revokedAt           sql.Null[int64]
}

const (
	grantColumns = `id, client_id, client_name, identity, scopes, resource, created_at, expires_at, revoked_at, revoked_reason`
	// grantColumnsOfG are the same in a join that calls the grant g.
	grantColumnsOfG = `g.id, g.client_id, g.client_name, g.identity, g.scopes, g.resource, g.created_at, g.expires_at,
		g.revoked_at, g.revoked_reason`
	// grantColumnsOfCode are the same of the grant that a code will create.
	grantColumnsOfCode = `grant_id, client_id, client_name, identity, scopes, resource, grant_created_at, grant_expires_at,
		NULL, ''`
)

// dest is where Scan puts the columns, after those of before.
func (r *grantRow) dest(before ...any) []any {
	return append(before, &r.grant.ID, &r.grant.ClientID, &r.grant.ClientName, &r.identity, &r.scopes, &r.grant.Resource,
		&r.createdAt, &r.expireAt, &r.revokedAt, &r.grant.RevokedReason)
}

// encodeGrant returns the columns of a grant that are JSON.
func encodeGrant(g store.Grant) (identity, scopes string, err error) {
	encoded, err := json.Marshal(g.Identity)
	if err != nil {
		return "", "", fmt.Errorf("sqlite: encode identity: %w", err)
	}
	if scopes, err = encodeList(g.Scopes); err != nil {
		return "", "", fmt.Errorf("sqlite: encode scopes: %w", err)
	}
	return string(encoded), scopes, nil
}

// decode returns the grant after Scan.
func (r *grantRow) decode() (store.Grant, error) {
	g := r.grant
	if err := json.Unmarshal([]byte(r.identity), &g.Identity); err != nil {
		return store.Grant{}, fmt.Errorf("sqlite: identity of grant %s: %w", g.ID, err)
	}
	var err error
	if g.Scopes, err = decodeList(r.scopes); err != nil {
		return store.Grant{}, fmt.Errorf("sqlite: scopes of grant %s: %w", g.ID, err)
	}
	g.CreatedAt, g.ExpiresAt, g.RevokedAt = instant(r.createdAt), instant(r.expireAt), optionalInstant(r.revokedAt)
	return g, nil
}

// earlier is what caps a token's end at its grant's.
func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
