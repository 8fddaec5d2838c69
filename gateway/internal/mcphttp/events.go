package mcphttp

import (
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// maxEvents, maxBytes and eventLife bound what is kept of a stream, so that a client
	// whose connection broke can hear what it missed.
	maxEvents = 256
	maxBytes  = 1 << 20
	eventLife = 5 * time.Minute
)

// events are the messages of one stream, in order: those of one request, or those
// that a GET waits for. Whoever reads follows them; who comes back is told what
// came meanwhile, as far as it is kept.
type events struct {
	stream uint32 // in the ids, which are unique within a session
	waits  bool   // it is of a GET, and of no request

	mu sync.Mutex // guards below
	// kept are the last messages, of so many bytes, and first is the number of the
	// first of them.
	kept  [][]byte
	bytes int
	first int
	ended time.Time // zero while messages may come
	// reader is who reads: whoever comes back takes the stream over. readers counts
	// those that have not left yet.
	reader, readers int
	// more is closed and made anew when there is something to read.
	more chan struct{}
}

func newEvents(stream uint32, waits bool) *events {
	return &events{stream: stream, waits: waits, first: 1, more: make(chan struct{})}
}

// add appends a message and returns its number.
func (e *events) add(message []byte) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.bytes += len(message)
	drop := 0
	for ; drop < len(e.kept) && (len(e.kept)-drop == maxEvents || e.bytes > maxBytes); drop++ {
		e.bytes -= len(e.kept[drop])
	}
	if drop > 0 {
		n := copy(e.kept, e.kept[drop:])
		clear(e.kept[n:])
		e.kept = e.kept[:n]
		e.first += drop
	}
	e.kept = append(e.kept, message)
	e.wake()
	return e.first + len(e.kept) - 1
}

// read makes the caller the one that reads: a message goes to exactly one
// connection (2025-11-25 Streamable HTTP, Multiple Connections).
func (e *events) read() (reader int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.reader++
	e.readers++
	e.wake()
	return e.reader
}

// left is for a reader that leaves.
func (e *events) left() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.readers--
}

// isRead reports whether a connection reads, or has not noticed yet that it does not.
func (e *events) isRead() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.readers > 0
}

// isReader reports whether nobody has come after a reader.
func (e *events) isReader(reader int) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.reader == reader
}

// end says that no message will come.
func (e *events) end(now time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ended.IsZero() {
		e.ended = now
		e.wake()
	}
}

func (e *events) wake() {
	close(e.more)
	e.more = make(chan struct{})
}

// after returns the messages after a number, the number of the last one, and what
// to wait on for more; nil if there will be none.
func (e *events) after(number int) (messages [][]byte, last int, more <-chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	last = e.first + len(e.kept) - 1
	skip := max(number+1-e.first, 0)
	if skip < len(e.kept) {
		messages = append(messages, e.kept[skip:]...)
	}
	if !e.ended.IsZero() {
		return messages, last, nil
	}
	return messages, last, e.more
}

// isOver reports whether nothing comes after a number, and nothing will.
func (e *events) isOver(number int) bool {
	messages, _, more := e.after(number)
	return more == nil && len(messages) == 0
}

// endedAt returns when it ended, and how much is kept of it.
func (e *events) endedAt() (ended time.Time, bytes int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.ended, e.bytes
}

// ofGET stands before the ids of a GET's stream, so that they tell what they are when
// the stream is kept no longer.
const ofGET = "g"

// id is the id of the message with that number.
func (e *events) id(number int) string {
	id := strconv.FormatUint(uint64(e.stream), 10) + "-" + strconv.Itoa(number)
	if e.waits {
		return ofGET + id
	}
	return id
}

// parseEventID is the inverse of id.
func parseEventID(id string) (stream uint32, number int, waits, ok bool) {
	id, waits = strings.CutPrefix(id, ofGET)
	left, right, found := strings.Cut(id, "-")
	s, err := strconv.ParseUint(left, 10, 32)
	n, err2 := strconv.ParseUint(right, 10, 31)
	return uint32(s), int(n), waits, found && err == nil && err2 == nil
}

// event is a message as an event; without an id if that is empty. Between its
// tokens a message may have line ends, of which there are three (HTML standard,
// parsing an event stream).
func event(id string, message []byte) []byte {
	out := make([]byte, 0, len(message)+len(id)+40)
	if id != "" {
		out = append(append(append(out, "id: "...), id...), '\n')
	}
	out = append(out, "event: message\ndata: "...)
	for i, c := range message {
		switch {
		case c == '\n' && i > 0 && message[i-1] == '\r': // one end of line, and written
		case c == '\n' || c == '\r':
			out = append(out, "\ndata: "...)
		default:
			out = append(out, c)
		}
	}
	return append(out, "\n\n"...)
}
