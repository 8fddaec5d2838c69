package grant

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"time"

	"mcp-gateway/gateway/internal/audit"
	"mcp-gateway/gateway/internal/client"
	"mcp-gateway/gateway/internal/store"
	"mcp-gateway/gateway/internal/token"
	"mcp-gateway/shared/oauth"
)

// clientCredentials gives a client a token for itself (RFC 6749 §4.4, OAuth 2.1
// §4.2; MCP extension io.modelcontextprotocol/oauth-client-credentials). Nobody
// signs in and nobody consents, so who may have one is written down by an
// administrator; what it may do is for rules about clients to say (package access).
func (d *Dispatcher) clientCredentials(ctx context.Context, c client.Client, req Request, now time.Time) (token.Issued, error) {
	// "MUST only be used by confidential clients" (RFC 6749 §4.4).
	if c.Public() || !c.Known {
		return token.Issued{}, oauth.NewError(oauth.CodeUnauthorizedClient, "only a client with a secret or a key, which the administrator registered, acts for itself")
	}
	if err := d.checkResources(req.Resources); err != nil {
		return token.Issued{}, err
	}
	g := store.Grant{ID: rand.Text(), ClientID: c.ID, ClientName: c.Name, Scopes: d.ownScopes(c, req.Scope)}
	// As with a code, there is no grant without its row.
	row := event(audit.KindGrant, audit.OutcomeOK, req.GrantType, c, g, req.Address, now)
	issued, err := d.cfg.Tokens.IssueOwn(ctx, g, &row, now)
	if errors.Is(err, store.ErrDisabled) { // since it was let in, a moment ago
		return token.Issued{}, notLetIn(err)
	}
	return issued, err
}

// ownScopes are those that a client gets of what it asks for (RFC 6749 §3.3): what
// every token has, and what the administrator gave it. The rest is dropped, as at
// the authorization endpoint, and the answer names what is left.
func (d *Dispatcher) ownScopes(c client.Client, scope string) []string {
	asked := strings.Fields(scope)
	return append([]string{d.cfg.Scope}, slices.DeleteFunc(slices.Clone(c.Scopes), func(name string) bool {
		return !slices.Contains(asked, name)
	})...)
}
