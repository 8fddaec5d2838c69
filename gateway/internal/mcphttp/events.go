package mcphttp

import (
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// maxEvents and eventLife bound what is kept of a stream, so that a client
	// whose connection broke can hear what it missed.
	maxEvents = 256
	eventLife = 5 * time.Minute
)

// events are the messages of one stream, in order: those of one request, or those
// that a GET waits for. Whoever reads follows them; who comes back is told what
// came meanwhile, as far as it is kept.
type events struct {
	stream uint32 // in the ids, which are unique within a session

	mu sync.Mutex // guards below
	// kept are the last messages, and first is the number of the first of them.
	kept  [][]byte
	first int
	ended time.Time // zero while messages may come
	// more is closed and made anew when there is something to read.
	more chan struct{}
}

func newEvents(stream uint32) *events {
	return &events{stream: stream, first: 1, more: make(chan struct{})}
}

// add appends a message and returns its number.
func (e *events) add(message []byte) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.kept) == maxEvents {
		e.kept = append(e.kept[:0], e.kept[1:]...)
		e.first++
	}
	e.kept = append(e.kept, message)
	e.wake()
	return e.first + len(e.kept) - 1
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

// over reports whether what is kept is of no use any more.
func (e *events) over(now time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return !e.ended.IsZero() && now.Sub(e.ended) > eventLife
}

// id is the id of the message with that number.
func (e *events) id(number int) string {
	return strconv.FormatUint(uint64(e.stream), 10) + "-" + strconv.Itoa(number)
}

// parseEventID is the inverse of id.
func parseEventID(id string) (stream uint32, number int, ok bool) {
	left, right, found := strings.Cut(id, "-")
	s, err := strconv.ParseUint(left, 10, 32)
	n, err2 := strconv.ParseUint(right, 10, 31)
	return uint32(s), int(n), found && err == nil && err2 == nil
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
