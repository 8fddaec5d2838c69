package mcphttp

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"mcp-gateway/gateway/internal/access"
	"mcp-gateway/shared/wire"
)

// legacy serves a message of the legacy era (MCP 2025-11-25 basic/transports,
// Streamable HTTP).
func (h *Handler) legacy(r *http.Request, x *exchange) answer {
	if x.msg.Kind == wire.KindRequest && x.msg.Method == "initialize" {
		return h.initialize(r.Context(), x)
	}
	s, f := h.session(r, x.principal, x.now)
	if f != nil {
		return f.answer(x.msg.ID)
	}
	x.session = s.id
	switch x.msg.Kind {
	case wire.KindNotification:
		h.notified(x)
		return answer{status: http.StatusAccepted}
	case wire.KindResponse:
		// The gateway has asked nothing: accepted, as the transport demands,
		// and without effect.
		return answer{status: http.StatusAccepted}
	default:
		// "Disconnection SHOULD NOT be interpreted as the client cancelling
		// its request" (2025-11-25, Sending Messages to the Server).
		return h.dispatch(context.WithoutCancel(r.Context()), x)
	}
}

// notified takes a notification of a session.
func (h *Handler) notified(x *exchange) {
	if x.msg.Method == "notifications/cancelled" {
		id, _ := wire.Member(x.msg.Params, "requestId")
		h.calls.stop(callKey{x.session, wire.IDKey(id)})
	}
}

// legacyRequest serves a request of a stream's session.
func (h *Handler) legacyRequest(ctx context.Context, x *exchange) answer {
	if x.msg.Method == "initialize" {
		return h.initialize(ctx, x)
	}
	return h.dispatch(ctx, x)
}

// initialize begins a session. A revision that is not served, and a modern
// one, is answered with the latest legacy one (2025-11-25 lifecycle, Version
// Negotiation).
func (h *Handler) initialize(ctx context.Context, x *exchange) answer {
	raw, _ := wire.Member(x.msg.Params, "protocolVersion")
	version, ok := wire.String(raw)
	if !ok {
		return invalidParams("params.protocolVersion is missing").answer(x.msg.ID)
	}
	if !wire.Serves(version, wire.EraLegacy) {
		version = wire.LatestLegacy
	}
	// Who the client says it is and what it can do changes nothing yet.
	params := json.RawMessage(`{"protocolVersion":"` + version + `","capabilities":{},"clientInfo":{"name":"","version":""}}`)
	result, f := h.run(ctx, x.msg.Method, params, nil)
	if f != nil {
		return f.answer(x.msg.ID)
	}
	return answer{
		status: http.StatusOK, body: wire.AppendResult(nil, x.msg.ID, result),
		session: h.sessions.begin(x.principal, version, x.now),
	}
}

// session finds the session that a request names, if it is this principal's.
func (h *Handler) session(r *http.Request, p *access.Principal, now time.Time) (session, *fault) {
	ids := r.Header[wire.HeaderSessionID]
	if len(ids) != 1 || ids[0] == "" {
		return session{}, badRequest("there must be one Mcp-Session-Id header: begin with initialize")
	}
	s, ok := h.sessions.find(ids[0], p, now)
	if !ok {
		return session{}, badRequest("there is no such session: begin with initialize").withStatus(http.StatusNotFound)
	}
	// The header is from 2025-06-18 on "MUST be sent"; without it the
	// session knows.
	for _, version := range r.Header[wire.HeaderProtocolVersion] {
		if !wire.Serves(version, wire.EraLegacy) {
			return session{}, badRequest(fmt.Sprintf("protocol version %.40q is not served; served are %s",
				version, strings.Join(wire.ServedRevisions(), ", ")))
		}
		if version != s.revision {
			return session{}, badRequest(fmt.Sprintf("the session was begun with protocol version %s, not %s", s.revision, version))
		}
	}
	return s, nil
}

// endSession serves DELETE: the session is known no more.
func (h *Handler) endSession(r *http.Request, p *access.Principal) answer {
	now := time.Now()
	s, f := h.session(r, p, now)
	if f != nil {
		return f.answer(nil)
	}
	h.sessions.end(s, now)
	return answer{status: http.StatusNoContent}
}
