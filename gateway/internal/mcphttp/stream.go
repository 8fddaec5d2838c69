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
	h.hold(w, r, p, func(out line) {
		defer h.streams.give(person{p.Tenant, p.Object})
		h.follow(out, e, number, resumable)
		h.states.used(s.id, time.Now())
	})
}

// follow writes a stream from a number on, until it ends, the client leaves, its
// token is over or the gateway stops.
func (h *Handler) follow(out line, e *events, number int, resumable bool) {
	reader := e.read()
	defer e.left()
	var opening []byte // else the headers alone say that it is open
	if resumable && number == 0 {
		opening = []byte("id: " + e.id(0) + "\ndata:\n\n")
	}
	if !out.write(opening) {
		return
	}
	for {
		messages, last, more := e.after(number)
		if !e.isReader(reader) {
			return
		}
		for i, message := range messages {
			if !out.write(event(e.id(last-len(messages)+1+i), message)) {
				return
			}
		}
		number = last
		if more == nil {
			return
		}
		select {
		case <-more:
		case <-out.alive:
			if !out.write([]byte(":\n\n")) {
				return
			}
		case <-h.streams.ending:
			return
		case <-out.ctx.Done(): // also if the client has left, who does not hear it then
			if resumable {
				out.write([]byte(comeBack))
			}
			return
		}
	}
}

// whileGood is a context that ends when the token does: at its time, or sooner if
// its grant is revoked. It is one context and a timer, since each stream has it.
func (h *Handler) whileGood(ctx context.Context, p *access.Principal) (context.Context, context.CancelFunc) {
	ctx, stop := h.cfg.Revoked(ctx, p)
	if p.ExpiresAt.IsZero() {
		return ctx, stop
	}
	expires := time.AfterFunc(time.Until(p.ExpiresAt), stop)
	return ctx, func() { expires.Stop(); stop() }
}
