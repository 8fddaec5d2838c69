package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"mcp-gateway/bridge/internal/keychain"
	"mcp-gateway/shared/oauth"
)

// refresh replaces the access token used, once among all requests and processes:
// a rotated refresh token that is sent twice ends the sign-in (RFC 9700 §4.14.2).
func (c *Client) refresh(ctx context.Context, used string) error {
	return c.locked(ctx, func() error {
		if r := c.held(); r.AccessToken != used && fresh(r, time.Now()) {
			return nil // by whoever held the lock before us
		}
		r, err := c.settled(ctx)
		if err != nil {
			return err
		}
		if r.AccessToken != used && fresh(r, time.Now()) {
			c.hold(r) // by another process
			return nil
		}
		return c.renew(ctx, used, r)
	})
}

// renew redeems r's refresh token. It runs under the lock.
func (c *Client) renew(ctx context.Context, used string, r keychain.Record) error {
	for {
		if r.RefreshToken == "" {
			c.hold(keychain.Record{})
			return c.want(used, "the access token has ended and cannot be renewed")
		}
		next, err := c.redeem(ctx, r)
		if err == nil {
			return c.keep(ctx, r.RefreshToken, next)
		}
		if !is(err, oauth.CodeInvalidGrant) {
			return c.renewFailed(ctx, used, r, err)
		}
		// A program that does not know our lock may have been at it.
		stored, loadErr := c.load(ctx)
		if loadErr != nil {
			return errors.Join(loadErr, err)
		}
		if stored.RefreshToken == r.RefreshToken || stored.RefreshToken == "" {
			return c.drop(ctx, used, without(r), err)
		}
		r = stored
	}
}

// redeem sends the refresh token (RFC 6749 §6). Once begun it goes on when the
// caller gives up: the server may have rotated, and the answer holds the only
// copy of the new token.
func (c *Client) redeem(ctx context.Context, r keychain.Record) (keychain.Record, error) {
	ctx = context.WithoutCancel(ctx) // the HTTP client has its own limit
	for {
		form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {r.RefreshToken}}
		if r.Resource != NoResource && r.Resource != "" {
			form.Set("resource", r.Resource)
		}
		t, err := c.token(ctx, "refresh", r, form)
		if refusesResource(err) && form.Has("resource") {
			r.Resource = NoResource
			continue
		}
		if err != nil {
			return keychain.Record{}, err
		}
		return t.into(r, time.Now()), nil
	}
}

// keep saves a renewed record before anybody uses it.
func (c *Client) keep(ctx context.Context, from string, next keychain.Record) error {
	if err := c.cfg.Store.Save(context.WithoutCancel(ctx), c.key, next); err != nil {
		c.mu.Lock()
		c.unsaved = &unsaved{record: next, from: from}
		c.mu.Unlock()
		return fmt.Errorf("keep the renewed sign-in: %w", err)
	}
	c.hold(next)
	return nil
}

// renewFailed sorts the failures that are not about the refresh token.
func (c *Client) renewFailed(ctx context.Context, used string, r keychain.Record, err error) error {
	if _, refused := errors.AsType[*Refusal](err); !refused || errors.Is(err, errLater) {
		return err
	}
	if is(err, oauth.CodeInvalidClient, oauth.CodeUnauthorizedClient) {
		if len(r.Registration) > 0 {
			return c.drop(ctx, used, forgotten(r), err)
		}
		return fmt.Errorf("the authorization server does not accept the client %q, check --client-id and its secret: %w", clean(r.ClientID), err)
	}
	return fmt.Errorf("%w (%w)", c.want(used, "the sign-in cannot be renewed"), err)
}

// drop stores what is left of a sign-in that has ended.
func (c *Client) drop(ctx context.Context, used string, left keychain.Record, cause error) error {
	c.logger.InfoContext(ctx, "the sign-in has ended", "server", c.server.Host, "reason", cause.Error())
	if err := c.cfg.Store.Save(context.WithoutCancel(ctx), c.key, left); err != nil {
		return fmt.Errorf("drop a sign-in that has ended: %w", err)
	}
	c.hold(keychain.Record{})
	return fmt.Errorf("%w (%w)", c.want(used, "the authorization server has ended the last one"), cause)
}
