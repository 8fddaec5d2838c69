package mcphttp

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"strconv"
	"time"
)

// net/http keeps for each request that is being served two buffers, the request
// and a stack as large as the request once needed: some 24 KiB for a stream on
// which nothing happens. So a stream is taken out of its hands where that can be
// done, with HTTP/1.1, and served by two goroutines that hold no more than they
// need: one writes, one waits for the client to leave.

// maxAfter bounds what a client may send after the request that opened a stream:
// nothing is expected, and a line end or two is harmless.
const maxAfter = 256

// hold answers a request with a stream of events, which serve writes; write
// reports whether the client may have got it, and without a text it sends the
// headers, which it does not do before. The stream is over when serve
// returns, which may be after hold does: ctx ends when the client has left. Before
// it the stream must have been counted.
func (ss *streams) hold(w http.ResponseWriter, r *http.Request, serve func(ctx context.Context, write func([]byte) bool)) {
	out := http.NewResponseController(w)
	streamHeaders(w.Header())
	if r.ProtoMajor == 1 && r.ProtoMinor >= 1 { // HTTP/1.0 has no chunks
		if conn, _, err := out.Hijack(); err == nil {
			ss.holdConn(context.WithoutCancel(r.Context()), conn, w.Header(), serve)
			return
		}
	}
	defer ss.held.Done()
	serve(r.Context(), begin(w, out))
}

// holdConn is hold for a connection that is no longer the server's.
func (ss *streams) holdConn(ctx context.Context, conn net.Conn, header http.Header, serve func(context.Context, func([]byte) bool)) {
	ctx, leave := context.WithCancel(ctx)
	h := &heldConn{Conn: conn, head: head(header)}
	ss.held.Go(func() { // ends when the connection is closed
		defer leave()
		h.waitForEnd()
	})
	go func() {
		defer ss.held.Done()
		defer leave()
		defer h.end()
		serve(ctx, h.write)
	}()
}

// begin sends the headers of a stream by way of net/http, and returns what writes
// to it.
func begin(w http.ResponseWriter, out *http.ResponseController) func([]byte) bool {
	_ = out.SetReadDeadline(time.Time{}) // the server's limits are for requests that end
	w.WriteHeader(http.StatusOK)
	return func(text []byte) bool {
		_ = out.SetWriteDeadline(time.Now().Add(writeTime))
		_, err := w.Write(text)
		return err == nil && out.Flush() == nil
	}
}

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

func (h *heldConn) write(text []byte) bool {
	if len(text) == 0 { // a chunk of no length would end the stream
		head := h.head
		h.head = nil
		return h.send(head)
	}
	chunk := append(strconv.AppendInt(h.head, int64(len(text)), 16), "\r\n"...)
	h.head = nil
	return h.send(append(append(chunk, text...), "\r\n"...))
}

func (h *heldConn) send(b []byte) bool {
	if !h.failed {
		_ = h.SetWriteDeadline(time.Now().Add(writeTime))
		_, err := h.Write(b)
		h.failed = err != nil
	}
	return !h.failed
}

// end says that nothing more will come. A connection that did not take what was
// written before gets no more.
func (h *heldConn) end() {
	h.send(append(h.head, "0\r\n\r\n"...))
	_ = h.Close()
}

// waitForEnd returns when the client has left, or has sent more than it may.
func (h *heldConn) waitForEnd() {
	var some [16]byte
	for total := 0; total <= maxAfter; {
		n, err := h.Read(some[:])
		if total += n; err != nil {
			return
		}
	}
}
