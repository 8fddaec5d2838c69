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
func (h *Handler) batch(w http.ResponseWriter, r *http.Request, p *access.Principal, body []byte) {
	all, id, f := h.exchanges(r, p, body)
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
	reply := newReply(w, r, nil)
	reply.late()
	reply.finish(h.serveBatch(r, all, reply))
}

// exchanges reads the messages of a batch. The id is that of the message because of
// which there is a fault, if it is known.
func (h *Handler) exchanges(r *http.Request, p *access.Principal, body []byte) (all []*exchange, id json.RawMessage, f *fault) {
	parts, s, f := h.parts(r, p, body)
	if f != nil {
		return nil, nil, f
	}
	for _, part := range parts {
		msg, err := wire.Parse(part)
		if err != nil {
			return nil, msg.ID, refusal(err)
		}
		x := h.exchange(r, p, msg)
		switch {
		case x.era == wire.EraModern:
			f = refusal(wire.ErrBatch)
		case msg.Method == "initialize": // "MUST NOT be part of a JSON-RPC batch" (2025-03-26 lifecycle)
			f = badRequest("initialize must not be part of a batch")
		default:
			f = h.join(x, s)
		}
		if f != nil {
			return nil, msg.ID, f
		}
		all = append(all, x)
	}
	return all, nil, nil
}

// parts cuts a batch, after a look at who sends it: whoever may not send any is told
// that first.
func (h *Handler) parts(r *http.Request, p *access.Principal, body []byte) ([]json.RawMessage, session, *fault) {
	if namesModern(r.Header) {
		return nil, session{}, refusal(wire.ErrBatch)
	}
	if len(r.Header[wire.HeaderSessionID]) == 0 {
		return nil, session{}, badRequest("there must be one Mcp-Session-Id header: begin with initialize, which stands in no batch")
	}
	s, f := h.session(r, p, time.Now())
	if f != nil {
		return nil, session{}, f
	}
	if s.revision != wire.Revision20250326 {
		return nil, session{}, refusal(wire.ErrBatch)
	}
	parts, err := wire.Batch(body)
	if err != nil {
		return nil, session{}, refusal(err)
	}
	if len(parts) == 0 || len(parts) > maxBatch {
		return nil, session{}, badRequest(fmt.Sprintf("a batch has 1 to %d messages", maxBatch))
	}
	return parts, s, nil
}

// serveBatch serves the messages of a batch. Each request takes a place among its
// person's; the first has the one that the POST took.
func (h *Handler) serveBatch(r *http.Request, all []*exchange, out outlet) answer {
	responses := make([][]byte, len(all))
	var running sync.WaitGroup
	first := true
	for i, x := range all {
		if x.msg.Kind != wire.KindRequest {
			h.taken(x)
			continue
		}
		give := func() {}
		if !first {
			if !h.slots.take(x.principal) {
				responses[i] = busy.answer(x.msg.ID).body
				continue
			}
			give = func() { h.slots.give(x.principal) }
		}
		first = false
		x.out = out
		running.Go(func() {
			defer give()
			responses[i] = h.dispatch(context.WithoutCancel(r.Context()), x).body
		})
	}
	running.Wait()
	responses = slices.DeleteFunc(responses, func(one []byte) bool { return one == nil })
	if len(responses) == 0 {
		return answer{status: http.StatusAccepted}
	}
	return answer{status: http.StatusOK, body: append(append([]byte{'['}, bytes.Join(responses, []byte{','})...), ']')}
}
