package mcphttp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"mcp-gateway/gateway/internal/audit"
	"mcp-gateway/gateway/internal/client"
	"mcp-gateway/gateway/internal/store"
	"mcp-gateway/shared/wire"
)

// Reasons in the audit trail beside those of access.Decision and rule names.
const (
	reasonUnknownTool = "unknown_tool"
	reasonToolError   = "tool_error"
	reasonInternal    = "internal_error"
	reasonCancelled   = "cancelled"
	reasonTimeout     = "timeout"
	reasonRevoked     = "revoked"
)

// call serves tools/call in the order that counts: decide, be sure that it can
// be written down, run, write down. The answer goes out after that.
func (h *Handler) call(ctx context.Context, x *exchange, params json.RawMessage) (json.RawMessage, *fault) {
	raw, _ := wire.Member(x.msg.Params, "name")
	tool, ok := wire.String(raw)
	if !ok {
		return nil, invalidParams("params.name is missing")
	}
	arguments, f := callArguments(x.msg)
	if f != nil {
		return nil, f
	}
	rule, f := h.permit(ctx, x, tool, arguments)
	if f != nil {
		return nil, f
	}
	ctx, done := h.bounded(ctx, x)
	defer done()
	result, f := h.run(ctx, x, params, arguments)
	if f == nil {
		result, f = h.rounds(x, result)
	}
	outcome, reason := audit.OutcomeOK, rule
	switch {
	case f != nil:
		outcome, reason = audit.OutcomeError, reasonInternal
		if ctx.Err() != nil {
			f, reason = h.interrupted(ctx)
		}
	case isToolError(result):
		outcome, reason = audit.OutcomeError, reasonToolError
	}
	if !h.record(ctx, x, tool, outcome, reason) {
		return nil, noTrail
	}
	return result, f
}

// permit decides whether a call is run, and by which rule.
func (h *Handler) permit(ctx context.Context, x *exchange, tool string, arguments json.RawMessage) (rule string, _ *fault) {
	decision := h.cfg.Policy.Decide(x.principal, tool)
	if decision.Allowed && !h.cfg.Catalog.Has(tool) {
		decision.Allowed, decision.Reason = false, reasonUnknownTool
	}
	if !decision.Allowed {
		if !h.record(ctx, x, tool, audit.OutcomeDenied, decision.Reason) {
			return "", noTrail
		}
		// One answer for both, so that nobody learns which tools there are.
		return "", invalidParams(fmt.Sprintf("tool %.80q does not exist or you may not call it; an administrator can grant it", tool))
	}
	if x.era == wire.EraModern {
		if f := h.checkParamHeaders(x, tool, arguments); f != nil {
			return "", f
		}
	}
	if f := h.insufficient(ctx, x, tool); f != nil {
		return "", f
	}
	if err := h.cfg.Audit.Ready(ctx); err != nil {
		h.cfg.Logger.ErrorContext(ctx, "call refused, since it cannot be written down", slog.Any("error", err))
		return "", noTrail
	}
	return decision.Rule, nil
}

// callArguments returns the arguments as they were sent; nil for none. Some
// clients send null for none.
func callArguments(msg wire.Message) (json.RawMessage, *fault) {
	arguments, ok := wire.Member(msg.Params, "arguments")
	switch {
	case !ok || arguments[0] == 'n':
		return nil, nil
	case arguments[0] != '{':
		return nil, invalidParams("params.arguments is not an object")
	default:
		return arguments, nil
	}
}

// bounded is the context of a call: it ends with the call's time or its grant, and a
// legacy call's when its client says so. A modern call's ends with its request.
func (h *Handler) bounded(ctx context.Context, x *exchange) (_ context.Context, done func()) {
	ctx, stop := context.WithTimeoutCause(ctx, h.cfg.CallTimeout, errTimeout)
	ctx, cancel := context.WithCancelCause(ctx)
	leave := context.AfterFunc(x.granted, func() { cancel(errRevoked) })
	forget := func() {}
	if x.era == wire.EraLegacy {
		forget = h.calls.add(callKey{x.session, wire.IDKey(x.msg.ID)}, cancel)
	}
	return ctx, func() {
		forget()
		leave()
		cancel(nil)
		stop()
	}
}

// interrupted is the fault of a call whose context ended before it did.
func (h *Handler) interrupted(ctx context.Context) (f *fault, reason string) {
	f = &fault{status: http.StatusOK, code: wire.CodeInterrupted, message: "the call was cancelled"}
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errTimeout):
		f.message = fmt.Sprintf("the tool did not answer within %s", h.cfg.CallTimeout)
		return f, reasonTimeout
	case errors.Is(cause, errRevoked):
		f.message = "the access of this program was ended while the call ran"
		return f, reasonRevoked
	}
	return f, reasonCancelled
}

// isToolError reports whether a result says that the tool failed.
func isToolError(result json.RawMessage) bool {
	isError, _ := wire.Member(result, "isError")
	return string(isError) == "true"
}

// record writes the call down, and reports whether that is done for good.
func (h *Handler) record(ctx context.Context, x *exchange, tool, outcome, reason string) bool {
	p := x.principal
	err := h.cfg.Audit.Append(ctx, store.Event{
		Time: x.now, Kind: audit.KindCall, Outcome: outcome, Reason: reason,
		Tenant: p.Tenant, Object: p.Object, GrantID: p.GrantID,
		Client: client.Client{ID: p.ClientID, Name: p.ClientName}.Label(),
		Tool:   short(tool), Address: x.address, Duration: time.Since(x.now),
	})
	if err != nil {
		h.cfg.Logger.ErrorContext(ctx, "call could not be written down", slog.Any("error", err))
	}
	return err == nil
}

// short bounds what a client can put into the trail as the name of a tool.
func short(tool string) string {
	const longest = 128
	if len(tool) <= longest {
		return tool
	}
	return strings.ToValidUTF8(tool[:longest], "") + "…"
}
