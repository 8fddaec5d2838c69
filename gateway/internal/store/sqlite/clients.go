package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"mcp-gateway/gateway/internal/store"
)

var insertAssertion = writing("remember assertion", `INSERT INTO assertions (hash, expires_at) VALUES (?, ?) ON CONFLICT DO NOTHING`)

// UseAssertion lets a client's assertion through once.
func (s *Store) UseAssertion(ctx context.Context, hash store.Hash, expiresAt time.Time) error {
	return s.change(ctx, func(t tx) error {
		n, err := t.exec(insertAssertion, hash[:], micros(expiresAt))
		if err == nil && n == 0 {
			return store.ErrConsumed
		}
		return err
	})
}

const consentKey = ` FROM consents WHERE tenant = ? AND object = ? AND client = ? AND redirect_uri = ?`

var (
	selectConsent = reading("read consent", `SELECT scopes, expires_at`+consentKey)
	oldConsent    = writing("read consent to add to", `SELECT scopes, expires_at`+consentKey)
	upsertConsent = writing("remember consent", `INSERT INTO consents (tenant, object, client, redirect_uri, scopes, expires_at)
		VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET scopes = excluded.scopes, expires_at = excluded.expires_at`)
)

// RememberConsent adds to what a person has allowed a client.
func (s *Store) RememberConsent(ctx context.Context, c store.Consent, now time.Time) error {
	client := store.HashOf(c.ClientID)
	return s.change(ctx, func(t tx) error {
		before, err := t.consented(oldConsent, c, now)
		if err != nil {
			return err
		}
		for _, scope := range c.Scopes {
			if !slices.Contains(before, scope) {
				before = append(before, scope)
			}
		}
		scopes, err := encodeList(before)
		if err != nil {
			return fmt.Errorf("sqlite: encode scopes: %w", err)
		}
		return t.run(upsertConsent, c.Tenant, c.Object, client[:], c.RedirectURI, scopes, micros(c.ExpiresAt))
	})
}

// Consented returns the scopes that a person has allowed a client.
func (s *Store) Consented(ctx context.Context, c store.Consent, now time.Time) ([]string, error) {
	return tx{ctx, s.read}.consented(selectConsent, c, now)
}

func (t tx) consented(q query, c store.Consent, now time.Time) ([]string, error) {
	client := store.HashOf(c.ClientID)
	var text string
	var expiresAt int64
	err := t.row(q, []any{&text, &expiresAt}, c.Tenant, c.Object, client[:], c.RedirectURI)
	if errors.Is(err, sql.ErrNoRows) || err == nil && expiresAt <= micros(now) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	scopes, err := decodeList(text)
	if err != nil {
		return nil, fmt.Errorf("sqlite: scopes of a consent: %w", err)
	}
	return scopes, nil
}

var deleteConsents = writing("forget consents", `DELETE FROM consents WHERE (?1 = '' OR tenant = ?1) AND (?2 = '' OR object = ?2)
	AND (?3 OR client = ?4)`)

// forgetConsents forgets what a filter's person allowed its client; an empty
// field of the filter stands for all.
func (t tx) forgetConsents(f store.GrantFilter) error {
	client := store.HashOf(f.ClientID)
	return t.run(deleteConsents, f.Tenant, f.Object, f.ClientID == "", client[:])
}
