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
	s, leave, f := h.enter(r, p, now)
	if f != nil {
		f.answer(nil).write(w)
		return
	}
	who := person{p.Tenant, p.Object}
	if !h.streams.take(who) {
		leave()
		busy.answer(nil).write(w)
		return
	}
	e, number, f := s.state.stream(r.Header.Get("Last-Event-ID"), now)
	if f != nil {
		h.streams.give(who)
		h.streams.held.Done()
		leave()
		f.answer(nil).write(w)
		return
	}
	resumable := s.revision >= wire.Revision20251125
	h.hold(w, r, p, func(out line) {
		defer h.streams.give(who)
		defer leave()
		h.follow(out, e, number, resumable)
	})
}

// stream returns what a GET is about, and from which message on: without an event id,
// or with one of a GET's stream that is kept no longer, the stream that waits for what
// is about no request.
//
// A GET pushes nobody away for nothing: two clients that come back would do that to
// each other without end.
func (s *state) stream(lastEventID string, now time.Time) (e *events, number int, _ *fault) {
	stream, number, waits, ok := parseEventID(lastEventID)
	if !ok {
		return s.wait(now), 0, nil
	}
	e = s.find(stream, waits)
	switch {
	case e == nil && !waits:
		return nil, 0, badRequest("what was said on that stream is kept no longer: send the request again")
	case e == nil:
		return s.wait(now), 0, nil
	case waits && e.isOver(number) && s.heard():
		return nil, 0, badRequest("another connection has taken the place of that stream").withStatus(http.StatusConflict)
	case waits && e.isOver(number):
		return s.wait(now), 0, nil
	}
	return e, number, nil
}

// follow writes a stream from a number on, until it ends, the client leaves, its
// token is over or, if it only waits, the gateway stops.
func (h *Handler) follow(out line, e *events, number int, resumable bool) {
	reader := e.read()
	defer e.left()
	var ending <-chan struct{}
	if e.waits {
		ending = h.streams.ending
	}
	var opening []byte // else the headers alone say that it is open
	if resumable && number == 0 {
		opening = []byte("id: " + e.id(0) + "\ndata:\n\n")
	}
	if !out.write(opening) {
		return
	}
	for {
		messages, last, more := e.after(number)
		for i, message := range messages {
			if !e.isReader(reader) || out.ctx.Err() != nil {
				break
			}
			if !out.write(event(e.id(last-len(messages)+1+i), message)) {
				return
			}
		}
		if number = last; more == nil || !e.isReader(reader) {
			return
		}
		select {
		case <-more:
		case <-out.alive:
			if !out.write([]byte(":\n\n")) {
				return
			}
		case <-ending:
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
