package mcphttp

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"time"

	"mcp-gateway/gateway/internal/access"
	"mcp-gateway/shared/wire"
)

// legacy answers a message of the session era (2025-06-18, 2025-11-25).
func (h *Handler) legacy(r *http.Request, p *access.Principal, msg wire.Message) reply {
	now := time.Now()
	if msg.Kind == wire.Request && msg.Method == "initialize" {
		return h.initialize(r, p, msg, now)
	}
	sess, out, ok := h.session(r, p, msg.ID, now)
	if !ok {
		return out
	}
	switch msg.Kind {
	case wire.Response:
		// No request was sent to the client, so this answers nothing.
		return reply{status: http.StatusAccepted}
	case wire.Notification:
		if msg.Method == "notifications/cancelled" {
			h.inflight.cancel(sess, msg.Params)
		}
		return reply{status: http.StatusAccepted}
	}
	// A client that goes away does not cancel ("disconnection SHOULD NOT be
	// interpreted as the client cancelling its request", MCP 2025-11-25).
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(r.Context()), h.cfg.CallTimeout, errors.New("the call took too long"))
	defer cancel()
	defer h.inflight.add(sess, msg.ID, cancel)()
	return h.dispatch(ctx, r, p, msg).reply
}

// session checks the session a request names: it must be this person's and
// this client's, and every other one is unknown, so that nothing is learnt.
func (h *Handler) session(r *http.Request, p *access.Principal, id json.RawMessage, now time.Time) (session, reply, bool) {
	values := r.Header.Values(headerSession)
	if len(values) != 1 || values[0] == "" {
		return session{}, fault(http.StatusBadRequest, id, wire.CodeInvalidRequest,
			"the header Mcp-Session-Id is missing: initialize first, or send a message of revision 2026-07-28 with its _meta"), false
	}
	sess, ok := h.sessions.open(values[0], p, now)
	if !ok {
		return session{}, fault(http.StatusNotFound, id, wire.CodeInvalidRequest, "there is no such session: initialize again"), false
	}
	if v := r.Header.Values(headerVersion); len(v) > 1 || len(v) == 1 && v[0] != sess.Revision {
		return session{}, fault(http.StatusBadRequest, id, wire.CodeInvalidRequest,
			"the header MCP-Protocol-Version must be the session's revision "+sess.Revision), false
	}
	return sess, reply{}, true
}

// initialize starts a session. A revision that is not served, or not of this
// era, is answered with the latest that is; the client decides.
func (h *Handler) initialize(r *http.Request, p *access.Principal, msg wire.Message, now time.Time) reply {
	var params struct {
		ProtocolVersion string `json:"protocolVersion"`
	}
	if err := json.Unmarshal(msg.Params, &params); err != nil || params.ProtocolVersion == "" {
		return fault(http.StatusBadRequest, msg.ID, wire.CodeInvalidParams, "initialize needs params.protocolVersion")
	}
	revision := params.ProtocolVersion
	if !wire.IsServed(revision) || wire.IsModern(revision) {
		revision = wire.LatestLegacy
	}
	ctx, cancel := context.WithTimeout(r.Context(), h.cfg.CallTimeout)
	defer cancel()
	out := h.dispatch(withRevision(ctx, revision), r, p, msg)
	if out.code != 0 {
		return out.reply
	}
	id, err := h.sessions.start(p, revision, now)
	if err != nil {
		h.cfg.Logger.ErrorContext(ctx, "session could not be started", "error", err)
		return fault(http.StatusInternalServerError, msg.ID, wire.CodeInternal, "the session could not be started")
	}
	out.session = id
	return out.reply
}

// end answers DELETE: the session is over for good.
func (h *Handler) end(r *http.Request, p *access.Principal, now time.Time) reply {
	sess, out, ok := h.session(r, p, nil, now)
	if !ok {
		return out
	}
	h.sessions.end(sess, now)
	return reply{status: http.StatusNoContent}
}

// inflight knows the calls that a session can cancel: its own.
type inflight struct {
	mu sync.Mutex
	// guards below
	calls map[string]context.CancelFunc
}

func callKey(s session, id string) string { return s.ID + " " + id }

// add notes a call and returns what forgets it.
func (f *inflight) add(s session, id json.RawMessage, cancel context.CancelFunc) func() {
	key := callKey(s, string(id))
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.calls == nil {
		f.calls = make(map[string]context.CancelFunc)
	}
	f.calls[key] = cancel
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.calls, key)
	}
}

func (f *inflight) cancel(s session, params json.RawMessage) {
	var p struct {
		RequestID json.RawMessage `json:"requestId"`
	}
	if json.Unmarshal(params, &p) != nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if cancel, ok := f.calls[callKey(s, string(p.RequestID))]; ok {
		cancel()
	}
}
