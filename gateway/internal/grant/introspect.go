package grant

import (
	"context"
	"crypto/subtle"
	"errors"
	"log/slog"
	"strings"
	"time"

	"mcp-gateway/gateway/internal/client"
	"mcp-gateway/gateway/internal/store"
	"mcp-gateway/shared/oauth"
)

// Introspection is a parsed introspection request (RFC 7662 §2.1). There is no
// token_type_hint: only access tokens are of use to a resource server.
type Introspection struct {
	// Server is the resource server that asks, with its secret.
	Server client.Credentials
	Token  string
}

// Introspect tells a registered resource server whether an access token is good
// and whom it speaks for (RFC 7662 §2). Errors are as those of Exchange.
//
// All that is wrong with a token is one answer, "active": false, so that a
// server that guesses learns nothing (§2.2). A refresh token is never active
// here: nobody may present it to a resource server.
func (d *Dispatcher) Introspect(ctx context.Context, req Introspection, now time.Time) (oauth.IntrospectionResponse, error) {
	if !d.isResourceServer(req.Server) {
		return oauth.IntrospectionResponse{}, oauth.NewError(oauth.CodeInvalidClient,
			"only resource servers that the gateway's configuration lists may introspect, with their secret")
	}
	if req.Token == "" {
		return oauth.IntrospectionResponse{}, oauth.NewError(oauth.CodeInvalidRequest, "token is missing")
	}
	p, err := d.cfg.Tokens.Verify(ctx, req.Token, now)
	switch {
	case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrExpired), errors.Is(err, store.ErrRevoked):
		return oauth.IntrospectionResponse{Active: false}, nil
	case err != nil:
		return oauth.IntrospectionResponse{}, err
	}
	// A user is known by tenant and object (DESIGN D7), and where there is none it
	// is the client that the token speaks for.
	subject := p.Tenant + "/" + p.Object
	if p.Nobody() {
		subject = p.ClientID
	}
	d.cfg.Logger.DebugContext(ctx, "token introspected", slog.String("server", req.Server.ID), slog.String("grant", p.GrantID))
	return oauth.IntrospectionResponse{
		Active: true, Scope: strings.Join(p.Scopes, " "), ClientID: p.ClientID, Username: p.Username,
		TokenType: "Bearer", ExpiresAt: p.ExpiresAt.Unix(),
		Subject: subject, Audience: d.cfg.Issuer, Issuer: d.cfg.Issuer,
	}, nil
}

// isResourceServer checks who asks. A secret may come in either place.
func (d *Dispatcher) isResourceServer(given client.Credentials) bool {
	want, ok := d.cfg.ResourceServers[given.ID]
	got := store.HashOf(given.Secret)
	return ok && given.Secret != "" && subtle.ConstantTimeCompare(got[:], want[:]) == 1
}
