package mcphttp

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"mcp-gateway/gateway/internal/access"
	"mcp-gateway/shared/wire"
)

// maxBatch bounds the messages of one batch.
const maxBatch = 50

// batch serves a JSON-RPC batch, which only revision 2025-03-26 has. One message
// that is refused is the end of all, before anything is done. The responses come as
// one batch, which is an event if there was something to say before.
func (h *Handler) batch(w http.ResponseWriter, r *http.Request, c caller, body []byte) {
	s, parts, leave, f := h.parts(r, c.Principal, body)
	if f != nil {
		f.answer(nil).write(w)
		return
	}
	defer leave()
	all, id, f := h.exchanges(r, c, s, parts)
	if f != nil {
		f.answer(id).write(w)
		return
	}
	for _, x := range all {
		// A response in a batch has no place for a challenge.
		if f := h.insufficientPost(r.Context(), x); f != nil {
			f.answer(nil).write(w)
			return
		}
	}
	h.respond(w, r, all, nil, func(out *reply) answer { return h.serveBatch(r, all, out) })
}

// exchanges reads the messages of a batch. The id is that of the message because of
// which there is a fault, if it is known.
func (h *Handler) exchanges(r *http.Request, c caller, s session, parts []json.RawMessage) (all []*exchange, id json.RawMessage, f *fault) {
	for _, part := range parts {
		msg, err := wire.Parse(part)
		if err != nil {
			return nil, msg.ID, refusal(err)
		}
		x, f := h.exchange(r, c, msg)
		switch {
		case f != nil:
		case x.era == wire.EraModern:
			f = refusal(wire.ErrBatch)
		case msg.Method == "initialize": // "MUST NOT be part of a JSON-RPC batch" (2025-03-26 lifecycle)
			f = badRequest("initialize must not be part of a batch")
		}
		if f != nil {
			return nil, msg.ID, f
		}
		x.join(s)
		x.batched = true
		all = append(all, x)
	}
	return all, nil, nil
}

// parts cuts a batch, after a look at who sends it: whoever may not send any is told
// that first. The session is entered until leave is called.
func (h *Handler) parts(r *http.Request, p *access.Principal, body []byte) (s session, parts []json.RawMessage, leave func(), f *fault) {
	if namesModern(r.Header) {
		return session{}, nil, nil, refusal(wire.ErrBatch)
	}
	if len(r.Header[wire.HeaderSessionID]) == 0 {
		return session{}, nil, nil, badRequest("there must be one Mcp-Session-Id header: begin with initialize, which stands in no batch")
	}
	if s, leave, f = h.enter(r, p, time.Now()); f != nil {
		return session{}, nil, nil, f
	}
	parts, err := wire.Batch(body)
	switch {
	case s.revision != wire.Revision20250326:
		f = refusal(wire.ErrBatch)
	case err != nil:
		f = refusal(err)
	case len(parts) == 0 || len(parts) > maxBatch:
		f = badRequest(fmt.Sprintf("a batch has 1 to %d messages", maxBatch))
	default:
		return s, parts, leave, nil
	}
	leave()
	return session{}, nil, nil, f
}

// serveBatch serves the messages of a batch. Each request takes a place among its
// person's.
func (h *Handler) serveBatch(r *http.Request, all []*exchange, out outlet) answer {
	responses := make([][]byte, len(all))
	var running sync.WaitGroup
	for i, x := range all {
		if x.msg.Kind != wire.KindRequest {
			h.taken(x)
			continue
		}
		if !h.slots.take(x.principal) {
			responses[i] = busy.answer(x.msg.ID).body
			continue
		}
		x.out = out
		running.Go(func() {
			defer h.slots.give(x.principal)
			responses[i] = h.dispatch(context.WithoutCancel(r.Context()), x).body
		})
	}
	running.Wait()
	responses = slices.DeleteFunc(responses, func(one []byte) bool { return one == nil })
	if len(responses) == 0 {
		return answer{status: http.StatusAccepted}
	}
	return answer{status: http.StatusOK, body: joined(responses)}
}

// joined is a batch of responses.
func joined(responses [][]byte) []byte {
	return append(append([]byte{'['}, bytes.Join(responses, []byte{','})...), ']')
}

// endedAll is what a POST is answered with whose grant was revoked while it was served.
func (h *Handler) endedAll(all []*exchange) answer {
	f := h.ended(all[0])
	if len(all) == 1 && !all[0].batched {
		return f.answer(all[0].msg.ID)
	}
	a := f.answer(nil)
	var responses [][]byte
	for _, x := range all {
		if x.msg.Kind == wire.KindRequest {
			responses = append(responses, f.answer(x.msg.ID).body)
		}
	}
	a.body = joined(responses)
	return a
}
