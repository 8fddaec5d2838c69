package mcphttp

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"mcp-gateway/gateway/internal/access"
	"mcp-gateway/gateway/internal/audit"
	"mcp-gateway/gateway/internal/catalog"
	"mcp-gateway/gateway/internal/client"
	"mcp-gateway/gateway/internal/store"
	"mcp-gateway/shared/wire"
)

// answered is a reply and, for an error response, its JSON-RPC code.
type answered struct {
	reply
	code int
	// failed: the call ran and its tool reported an error.
	failed bool
}

type revisionKey struct{}

// withRevision fixes the revision that initialize answers with.
func withRevision(ctx context.Context, revision string) context.Context {
	return context.WithValue(ctx, revisionKey{}, revision)
}

// dispatch answers one request of either era: the one way to every method.
func (h *Handler) dispatch(ctx context.Context, r *http.Request, p *access.Principal, msg wire.Message) answered {
	if msg.Method == "tools/call" {
		return h.call(ctx, r, p, msg)
	}
	return h.handle(ctx, msg)
}

// call decides, runs and records one tool call. Nothing runs that could not be
// recorded, and no result goes out before its record is durable.
func (h *Handler) call(ctx context.Context, r *http.Request, p *access.Principal, msg wire.Message) answered {
	start := time.Now()
	event := store.Event{
		Time: start, Kind: audit.KindCall, Tenant: p.Tenant, Object: p.Object, GrantID: p.GrantID,
		Client: client.Client{ID: p.ClientID, Name: p.ClientName}.Label(), Tool: clip(msg.Name), Address: h.cfg.Address(r).String(),
	}
	decision := h.cfg.Policy.Decide(p, msg.Name)
	if !decision.Allowed || h.cfg.Server.GetTool(msg.Name) == nil {
		event.Outcome, event.Reason = audit.OutcomeDenied, decision.Reason
		if decision.Allowed {
			event.Reason = "unknown_tool"
		}
		if err := h.cfg.Audit.Append(ctx, event); err != nil {
			return notRecorded(msg.ID)
		}
		return denied(msg)
	}
	if err := h.cfg.Audit.Ready(ctx); err != nil {
		return notRecorded(msg.ID)
	}
	out := h.handle(ctx, msg)
	event.Outcome, event.Reason, event.Duration = audit.OutcomeOK, decision.Rule, time.Since(start)
	if out.code != 0 || out.failed {
		event.Outcome = audit.OutcomeError
	}
	if err := h.cfg.Audit.Append(ctx, event); err != nil {
		return notRecorded(msg.ID)
	}
	return out
}

// denied is one answer for what is not there and what is not allowed, so that
// nobody learns which tools exist.
func denied(msg wire.Message) answered {
	text := fmt.Sprintf("tool %q does not exist or you may not call it; an administrator can grant it", clip(msg.Name))
	return answered{reply: fault(http.StatusOK, msg.ID, wire.CodeInvalidParams, text), code: wire.CodeInvalidParams}
}

func notRecorded(id json.RawMessage) answered {
	out := fault(http.StatusServiceUnavailable, id, wire.CodeInternal, "the audit trail cannot be written, so nothing is served; try again")
	out.retry = "2"
	return answered{reply: out, code: wire.CodeInternal}
}

// clip bounds a name from the outside before it is stored or repeated.
func clip(name string) string {
	const bound = 128
	if len(name) <= bound {
		return name
	}
	return string([]rune(name)[:min(bound, len([]rune(name)))]) + "..."
}

// handle passes a request to mcp-go under an id of our own and answers under
// the client's, byte for byte.
func (h *Handler) handle(ctx context.Context, msg wire.Message) answered {
	id := strconv.FormatInt(h.lastID.Add(1), 10)
	ctx = server.WithSupportedProtocolVersions(ctx, wire.Served)
	text := msg.WithID(id)
	if msg.Method == "tools/call" {
		ctx, text = catalog.WithArguments(ctx, msg.Arguments), msg.Envelope(id)
	}
	switch out := h.cfg.Server.HandleMessage(ctx, text).(type) {
	case mcp.JSONRPCResponse:
		return h.result(ctx, msg, out.Result)
	case mcp.JSONRPCError:
		data, err := json.Marshal(out.Error.Data)
		if err != nil || out.Error.Data == nil {
			data = nil
		}
		return answered{
			reply: reply{status: http.StatusOK, body: wire.AppendError(nil, msg.ID, out.Error.Code, out.Error.Message, data)},
			code:  out.Error.Code,
		}
	default:
		h.cfg.Logger.ErrorContext(ctx, "no answer to a request", slog.String("method", msg.Method), slog.String("type", fmt.Sprintf("%T", out)))
		return answered{reply: fault(http.StatusInternalServerError, msg.ID, wire.CodeInternal, "the gateway has no answer"), code: wire.CodeInternal}
	}
}

func (h *Handler) result(ctx context.Context, msg wire.Message, result any) answered {
	var failed bool
	switch v := result.(type) {
	case mcp.InitializeResult:
		if revision, ok := ctx.Value(revisionKey{}).(string); ok {
			v.ProtocolVersion = revision
			result = v
		}
	case mcp.CallToolResult:
		failed = v.IsError
	case *mcp.CallToolResult:
		failed = v.IsError
	}
	raw, err := json.Marshal(result)
	if err != nil {
		h.cfg.Logger.ErrorContext(ctx, "result could not be encoded", slog.String("method", msg.Method), slog.Any("error", err))
		return answered{reply: fault(http.StatusInternalServerError, msg.ID, wire.CodeInternal, "the result could not be encoded"), code: wire.CodeInternal}
	}
	return answered{reply: reply{status: http.StatusOK, body: wire.AppendResult(nil, msg.ID, raw)}, failed: failed}
}
