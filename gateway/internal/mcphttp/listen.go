package mcphttp

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

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
	resources uris
	// id is the request's, which every message carries.
	id json.RawMessage
	// granted ends when it may hear nothing more.
	granted context.Context
	out     *queue
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

// tell sends a notification to all who want it. Each gets a copy of its own, which is
// made while others may come and leave.
func (ls *listens) tell(wants func(*listening) bool, method, name string, value json.RawMessage) {
	ls.mu.Lock()
	all := slices.Collect(maps.Keys(ls.all))
	ls.mu.Unlock()
	for _, l := range all {
		if wants(l) {
			l.send(method, name, value)
		}
	}
}

// send sends a notification, whose params have one member besides the id, or none.
func (l *listening) send(method, name string, value json.RawMessage) {
	params := append(append([]byte(`{"_meta":{"`+wire.MetaSubscriptionID+`":`), l.id...), '}')
	if name != "" {
		params = append(append(params, `,"`+name+`":`...), value...)
	}
	if l.granted == nil || l.granted.Err() == nil {
		l.out.put(wire.AppendNotification(nil, method, append(params, '}')))
	}
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
	who := personOf(x.principal)
	if !h.streams.take(who) {
		busy.answer(x.msg.ID).write(w)
		return
	}
	// What is held must not keep x, which has the whole body.
	h.hold(w, r, x.principal, func(out line) {
		defer h.streams.give(who)
		h.hear(out, l)
	})
}

// hear writes what is heard to a stream, and the response that ends it.
func (h *Handler) hear(out line, l *listening) {
	l.granted = out.ctx
	remove := h.listens.add(l)
	defer remove()
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
			remove()
			h.lastHeard(out, l)
			return
		case <-h.streams.ending:
			remove()
			h.lastHeard(out, l)
			return
		}
	}
}

// lastHeard writes what was heard before the end, and the end.
func (h *Handler) lastHeard(out line, l *listening) {
	for end := time.Now().Add(writeTime); !l.out.empty(); {
		if time.Now().After(end) || !h.pass(out, l.out) {
			return
		}
	}
	out.write(event("", l.over()))
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
		lists: make(map[string]bool), out: newQueue(maxHeard),
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
		var wanted []string
		if err := json.Unmarshal(value, &wanted); err != nil {
			return nil, invalidParams("params.notifications.resourceSubscriptions is not a list of URIs")
		}
		for _, uri := range wanted {
			if err := l.resources.add(uri); err != nil {
				return nil, invalidParams("params.notifications.resourceSubscriptions: " + err.Error())
			}
		}
		honoured[name] = wanted
	}
	encoded, err := json.Marshal(honoured)
	if err != nil {
		return nil, invalidParams("params.notifications cannot be read")
	}
	l.send("notifications/subscriptions/acknowledged", "notifications", encoded)
	return l, nil
}

// Run passes on what changes to whoever wants to hear of it, and forgets what nobody
// uses, until ctx ends.
func (h *Handler) Run(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { h.states.forget(ctx) })
	h.cfg.Catalog.Listen(ctx, h.listChanged, h.resourceUpdated)
}

func (h *Handler) listChanged(list string) {
	method := "notifications/" + list + "/list_changed"
	h.listens.tell(func(l *listening) bool { return l.lists[list] }, method, "", nil)
	message := wire.AppendNotification(nil, method, nil)
	h.states.each(func(s *state) { s.push(message) })
	h.streams.each(func(s *stream) { s.push(message) })
}

func (h *Handler) resourceUpdated(uri string) {
	value := wire.AppendString(nil, uri)
	h.listens.tell(func(l *listening) bool { return l.resources.has(uri) }, methodUpdated, "uri", value)
	message := wire.AppendNotification(nil, methodUpdated, append(append([]byte(`{"uri":`), value...), '}'))
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
}

const methodUpdated = "notifications/resources/updated"
