package mcphttp

import (
	"context"
	"net/http"
	"time"

	"mcp-gateway/gateway/internal/access"
	"mcp-gateway/shared/wire"
)

// get serves GET: the stream on which a legacy session hears what is about no
// request of its own, or the rest of a stream that broke (2025-11-25 Streamable
// HTTP, Listening for Messages from the Server).
func (h *Handler) get(w http.ResponseWriter, r *http.Request, p *access.Principal) {
	if !accepts(r.Header["Accept"], "text/event-stream", "text/*") {
		badRequest("the client must accept text/event-stream").withStatus(http.StatusNotAcceptable).answer(nil).write(w)
		return
	}
	now := time.Now()
	s, f := h.session(r, p, now)
	if f != nil {
		f.answer(nil).write(w)
		return
	}
	state := h.states.of(s.id, p, now)
	if state == nil || !h.streams.take(person{p.Tenant, p.Object}) {
		busy.answer(nil).write(w)
		return
	}
	e, number := state.find(r.Header.Get("Last-Event-ID"))
	if e == nil { // also if it is kept no longer
		e, number = state.wait(now), 0
	}
	resumable := s.revision >= wire.Revision20251125
	h.streams.hold(w, r, func(ctx context.Context, write func([]byte) bool) {
		defer h.streams.give(person{p.Tenant, p.Object})
		h.follow(ctx, p, write, e, number, resumable)
		h.states.used(s.id, time.Now())
	})
}

// follow writes a stream from a number on, until it ends, the client leaves, its
// token is over or the gateway stops.
func (h *Handler) follow(ctx context.Context, p *access.Principal, write func([]byte) bool, e *events, number int, resumable bool) {
	ctx, stop := h.whileGood(ctx, p)
	defer stop()
	reader := e.read()
	defer e.left()
	var opening []byte // else the headers alone say that it is open
	if resumable && number == 0 {
		opening = []byte("id: " + e.id(0) + "\ndata:\n\n")
	}
	if !write(opening) {
		return
	}
	alive := time.NewTicker(aliveEvery)
	defer alive.Stop()
	for {
		messages, last, more := e.after(number)
		if !e.isReader(reader) {
			return
		}
		for i, message := range messages {
			if !write(event(e.id(last-len(messages)+1+i), message)) {
				return
			}
		}
		number = last
		if more == nil {
			return
		}
		select {
		case <-more:
		case <-alive.C:
			if !write([]byte(":\n\n")) {
				return
			}
		case <-h.streams.ending:
			return
		case <-ctx.Done():
			return
		}
	}
}

// whileGood is a context that ends when the token does: at its time, or sooner if
// its grant is revoked.
func (h *Handler) whileGood(ctx context.Context, p *access.Principal) (context.Context, context.CancelFunc) {
	if !p.ExpiresAt.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, p.ExpiresAt)
		inner, stop := h.cfg.Revoked(ctx, p.GrantID)
		return inner, func() { stop(); cancel() }
	}
	return h.cfg.Revoked(ctx, p.GrantID)
}
