package grant

import (
	"context"
	"errors"
	"fmt"
	"time"

	"mcp-gateway/gateway/internal/audit"
	"mcp-gateway/gateway/internal/client"
	"mcp-gateway/gateway/internal/store"
	"mcp-gateway/gateway/internal/token"
	"mcp-gateway/shared/oauth"
)

// authorizationCode redeems a code (RFC 6749 §4.1.3, RFC 7636 §4.6).
//
// Everything is checked before the code is consumed, so a wrong verifier,
// redirect URI, client or resource leaves it usable; each such attempt is
// counted and the fifth burns it (store.MaxCodeFailures).
func (d *Dispatcher) authorizationCode(ctx context.Context, c client.Client, req Request, now time.Time) (token.Issued, error) {
	if req.Code == "" {
		return token.Issued{}, oauth.NewError(oauth.CodeInvalidRequest, "code is missing")
	}
	if req.Verifier == "" {
		return token.Issued{}, oauth.NewError(oauth.CodeInvalidRequest, "code_verifier is missing: PKCE is required")
	}
	hash := store.HashOf(req.Code)
	code, err := d.cfg.Codes.Code(ctx, hash)
	if err != nil {
		return token.Issued{}, fmt.Errorf("look up code: %w", err)
	}
	if refusal := d.checkCode(c, code, req); refusal != nil {
		if err := d.cfg.Codes.FailCode(ctx, hash); err != nil && !errors.Is(err, store.ErrNotFound) {
			return token.Issued{}, fmt.Errorf("count a wrong attempt: %w", err)
		}
		return token.Issued{Grant: code.Grant}, refusal
	}
	return d.redeem(ctx, c, code, req, now)
}

// redeem exchanges a code that was checked. The grant and its row in the audit
// trail are one: there is none without the other, and a trail that cannot be
// written leaves the code unused.
func (d *Dispatcher) redeem(ctx context.Context, c client.Client, code store.Code, req Request, now time.Time) (token.Issued, error) {
	row := event(audit.KindGrant, audit.OutcomeOK, req.GrantType, c, code.Grant, req.Address, now)
	issued, err := d.cfg.Tokens.Redeem(ctx, code, c.MayRefresh(), &row, now)
	if err != nil {
		return token.Issued{Grant: code.Grant}, err
	}
	return issued, nil
}

func (d *Dispatcher) checkCode(c client.Client, code store.Code, req Request) error {
	if code.Grant.ClientID != c.ID {
		return oauth.NewError(oauth.CodeInvalidGrant, "the code was issued to another client")
	}
	// OAuth 2.1 clients omit redirect_uri here; RFC 6749 §4.1.3 clients send
	// it and it "MUST be identical".
	if req.RedirectURI != "" && req.RedirectURI != code.RedirectURI {
		return oauth.NewError(oauth.CodeInvalidGrant, "redirect_uri is not the one of the authorization request")
	}
	// The client may have been let in with other redirect URIs by now: what it
	// publishes is read anew at each step.
	if !oauth.MatchRedirect(c.RedirectURIs, code.RedirectURI) {
		return oauth.NewError(oauth.CodeInvalidGrant, "the redirect_uri of the authorization request is not the client's any longer")
	}
	if !oauth.VerifyS256(code.Challenge, req.Verifier) {
		return oauth.NewError(oauth.CodeInvalidGrant, "code_verifier does not match the code_challenge")
	}
	return d.checkResources(req.Resources)
}
