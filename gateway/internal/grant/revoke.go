package grant

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"mcp-gateway/gateway/internal/audit"
	"mcp-gateway/gateway/internal/client"
	"mcp-gateway/gateway/internal/store"
	"mcp-gateway/shared/oauth"
)

// Revocation is a parsed revocation request (RFC 7009 §2.1), every field as
// the client sent it. There is no token_type_hint: "The authorization server
// MAY ignore this parameter", and our tokens tell their type themselves.
type Revocation struct {
	Client client.Credentials
	Token  string
	// Address is the remote address, for the audit trail.
	Address string
}

// Revoke ends the grant that a token belongs to, with all its tokens: "the
// authorization server SHOULD also invalidate all access tokens based on the
// same authorization grant" (RFC 7009 §2.1). Errors are as those of Exchange.
//
// A token that is unknown, or another client's, is no error: what the client
// wanted is so already (RFC 7009 §2.2), and it cannot tell which of the two it
// was. Nothing happened then, so nothing goes into the audit trail either.
func (d *Dispatcher) Revoke(ctx context.Context, req Revocation, now time.Time) error {
	// "The authorization server first validates the client credentials"
	// (RFC 7009 §2.1).
	c, err := d.client(ctx, req.Client, now)
	if err != nil {
		return err
	}
	if req.Token == "" {
		return oauth.NewError(oauth.CodeInvalidRequest, "token is missing")
	}
	g, err := d.cfg.Tokens.RevokeToken(ctx, req.Token, c.ID, now)
	if errors.Is(err, store.ErrNotFound) {
		d.cfg.Logger.InfoContext(ctx, "nothing to revoke", slog.String("client", c.Fingerprint()), slog.String("address", req.Address))
		return nil
	}
	if err != nil {
		return err
	}
	d.cfg.Logger.InfoContext(ctx, "grant revoked", slog.String("grant", g.ID),
		slog.String("client", c.Fingerprint()), slog.String("reason", g.RevokedReason))
	// A repeat is written too: the row of the first may be what failed.
	return d.cfg.Audit.Append(ctx, event(audit.KindRevoke, audit.OutcomeOK, g.RevokedReason, c, g, req.Address, now))
}
