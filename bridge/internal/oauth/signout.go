package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"mcp-gateway/bridge/internal/keychain"
)

// SignOut revokes the sign-in (RFC 7009) and removes it here, the second also
// when the first fails. The client's registration stays unless it is to be
// forgotten. revoked says whether the authorization server has confirmed.
func (c *Client) SignOut(ctx context.Context, forgetClient bool) (revoked bool, err error) {
	err = c.locked(ctx, func() error {
		r, loadErr := c.settled(ctx)
		if loadErr != nil && !forgetClient {
			return loadErr
		}
		var revokeErr error
		if loadErr == nil {
			revoked, revokeErr = c.revoke(ctx, r)
		}
		if err := c.remove(context.WithoutCancel(ctx), r, forgetClient); err != nil {
			return errors.Join(revokeErr, err)
		}
		c.signedIn(keychain.Record{})
		switch {
		case loadErr != nil: // deleting needs no key, so it is the way out
			return fmt.Errorf("removed here, but not revoked: %w", loadErr)
		case revokeErr != nil:
			return fmt.Errorf("signed out here, but the server may still accept the old sign-in until it expires: %w", revokeErr)
		}
		return nil
	})
	if err != nil {
		return revoked, fmt.Errorf("sign out: %w", err)
	}
	return revoked, nil
}

// remove removes the tokens, and everything else with all.
func (c *Client) remove(ctx context.Context, r keychain.Record, all bool) error {
	if all || r.Issuer == "" { // a damaged or absent record has nothing to keep
		return c.cfg.Store.Delete(ctx, c.key)
	}
	return c.cfg.Store.Save(ctx, c.key, without(r))
}

// revoke revokes the refresh token, which ends the access token too (RFC 7009
// §2.1), or else the access token.
func (c *Client) revoke(ctx context.Context, r keychain.Record) (bool, error) {
	form := url.Values{"token": {r.RefreshToken}, "token_type_hint": {"refresh_token"}}
	if r.RefreshToken == "" {
		form = url.Values{"token": {r.AccessToken}, "token_type_hint": {"access_token"}}
	}
	if r.RevocationEndpoint == "" || form.Get("token") == "" {
		return false, nil
	}
	res, _, err := c.postForm(ctx, r.RevocationEndpoint, r, form)
	switch {
	case err != nil:
		return false, fmt.Errorf("revoke: %w", err)
	case res.status != http.StatusOK: // RFC 7009 §2.2
		return false, fmt.Errorf("revoke: %s answered %d", hostOf(r.RevocationEndpoint), res.status)
	}
	return true, nil
}
