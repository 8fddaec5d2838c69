package mcphttp

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"sync"

	"mcp-gateway/shared/wire"
)

// methodListen opens the stream of a modern client (MCP 2026-07-28
// basic/utilities, Subscriptions).
const methodListen = "subscriptions/listen"

// maxHeard bounds the notifications that wait for a slow reader: then it is cut
// off, and asks for everything anew.
const maxHeard = 256

// listening is one such stream: what it wants to hear of, and where that goes.
type listening struct {
	// lists and resources that were asked for and are served.
	lists     map[string]bool
	resources map[string]bool
	// id is the request's, which every message carries.
	id  json.RawMessage
	out *queue
}

// listens are the streams that are open.
type listens struct {
	mu  sync.Mutex // guards below
	all map[*listening]bool
}

func newListens() *listens { return &listens{all: make(map[*listening]bool)} }

func (ls *listens) add(l *listening) (remove func()) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.all[l] = true
	return func() {
		ls.mu.Lock()
		defer ls.mu.Unlock()
		delete(ls.all, l)
	}
}

// tell sends a notification to all who want it.
func (ls *listens) tell(wants func(*listening) bool, method string, params map[string]any) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	for l := range ls.all {
		if wants(l) {
			l.send(method, params)
		}
	}
}

func (l *listening) send(method string, params map[string]any) {
	all := map[string]any{"_meta": map[string]any{wire.MetaSubscriptionID: l.id}}
	maps.Copy(all, params)
	encoded, err := json.Marshal(all)
	if err != nil {
		return
	}
	l.out.put(wire.AppendNotification(nil, method, encoded))
}

// listNames are the lists that can change, by the member that asks for them.
var listNames = map[string]string{"toolsListChanged": "tools", "promptsListChanged": "prompts", "resourcesListChanged": "resources"}

// listen serves subscriptions/listen until the client leaves, its token is over or
// the gateway stops; in the last two cases the request is answered.
func (h *Handler) listen(w http.ResponseWriter, r *http.Request, x *exchange) {
	if !h.canChange() {
		failed(x, &fault{status: http.StatusOK, code: wire.CodeMethodNotFound, message: "nothing changes here: there is nothing to listen to"}).write(w)
		return
	}
	l, f := h.listening(x)
	if f != nil {
		f.answer(x.msg.ID).write(w)
		return
	}
	if !accepts(r.Header["Accept"], "text/event-stream", "text/*") {
		badRequest("the client must accept text/event-stream").withStatus(http.StatusNotAcceptable).answer(x.msg.ID).write(w)
		return
	}
	who := person{x.principal.Tenant, x.principal.Object}
	if !h.streams.take(who) {
		busy.answer(x.msg.ID).write(w)
		return
	}
	// What is held must not keep x, which has the whole body.
	h.hold(w, r, x.principal, func(out line) {
		defer h.streams.give(who)
		defer h.listens.add(l)()
		h.hear(out, l)
	})
}

// hear writes what is heard to a stream.
func (h *Handler) hear(out line, l *listening) {
	for {
		select {
		case <-l.out.more:
			if !h.pass(out, l.out) {
				return
			}
		case <-out.alive:
			if !out.write([]byte(":\n\n")) {
				return
			}
		case <-out.ctx.Done(): // also if the client has left, who does not hear it then
			h.lastHeard(out, l)
			return
		case <-h.streams.ending:
			h.lastHeard(out, l)
			return
		}
	}
}

// lastHeard writes what was heard before the end, and the end.
func (h *Handler) lastHeard(out line, l *listening) {
	for {
		message, ok := l.out.take()
		if !ok || message != nil && !out.write(event("", message)) {
			return
		}
		if message == nil {
			out.write(event("", l.over()))
			return
		}
	}
}

// canChange reports whether there is anything to hear of.
func (h *Handler) canChange() bool {
	for _, list := range listNames {
		if h.cfg.Catalog.Serves(list + ".listChanged") {
			return true
		}
	}
	return h.can(canSubscribe)
}

// over is the response that ends a stream.
func (l *listening) over() []byte {
	result := []byte(`{"resultType":"complete","_meta":{"` + wire.MetaSubscriptionID + `":`)
	result = append(append(result, l.id...), "}}"...)
	return wire.AppendResult(nil, l.id, result)
}

// listening reads what a client wants to hear of; what is not served is left out,
// and the acknowledgement, which is the first message, says so.
func (h *Handler) listening(x *exchange) (*listening, *fault) {
	l := &listening{
		lists: make(map[string]bool), resources: make(map[string]bool), out: newQueue(maxHeard),
		id: bytes.Clone(x.msg.ID), // of its own: the stream must not keep the whole body
	}
	wanted, ok := wire.Member(x.msg.Params, "notifications")
	if !ok || wanted[0] != '{' {
		return nil, invalidParams("params.notifications is missing")
	}
	honoured := make(map[string]any)
	for name, value := range wire.Members(wanted) {
		if list := listNames[name]; list != "" && string(value) == "true" && h.cfg.Catalog.Serves(list+".listChanged") {
			l.lists[list], honoured[name] = true, true
		}
		if name != "resourceSubscriptions" || !h.can(canSubscribe) || h.admit(context.Background(), x, methods["resources/subscribe"]) != nil {
			continue
		}
		var uris []string
		if err := json.Unmarshal(value, &uris); err != nil {
			return nil, invalidParams("params.notifications.resourceSubscriptions is not a list of URIs")
		}
		if len(uris) > maxSubscribed {
			return nil, invalidParams(fmt.Sprintf("params.notifications.resourceSubscriptions has more than %d", maxSubscribed))
		}
		for _, uri := range uris {
			l.resources[uri] = true
		}
		honoured[name] = uris
	}
	l.send("notifications/subscriptions/acknowledged", map[string]any{"notifications": honoured})
	return l, nil
}

// Run passes on what changes to whoever wants to hear of it, until ctx ends.
func (h *Handler) Run(ctx context.Context) {
	h.cfg.Catalog.Listen(ctx,
		func(list string) {
			method := "notifications/" + list + "/list_changed"
			h.listens.tell(func(l *listening) bool { return l.lists[list] }, method, nil)
			message := wire.AppendNotification(nil, method, nil)
			h.states.each(func(s *state) { s.push(message) })
			h.streams.each(func(s *stream) { s.push(message) })
		},
		func(uri string) {
			params := map[string]any{"uri": uri}
			h.listens.tell(func(l *listening) bool { return l.resources[uri] }, methodUpdated, params)
			encoded, err := json.Marshal(params)
			if err != nil {
				return
			}
			message := wire.AppendNotification(nil, methodUpdated, encoded)
			h.states.each(func(s *state) {
				if s.wants(uri) {
					s.push(message)
				}
			})
			h.streams.each(func(s *stream) {
				if s.state.wants(uri) {
					s.push(message)
				}
			})
		})
}

const methodUpdated = "notifications/resources/updated"
