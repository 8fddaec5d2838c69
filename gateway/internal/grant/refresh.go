package grant

import (
	"context"
	"strings"
	"time"

	"mcp-gateway/gateway/internal/client"
	"mcp-gateway/gateway/internal/store"
	"mcp-gateway/gateway/internal/token"
	"mcp-gateway/shared/oauth"
)

// refreshToken rotates a refresh token (RFC 6749 §6, OAuth 2.1 §4.3).
func (d *Dispatcher) refreshToken(ctx context.Context, c client.Client, req Request, now time.Time) (token.Issued, error) {
	if req.RefreshToken == "" {
		return token.Issued{}, oauth.NewError(oauth.CodeInvalidRequest, "refresh_token is missing")
	}
	if err := d.checkResources(req.Resources); err != nil {
		return token.Issued{}, err
	}
	// Before it rotates: a client that is told to come back later, or that an
	// administrator's mistake keeps waiting, still has a token that works.
	began := time.Now()
	if err := d.cfg.Accounts.Check(ctx, store.HashOf(req.RefreshToken), c.ID, now); err != nil {
		return token.Issued{}, err
	}
	// Microsoft may have taken its time: the token's lifetime starts now.
	return d.cfg.Tokens.Refresh(ctx, req.RefreshToken, c.ID, now.Add(time.Since(began)))
}

// response is the answer of RFC 6749 §5.1. scope is always there: it may
// differ from what was asked.
func response(issued token.Issued) oauth.TokenResponse {
	return oauth.TokenResponse{
		AccessToken: issued.Access, TokenType: "Bearer",
		ExpiresIn:    int64(issued.ExpiresIn / time.Second),
		RefreshToken: issued.Refresh,
		Scope:        strings.Join(issued.Scopes, " "),
	}
}
