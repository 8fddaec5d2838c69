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
	who := personOf(p)
	if !h.streams.take(who) {
		leave()
		busy.answer(nil).write(w)
		return
	}
	e, number := s.state.stream(r.Header.Get("Last-Event-ID"), now)
	if e == nil {
		h.streams.give(who)
		h.streams.held.Done()
		leave()
		answer{status: http.StatusNoContent}.write(w)
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
// is about no request. nil means that nothing will come there: what was said is kept
// no longer, or was heard to the end. That is answered with 204, after which nobody
// comes back (HTML standard, Server-sent events); an error would be the end of the
// session to some clients, and another stream would take the place of the session's own.
//
// Nor does one that another GET has taken the place of take it back: they would do so
// once a second, without end.
func (s *state) stream(lastEventID string, now time.Time) (e *events, number int) {
	stream, number, waits, ok := parseEventID(lastEventID)
	if ok {
		e = s.find(stream, waits)
	}
	switch {
	case e != nil && !e.isOver(number):
		return e, number
	case ok && (!waits || s.heard()):
		return nil, 0
	}
	return s.wait(now), 0
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
	if resumable {     // with an id to come back with, also for who has come back before
		opening = []byte("id: " + e.id(number) + "\ndata:\n\n")
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
