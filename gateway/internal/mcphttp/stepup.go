package mcphttp

import (
	"context"
	"net/http"
	"strings"

	"mcp-gateway/gateway/internal/access"
	"mcp-gateway/gateway/internal/audit"
	"mcp-gateway/shared/oauth"
	"mcp-gateway/shared/wire"
)

// insufficient refuses a call for which the client was granted too little, and
// tells it what to ask for (MCP authorization, Runtime Insufficient Scope Errors;
// RFC 6750 §3.1). The person may call the tool: that was decided before.
func (h *Handler) insufficient(ctx context.Context, x *exchange, tool string) *fault {
	lacking := h.cfg.Policy.Lacks(x.principal, tool)
	if len(lacking) == 0 {
		return nil
	}
	if !h.record(ctx, x, tool, audit.OutcomeDenied, access.ReasonScope) {
		return noTrail
	}
	return &fault{
		status: http.StatusForbidden, code: wire.CodeInvalidRequest,
		message:   "the tool needs a permission that this program was not given: " + strings.Join(lacking, " "),
		challenge: h.challenge(x, oauth.CodeInsufficientScope, "the tool needs a scope that was not granted", lacking...),
	}
}

// ended refuses what comes, or would be answered, after the grant was revoked.
func (h *Handler) ended(x *exchange) *fault {
	return &fault{
		status: http.StatusUnauthorized, code: wire.CodeInvalidRequest,
		message:   "the access of this program was ended: sign in again",
		challenge: h.challenge(x, oauth.CodeInvalidToken, "the access was revoked"),
	}
}

// challenge is a WWW-Authenticate header. The scopes that the client has are named
// too, or one that asks for just what it is told would lose them.
func (h *Handler) challenge(x *exchange, code, description string, lacking ...string) string {
	var scopes []string
	for _, scope := range x.principal.Scopes {
		if scope != scopeOfflineAccess {
			scopes = append(scopes, scope)
		}
	}
	return oauth.FormatBearer(
		[2]string{"error", code},
		[2]string{"scope", strings.Join(append(scopes, lacking...), " ")},
		[2]string{"resource_metadata", h.cfg.PublicURL + oauth.PathResourceMetadata + x.resource},
		[2]string{"error_description", description},
	)
}

// scopeOfflineAccess is between the client and the authorization server: resources
// "SHOULD NOT include" it in a challenge (MCP authorization, Refresh Tokens).
const scopeOfflineAccess = "offline_access"

// insufficientPost is insufficient for a message to a stream: its answer will be
// an event there, which has no place for a challenge.
func (h *Handler) insufficientPost(ctx context.Context, x *exchange) *fault {
	raw, _ := wire.Member(x.msg.Params, "name")
	tool, ok := wire.String(raw)
	if x.msg.Method != "tools/call" || !ok || !h.cfg.Policy.Decide(x.principal, tool).Allowed || !h.cfg.Catalog.Has(tool) {
		return nil // what is wrong with it is said on the stream
	}
	return h.insufficient(ctx, x, tool)
}
