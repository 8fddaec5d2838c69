package mcphttp

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"strconv"
	"time"

	"mcp-gateway/gateway/internal/access"
)

// net/http keeps for each request that is being served two buffers, the request
// and a stack as large as the request once needed: some 24 KiB for a stream on
// which nothing happens. So a stream is taken out of its hands where that can be
// done, with HTTP/1.1, and served by two goroutines that hold no more than they
// need: one writes, one waits for the client to leave.

// maxAfter bounds what a client may send after the request that opened a stream:
// nothing is expected, and a line end or two is harmless.
const maxAfter = 256

// line is a stream as whoever serves it sees it.
type line struct {
	// ctx ends when the client has left or its token is over. It outlives the
	// request.
	ctx context.Context
	// write reports whether the client may have got it. Without a text it sends the
	// headers, which nothing does before.
	write func([]byte) bool
	// alive ticks when the stream should say that it lives.
	alive <-chan time.Time
}

// hold answers a request with a stream of events, which serve writes. The stream is
// over when serve returns, which may be after hold does. Before it the stream must
// have been counted.
func (h *Handler) hold(w http.ResponseWriter, r *http.Request, p *access.Principal, serve func(line)) {
	out := http.NewResponseController(w)
	streamHeaders(w.Header())
	if r.ProtoMajor == 1 && r.ProtoMinor >= 1 { // HTTP/1.0 has no chunks
		if conn, _, err := out.Hijack(); err == nil {
			h.holdConn(context.WithoutCancel(r.Context()), conn, w.Header(), p, serve)
			return
		}
	}
	defer h.streams.held.Done()
	ctx, stop := h.whileGood(r.Context(), p)
	defer stop()
	alive := time.NewTicker(aliveEvery)
	defer alive.Stop()
	s := beginServed(w, out)
	defer s.end()
	serve(line{ctx: ctx, write: s.write, alive: alive.C})
}

// holdConn is hold for a connection that is no longer the server's.
func (h *Handler) holdConn(ctx context.Context, conn net.Conn, header http.Header, p *access.Principal, serve func(line)) {
	ctx, leave := h.whileGood(ctx, p)
	alive := time.NewTicker(aliveEvery)
	c := &heldConn{Conn: conn, head: head(header)}
	h.streams.held.Go(func() { // ends when the connection is closed
		defer leave()
		c.waitForEnd()
	})
	go func() {
		defer h.streams.held.Done()
		defer leave()
		defer alive.Stop()
		defer h.survive(ctx, c.end)
		defer c.end()
		serve(line{ctx: ctx, write: c.write, alive: alive.C})
	}()
}

// served is a stream that is written by way of net/http.
type served struct {
	w   http.ResponseWriter
	out *http.ResponseController
}

// beginServed sends the headers.
func beginServed(w http.ResponseWriter, out *http.ResponseController) *served {
	_ = out.SetReadDeadline(time.Time{}) // the server's limits are for requests that end
	w.WriteHeader(http.StatusOK)
	return &served{w: w, out: out}
}

// write reports whether the client may have got it. Between writes there is no
// deadline: HTTP/2 resets a stream when its deadline passes, though nothing waits.
func (s *served) write(text []byte) bool {
	_ = s.out.SetWriteDeadline(time.Now().Add(writeTime))
	_, err := s.w.Write(text)
	ok := err == nil && s.out.Flush() == nil
	_ = s.out.SetWriteDeadline(time.Time{})
	return ok
}

// end bounds what the server writes at the end.
func (s *served) end() { _ = s.out.SetWriteDeadline(time.Now().Add(writeTime)) }

// streamHeaders are those of an event stream.
func streamHeaders(header http.Header) {
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Accel-Buffering", "no") // proxies of the nginx family pass it on at once
	header.Set("X-Content-Type-Options", "nosniff")
}

// head is what stands before the events of a stream that ends with its connection
// (RFC 9112 §9.6). They come in chunks all the same, so that a client knows an end
// from a broken connection (§8).
func head(header http.Header) []byte {
	header.Set("Connection", "close")
	header.Set("Transfer-Encoding", "chunked")
	header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	out := bytes.NewBufferString("HTTP/1.1 200 OK\r\n")
	_ = header.Write(out) // a Buffer takes everything
	out.WriteString("\r\n")
	return out.Bytes()
}

// heldConn is the connection of a stream. One goroutine writes to it.
type heldConn struct {
	net.Conn
	head   []byte // until it is sent
	failed bool
}

func (c *heldConn) write(text []byte) bool {
	if len(text) == 0 { // a chunk of no length would end the stream
		head := c.head
		c.head = nil
		return c.send(head)
	}
	chunk := append(strconv.AppendInt(c.head, int64(len(text)), 16), "\r\n"...)
	c.head = nil
	return c.send(append(append(chunk, text...), "\r\n"...))
}

func (c *heldConn) send(b []byte) bool {
	if !c.failed {
		_ = c.SetWriteDeadline(time.Now().Add(writeTime))
		_, err := c.Write(b)
		c.failed = err != nil
	}
	return !c.failed
}

// end says that nothing more will come. A connection that did not take what was
// written before gets no more.
func (c *heldConn) end() {
	c.send(append(c.head, "0\r\n\r\n"...))
	_ = c.Close()
}

// waitForEnd returns when the client has left, or has sent more than it may.
func (c *heldConn) waitForEnd() {
	var some [16]byte
	for total := 0; total <= maxAfter; {
		n, err := c.Read(some[:])
		if total += n; err != nil {
			return
		}
	}
}
