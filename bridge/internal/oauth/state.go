package oauth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"mcp-gateway/bridge/internal/keychain"
)

// maxMargin is how long before its end a token is renewed, at most.
const maxMargin = time.Minute

// live reports whether a record has an access token that has not ended. Without
// an end it lives until the server refuses it.
func live(r keychain.Record, now time.Time) bool {
	return r.AccessToken != "" && (r.ExpiresAt.IsZero() || now.Before(r.ExpiresAt))
}

// fresh reports whether the token lives and is not about to end: the margin is a
// quarter of its lifetime, so that short-lived tokens get used at all.
func fresh(r keychain.Record, now time.Time) bool {
	if !live(r, now) || r.ExpiresAt.IsZero() {
		return live(r, now)
	}
	margin := min(maxMargin, r.ExpiresAt.Sub(r.UpdatedAt)/4)
	return now.Before(r.ExpiresAt.Add(-margin))
}

// without is a record with its tokens gone and its registration kept.
func without(r keychain.Record) keychain.Record {
	r.AccessToken, r.RefreshToken, r.Subject, r.Scopes = "", "", "", nil
	r.ExpiresAt, r.UpdatedAt = time.Time{}, time.Time{}
	return r
}

// forgotten is a record without tokens and registration.
func forgotten(r keychain.Record) keychain.Record {
	r = without(r)
	r.ClientID, r.ClientSecret, r.Registration, r.RedirectURIs, r.TokenEndpointAuthMethod = "", "", nil, nil, ""
	return r
}

func (c *Client) held() keychain.Record {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.record
}

func (c *Client) hold(r keychain.Record) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.record = r
}

// signedIn holds a record whose tokens a sign-in has brought.
func (c *Client) signedIn(r keychain.Record) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.record, c.unsaved, c.challenge, c.wanted, c.refused, c.retryAt = r, nil, nil, false, "", time.Time{}
}

func (c *Client) remember(ch *challenge) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.challenge = ch
}

// want returns ErrSignIn and remembers which token led to it.
func (c *Client) want(used, reason string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wanted, c.refused = true, used
	return fmt.Errorf("%w: %s", ErrSignIn, reason)
}

func (c *Client) pausedUntil() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.retryAt
}

func (c *Client) pause(until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.retryAt = until
}

// load reads the stored record; the zero one when there is none or it is damaged.
func (c *Client) load(ctx context.Context) (keychain.Record, error) {
	r, err := c.cfg.Store.Load(ctx, c.key)
	switch {
	case errors.Is(err, keychain.ErrNotFound):
		return keychain.Record{}, nil
	case errors.Is(err, keychain.ErrDamaged):
		c.logger.WarnContext(ctx, "the stored sign-in cannot be read and counts as none", "server", c.server.Host, "error", err.Error())
		return keychain.Record{}, nil
	}
	return r, err
}

// holding returns the record in memory, or else the stored one: another process
// may have signed in since.
func (c *Client) holding(ctx context.Context) (keychain.Record, error) {
	if r := c.held(); r.AccessToken != "" {
		return r, nil
	}
	r, err := c.load(ctx)
	if err != nil || r.AccessToken == "" {
		return r, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.record.AccessToken == "" { // nobody brought a newer one while we read
		c.record = r
	}
	return c.record, nil
}

// takeStored holds the stored record if its token is usable and not the one that
// led to the sign-in.
func (c *Client) takeStored(ctx context.Context) (bool, error) {
	r, err := c.load(ctx)
	if err != nil {
		return false, err
	}
	c.mu.Lock()
	refused := c.wanted && c.refused == r.AccessToken
	c.mu.Unlock()
	if refused || !live(r, time.Now()) {
		return false, nil
	}
	c.signedIn(r)
	return true, nil
}

// locked runs f while nobody else changes the stored sign-in, in this process or
// another. The wait ends with ctx.
func (c *Client) locked(ctx context.Context, f func() error) error {
	select {
	case c.slot <- struct{}{}:
		defer func() { <-c.slot }()
	case <-ctx.Done():
		return fmt.Errorf("wait for another request's turn at the sign-in: %w", context.Cause(ctx))
	}
	unlock, err := c.cfg.Store.Lock(ctx, c.key)
	if err != nil {
		return err
	}
	defer unlock()
	return f()
}

// settled is load under the lock, after what the store did not take before has
// been offered to it again.
func (c *Client) settled(ctx context.Context) (keychain.Record, error) {
	r, err := c.load(ctx)
	c.mu.Lock()
	late := c.unsaved
	c.mu.Unlock()
	if err != nil || late == nil {
		return r, err
	}
	if r.RefreshToken == late.from { // still the one that the renewal used up
		if err := c.cfg.Store.Save(ctx, c.key, late.record); err != nil {
			return late.record, fmt.Errorf("the renewed sign-in is not saved yet: %w", err)
		}
		r = late.record
	}
	c.mu.Lock()
	c.unsaved = nil
	c.mu.Unlock()
	return r, nil
}
