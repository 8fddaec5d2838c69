package mcphttp

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"sync"

	"mcp-gateway/gateway/internal/access"
	"mcp-gateway/shared/wire"
)

// maxBatch bounds the messages of one batch.
const maxBatch = 50

// batch serves a JSON-RPC batch, which only revision 2025-03-26 has: "A batch ...
// MUST NOT contain" initialize (2025-03-26 lifecycle). The responses come as one
// batch; if there is something to say before, each is an event.
func (h *Handler) batch(w http.ResponseWriter, r *http.Request, p *access.Principal, body []byte) {
	parts, err := wire.Batch(body)
	if err != nil {
		refusal(err).answer(nil).write(w)
		return
	}
	if len(parts) == 0 || len(parts) > maxBatch {
		badRequest(fmt.Sprintf("a batch has 1 to %d messages", maxBatch)).answer(nil).write(w)
		return
	}
	all := make([]*exchange, len(parts))
	for i, part := range parts {
		msg, err := wire.Parse(part)
		if err != nil {
			refusal(err).answer(msg.ID).write(w)
			return
		}
		x := h.exchange(r, p, msg)
		s, f := h.session(r, p, x.now)
		switch {
		case x.era == wire.EraModern || f == nil && s.revision != wire.Revision20250326:
			f = refusal(wire.ErrBatch)
		case msg.Method == "initialize":
			f = badRequest("initialize must not be part of a batch")
		case f == nil:
			f = h.join(x, s)
		}
		if f != nil {
			f.answer(nil).write(w)
			return
		}
		all[i] = x
	}
	h.serveBatch(w, r, all)
}

func (h *Handler) serveBatch(w http.ResponseWriter, r *http.Request, all []*exchange) {
	reply := newReply(w, r, nil)
	responses := make([][]byte, len(all))
	var running sync.WaitGroup
	for i, x := range all {
		if x.msg.Kind != wire.KindRequest {
			h.taken(x)
			continue
		}
		x.out = reply
		running.Go(func() { responses[i] = h.dispatch(context.WithoutCancel(r.Context()), x).body })
	}
	running.Wait()
	responses = compact(responses)
	if len(responses) == 0 {
		reply.finish(answer{status: http.StatusAccepted})
		return
	}
	reply.finish(answer{status: http.StatusOK, body: append(append([]byte{'['}, bytes.Join(responses, []byte{','})...), ']')})
}

func compact(all [][]byte) (some [][]byte) {
	for _, one := range all {
		if one != nil {
			some = append(some, one)
		}
	}
	return some
}
