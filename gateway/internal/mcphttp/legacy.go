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
func (h *Handler) legacy(w http.ResponseWriter, r *http.Request, x *exchange) {
	if x.msg.Kind == wire.KindRequest && x.msg.Method == "initialize" {
		x.out = nowhere{}
		h.initialize(r.Context(), x).write(w)
		return
	}
	s, leave, f := h.enter(r, x.principal, x.now)
	if f != nil {
		f.answer(x.msg.ID).write(w)
		return
	}
	defer leave()
	x.join(s)
	if x.msg.Kind != wire.KindRequest {
		h.taken(x)
		answer{status: http.StatusAccepted}.write(w)
		return
	}
	// What can be come back for is kept (2025-11-25, Resumability and Redelivery);
	// clients of before do not know an event without data.
	var keep func() *events
	if x.revision >= wire.Revision20251125 {
		keep = func() *events { return x.state.open(time.Now(), false) }
	}
	h.respond(w, r, []*exchange{x}, keep, func(out *reply) answer {
		x.out = out
		// "Disconnection SHOULD NOT be interpreted as the client cancelling its
		// request" (2025-11-25, Sending Messages to the Server).
		return h.dispatch(context.WithoutCancel(r.Context()), x)
	})
}

// enter finds the session that a request names, and what is remembered of it, until
// leave is called.
func (h *Handler) enter(r *http.Request, p *access.Principal, now time.Time) (_ session, leave func(), _ *fault) {
	s, f := h.session(r, p, now)
	if f != nil {
		return session{}, nil, f
	}
	if s.state, leave = h.states.use(s.id, p); s.state == nil {
		return session{}, nil, busy
	}
	if h.sessions.hasEnded(s.id) { // meanwhile
		leave()
		h.states.end(s.id, now)
		return session{}, nil, noSession
	}
	return s, leave, nil
}

// noSession is the fault of a request in a session that is not there.
var noSession = badRequest("there is no such session: begin with initialize").withStatus(http.StatusNotFound)

// join puts an exchange into a session.
func (x *exchange) join(s session) {
	x.session, x.revision, x.state, x.capabilities = s.id, s.revision, s.state, s.can.capabilities()
}

// nowhere is the outlet of a request that has nothing to say before its response.
type nowhere struct{}

func (nowhere) send([]byte) bool { return false }

// taken takes a notification or a response of a session.
func (h *Handler) taken(x *exchange) {
	switch {
	case x.msg.Kind == wire.KindResponse:
		x.state.answered(x.msg)
	case x.msg.Method == "notifications/cancelled":
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
	// Who the client says it is changes nothing.
	x.revision = version
	raw, _ = wire.Member(x.msg.Params, "capabilities")
	can := canOf(capabilitiesOf(raw))
	params := json.RawMessage(`{"protocolVersion":"` + version + `","capabilities":{},"clientInfo":{"name":"","version":""}}`)
	result, f := h.run(ctx, x, params, nil)
	if f != nil {
		return f.answer(x.msg.ID)
	}
	if x.state != nil { // a stream's, which is its session
		x.state.mu.Lock()
		x.state.revision, x.state.can = version, can
		x.state.mu.Unlock()
	}
	return answer{
		status: http.StatusOK, body: wire.AppendResult(nil, x.msg.ID, result),
		session: h.sessions.begin(x.principal, version, can, x.now),
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
		return session{}, noSession
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
	h.states.end(s.id, now)
	return answer{status: http.StatusNoContent}
}
