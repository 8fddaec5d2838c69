package mcphttp

import (
	"context"
	"crypto/rand"
	"net/http"
	"sync"
	"time"

	"mcp-gateway/gateway/internal/access"
	"mcp-gateway/shared/wire"
)

// The HTTP+SSE transport (MCP 2024-11-05 basic, Transports), for clients that know
// no other. A session is one stream of this process: it lives as long as the
// stream, and its answers go there and nowhere else.

const (
	// MessagesPath is where the messages of /sse are posted.
	MessagesPath = "/sse/messages"
	// maxStreams bounds the streams of one person, maxAllStreams those of all.
	maxStreams    = 32
	maxAllStreams = 10_000
	// maxWaiting bounds the messages that wait for a slow reader. Requests then
	// wait with theirs; who takes none within writeTime is cut off.
	maxWaiting = 64
	// writeTime is how long one write to a stream may take.
	writeTime = 10 * time.Second
	// aliveEvery is how often a silent stream says that it lives, so that
	// proxies keep it.
	aliveEvery = 25 * time.Second
)

// stream is one session of the HTTP+SSE transport.
type stream struct {
	id    sessionID
	state *state // lives as long as the stream
	owner string
	who   person
	out   *queue // answers
	calls sync.WaitGroup
}

// streams are the sessions that are open.
type streams struct {
	mu      sync.Mutex // guards below
	open    map[string]*stream
	persons map[person]int
	// nameless are those that are only counted.
	nameless int
	ended    bool

	ending chan struct{} // closed when ended is set
	held   sync.WaitGroup
}

func newStreams() *streams {
	return &streams{open: make(map[string]*stream), persons: make(map[person]int), ending: make(chan struct{})}
}

// begin opens a stream under a name that nobody can guess, or returns nil if there
// are too many.
func (ss *streams) begin(p *access.Principal) (name string, s *stream) {
	s = &stream{
		owner: string(owner(p)), who: personOf(p),
		out: newQueue(maxWaiting),
	}
	_, _ = rand.Read(s.id[:])
	s.state = newState(s.owner, s.who)
	name = rand.Text()
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if ss.ended || ss.persons[s.who] >= maxStreams || len(ss.open)+ss.nameless >= maxAllStreams {
		return "", nil
	}
	ss.open[name] = s
	ss.persons[s.who]++
	ss.held.Add(1)
	return name, s
}

// end makes a stream unknown.
func (ss *streams) end(name string, s *stream) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	delete(ss.open, name)
	if ss.persons[s.who]--; ss.persons[s.who] == 0 {
		delete(ss.persons, s.who)
	}
	s.out.close()
}

// find returns a stream of this person and client. One of somebody else is as unknown
// as one that is not there.
func (ss *streams) find(name string, p *access.Principal) *stream {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if s := ss.open[name]; s != nil && s.owner == string(owner(p)) {
		return s
	}
	return nil
}

// call counts a call on a stream until called; not when the gateway stops. The call
// may outlive the stream.
func (ss *streams) call(s *stream) bool {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if !ss.ended {
		s.calls.Add(1)
		ss.held.Add(1)
	}
	return !ss.ended
}

func (ss *streams) called(s *stream) {
	s.calls.Done()
	ss.held.Done()
}

// take counts a stream that has no name: of a GET or of a modern client. As with
// begin, it must be held then.
func (ss *streams) take(who person) bool {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if ss.ended || ss.persons[who] >= maxStreams || len(ss.open)+ss.nameless >= maxAllStreams {
		return false
	}
	ss.persons[who]++
	ss.nameless++
	ss.held.Add(1)
	return true
}

func (ss *streams) give(who person) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	ss.nameless--
	if ss.persons[who]--; ss.persons[who] == 0 {
		delete(ss.persons, who)
	}
}

// hold counts a call whose stream was closed before its end, until held.Done. Not
// when the gateway stops: nobody could come back.
func (ss *streams) hold() bool {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if !ss.ended {
		ss.held.Add(1)
	}
	return !ss.ended
}

// each calls f for every stream with a name.
func (ss *streams) each(f func(*stream)) {
	ss.mu.Lock()
	all := make([]*stream, 0, len(ss.open))
	for _, s := range ss.open {
		all = append(all, s)
	}
	ss.mu.Unlock()
	for _, s := range all {
		f(s)
	}
}

// EndStreams ends every stream when the calls on it are answered, and lets no other
// begin: it belongs to the gateway's shutdown.
func (h *Handler) EndStreams() {
	h.streams.mu.Lock()
	defer h.streams.mu.Unlock()
	if !h.streams.ended {
		h.streams.ended = true
		close(h.streams.ending)
	}
}

// AwaitStreams ends the streams and returns when they are over, with their calls, or
// ctx is: the server does not know all of them.
func (h *Handler) AwaitStreams(ctx context.Context) error {
	h.EndStreams()
	over := make(chan struct{})
	go func() { h.streams.held.Wait(); close(over) }() // ends with the streams
	select {
	case <-over:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// SSE answers /sse and MessagesPath.
func (h *Handler) SSE() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := access.PrincipalFrom(r.Context())
		switch {
		case p == nil:
			h.unguarded(r.Context()).write(w)
		case r.URL.Path == MessagesPath && r.Method == http.MethodPost:
			h.postMessage(w, r, p).write(w)
		case r.URL.Path == MessagesPath:
			notAllowed(w, "POST", "messages are posted here")
		case r.Method == http.MethodGet:
			h.openStream(w, r, p)
		default:
			notAllowed(w, "GET", "this is the HTTP+SSE transport of 2024-11-05: GET opens its stream. Streamable HTTP is at /mcp")
		}
	})
}

// notAllowed answers a method that is not served.
func notAllowed(w http.ResponseWriter, allow, message string) {
	w.Header().Set("Allow", allow)
	badRequest(message).withStatus(http.StatusMethodNotAllowed).answer(nil).write(w)
}

// openStream serves GET /sse until the client leaves or the gateway ends.
func (h *Handler) openStream(w http.ResponseWriter, r *http.Request, p *access.Principal) {
	name, s := h.streams.begin(p)
	if s == nil {
		busy.answer(nil).write(w)
		return
	}
	h.hold(w, r, p, func(out line) {
		defer h.streams.end(name, s)
		if out.write([]byte("event: endpoint\ndata: " + MessagesPath + "?session_id=" + name + "\n\n")) {
			h.feed(out, s)
		}
	})
}

// feed writes a stream's answers until it ends.
func (h *Handler) feed(out line, s *stream) {
	old := time.NewTimer(h.cfg.SessionLifetime)
	defer old.Stop()
	ending, idle := h.streams.ending, make(chan struct{})
	for {
		select {
		case <-s.out.more:
			if out.ctx.Err() == nil && !h.pass(out, s.out) {
				return
			}
		case <-out.alive:
			if !out.write([]byte(":\n\n")) {
				return
			}
		case <-ending:
			ending = nil
			go func() { s.calls.Wait(); close(idle) }() // ends with the calls, which are bounded
		case <-idle:
			for !s.out.empty() && h.pass(out, s.out) {
			}
			return
		case <-old.C:
			return
		case <-out.ctx.Done():
			return
		}
	}
}

// pass writes one of the messages that wait for a stream's reader, and reports
// whether there may be more.
func (h *Handler) pass(out line, q *queue) bool {
	message, ok := q.take()
	if !ok {
		h.cfg.Logger.WarnContext(out.ctx, "a stream was cut off: its client does not read")
		return false
	}
	return message == nil || out.write(event("", message))
}

// postMessage takes a message for a stream. Its answer is sent there, and 202 says
// no more than that it was taken.
func (h *Handler) postMessage(w http.ResponseWriter, r *http.Request, p *access.Principal) answer {
	s := h.streams.find(r.URL.Query().Get("session_id"), p)
	if s == nil {
		return noStream.answer(nil)
	}
	body, f := h.readBody(w, r, p)
	if f != nil {
		return f.answer(nil)
	}
	msg, err := wire.Parse(body)
	if err != nil {
		return refusal(err).answer(msg.ID)
	}
	granted, leave := h.cfg.Revoked(context.WithoutCancel(r.Context()), p)
	x, f := h.exchange(r, caller{p, granted}, msg)
	if f == nil && x.era == wire.EraModern {
		f = badRequest("this revision is served at /mcp only")
	}
	if f == nil {
		f = h.deliver(r.Context(), s, x, leave)
	}
	if f != nil {
		leave()
		return f.answer(msg.ID)
	}
	return answer{status: http.StatusAccepted}
}

// noStream is the fault of a message to a stream that is not there.
var noStream = badRequest("there is no such stream: open one with GET /sse").withStatus(http.StatusNotFound)

// deliver has a message of a stream's session served. Unless there is a fault, leave
// is called at the end of that.
func (h *Handler) deliver(ctx context.Context, s *stream, x *exchange, leave func()) *fault {
	x.session, x.state, x.out = s.id, s.state, s
	s.state.mu.Lock()
	x.revision, x.capabilities = s.state.revision, s.state.can.capabilities()
	s.state.mu.Unlock()
	if x.msg.Kind != wire.KindRequest {
		h.taken(x)
		leave()
		return nil
	}
	if f := h.insufficientPost(ctx, x); f != nil {
		return f
	}
	if !h.slots.take(x.principal) {
		return busy
	}
	if !h.streams.call(s) {
		h.slots.give(x.principal)
		return noStream
	}
	go func() {
		defer leave()
		defer h.slots.give(x.principal)
		defer h.streams.called(s)
		defer h.survive(ctx, func() {})
		// A client that is gone has not cancelled: as with Streamable HTTP.
		s.send(h.legacyRequest(context.WithoutCancel(ctx), x).body)
	}()
	return nil
}

// send hands a message of a request to the stream. It waits for a client that reads
// slowly, but not for one that does not read.
func (s *stream) send(message []byte) bool { return s.out.putWithin(message, writeTime) }

// push hands over a message that is about no request: whoever tells everybody waits
// for nobody.
func (s *stream) push(message []byte) { s.out.put(message) }
