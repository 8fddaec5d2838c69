package mcphttp

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// outlet is where the messages about one request go that are not its response:
// progress, logs, questions to the client.
type outlet interface {
	// send hands over a message, and reports whether it may arrive.
	send(message []byte) bool
}

// streamAfter is how long a call may take before its answer becomes a stream: a
// proxy then sees that it lives, and a client whose connection breaks can come
// back for the answer.
const streamAfter = 2 * time.Second

// reply is the answer to one POST: a JSON document, or a stream of events as soon
// as there is something to say before it.
type reply struct {
	w   http.ResponseWriter
	out *http.ResponseController
	// stream is what is written to, once it is one.
	stream *served
	// streams: the client reads event streams.
	streams bool
	// keep, if it is set, opens what remembers the events, for a client that comes
	// back for them; kept is that, once it is a stream.
	keep func() *events
	kept *events
	// until, if it is set, is when the client must show another token. Then a stream
	// that is kept goes on for whoever comes back with one.
	until time.Time
	// granted ends when the client may hear nothing more, and ended is what it is
	// told then.
	granted context.Context
	ended   func() answer
	// chunked: the stream's end can be told without the server.
	chunked bool
	// held counts the streams that the server does not know.
	held *streams

	mu sync.Mutex // guards below
	// begun: it is a stream. gone: nobody reads it. away: its connection was closed
	// before its end.
	begun, gone, away, done bool
	// stop has what must not go on after the end.
	stop  []func() bool
	alive *time.Timer
}

// respond answers a POST, of one message or of a batch, with what serve returns. Events
// are kept if keep is set.
func (h *Handler) respond(w http.ResponseWriter, r *http.Request, all []*exchange, keep func() *events, serve func(*reply) answer) {
	p := h.newReply(w, r, all, keep)
	defer p.end() // also if there is a bug
	p.finish(serve(p))
}

func (h *Handler) newReply(w http.ResponseWriter, r *http.Request, all []*exchange, keep func() *events) *reply {
	p := &reply{
		w: w, out: http.NewResponseController(w), streams: accepts(r.Header["Accept"], "text/event-stream", "text/*"), keep: keep,
		until: all[0].principal.ExpiresAt, granted: all[0].granted, held: h.streams,
		ended:   func() answer { return h.endedAll(all) },
		chunked: r.ProtoMajor == 1 && r.ProtoMinor >= 1, // HTTP/1.0 has no chunks
	}
	if p.streams {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.alive = time.AfterFunc(streamAfter, p.live)
		p.stop = append(p.stop, p.alive.Stop)
	}
	return p
}

// send implements outlet.
func (p *reply) send(message []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.streams || p.done || p.granted.Err() != nil {
		return false
	}
	p.begin()
	return p.event(message)
}

// live begins the stream, or says that it lives.
func (p *reply) live() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.done || p.gone || p.granted.Err() != nil {
		return
	}
	first := !p.begun
	p.begin()
	if !first || p.kept == nil { // else the id to come back with was written
		p.write([]byte(":\n\n"))
	}
	p.alive.Reset(aliveEvery)
}

// begin sends the headers of a stream, and an event without data whose id a
// client can come back with (2025-11-25 Streamable HTTP, Resumability).
func (p *reply) begin() {
	if p.begun {
		return
	}
	p.begun = true
	streamHeaders(p.w.Header())
	p.stream = beginServed(p.w, p.out)
	p.stop = append(p.stop, context.AfterFunc(p.granted, p.cut))
	if p.keep != nil {
		p.kept = p.keep()
		p.write([]byte("id: " + p.kept.id(0) + "\ndata:\n\n"))
		if !p.until.IsZero() {
			p.stop = append(p.stop, time.AfterFunc(time.Until(p.until), func() { p.pause() }).Stop)
		}
	}
}

// comeBack asks the client of a stream that is kept to come back in a second.
const comeBack = "retry: 1000\n\n"

// pause closes the connection before the stream's end, and reports whether it did.
// The client comes back for the rest: "the server MAY close the connection" after an
// event with an id, and then "SHOULD send an SSE event with a standard retry field"
// (2025-11-25 Streamable HTTP, Sending Messages to the Server). Over HTTP/2 it would
// free no connection, and is not done.
func (p *reply) pause() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.keep == nil || !p.streams || p.done || p.gone {
		return false
	}
	p.begin()
	return p.kept.isReader(0) && p.leave(comeBack) // else the client has come back already
}

// cut ends the stream of a client that may hear nothing more, though its call may
// not have ended.
func (p *reply) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.begun && !p.done {
		p.done = true
		p.event(p.ended().body)
		p.leave("")
	}
}

// leave closes the connection before the answer is complete, after some last words,
// and reports whether it did. Then the server knows nothing of the call any more, so
// it is counted until its end; not when the gateway stops, where nobody could come back.
func (p *reply) leave(words string) bool {
	if !p.chunked || p.gone || p.away || !p.held.hold() {
		return false
	}
	p.away = true
	if words != "" {
		p.write([]byte(words))
	}
	conn, _, err := p.out.Hijack()
	if err != nil {
		return false
	}
	p.gone = true
	(&heldConn{Conn: conn}).end()
	return true
}

func (p *reply) event(message []byte) bool {
	id := ""
	if p.kept != nil {
		id = p.kept.id(p.kept.add(message))
		p.gone = p.gone || !p.kept.isReader(0) // who came back reads it
	}
	return p.write(event(id, message)) || p.kept != nil
}

func (p *reply) write(text []byte) bool {
	if p.gone {
		return false
	}
	p.gone = !p.stream.write(text)
	return !p.gone
}

// finish sends the response.
func (p *reply) finish(a answer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.done { // it was cut
		return
	}
	p.done = true
	if p.granted.Err() != nil && a.body != nil {
		a = p.ended()
	}
	if !p.begun {
		a.write(p.w)
		return
	}
	if a.body != nil {
		p.event(a.body)
	}
}

// end lets nothing of the reply go on.
func (p *reply) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, stop := range p.stop {
		stop()
	}
	p.done = true
	if p.stream != nil {
		p.stream.end()
	}
	if p.kept != nil {
		p.kept.end(time.Now())
	}
	if p.away {
		p.held.held.Done()
	}
}
