package wire

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"
)

// ErrEventTooLarge ends a stream with an event over the reader's limit.
var ErrEventTooLarge = errors.New("event over the size limit")

// Event is one event of a text/event-stream (WHATWG HTML §9.2).
type Event struct {
	// Name is the event's type; "" is "message".
	Name string
	// Data is the lines of data, joined. It is the caller's. An event may have
	// none and still set an id or a retry time.
	Data []byte
	// ID is the id that the event sets, if HasID: it may be empty.
	ID    string
	HasID bool
	// Retry is how long to wait before connecting again, if above zero.
	Retry time.Duration
}

// EventReader reads a text/event-stream.
type EventReader struct {
	in      *bufio.Reader
	max     int
	buf     []byte // the line being read
	begun   bool
	afterCR bool // the last line ended with CR: an LF that follows is part of that end
}

// NewEventReader reads from in, and refuses events of more than limit bytes.
func NewEventReader(in io.Reader, limit int) *EventReader {
	return &EventReader{in: bufio.NewReader(in), max: limit}
}

// Next returns the next event, or io.EOF when the stream has ended: an event that
// was not finished then is dropped ("the event is discarded").
func (r *EventReader) Next() (Event, error) {
	var event Event
	set, size := false, 0
	for {
		line, err := r.line()
		if err != nil {
			return Event{}, err
		}
		if len(line) == 0 {
			if set {
				return event, nil
			}
			event, size = Event{}, 0
			continue
		}
		if line[0] == ':' {
			continue // a comment, which keeps the connection alive
		}
		if size += len(line); size > r.max {
			return Event{}, ErrEventTooLarge
		}
		if event.field(line) {
			set = true
		}
	}
}

// field takes one line, and reports whether it makes the event worth returning.
func (e *Event) field(line []byte) bool {
	name, value, _ := bytes.Cut(line, []byte(":"))
	value, _ = bytes.CutPrefix(value, []byte(" "))
	switch string(name) {
	case "event":
		e.Name = string(value)
	case "data":
		if e.Data == nil {
			e.Data = make([]byte, 0, len(value))
		} else {
			e.Data = append(e.Data, '\n')
		}
		e.Data = append(e.Data, value...)
		return true
	case "id":
		if bytes.IndexByte(value, 0) < 0 {
			e.ID, e.HasID = string(value), true
			return true
		}
	case "retry":
		if ms, err := strconv.ParseUint(string(value), 10, 31); err == nil {
			e.Retry = time.Duration(ms) * time.Millisecond
			return true
		}
	}
	return false // a type alone, or a field of another day
}

// line returns one line without its end, valid until the next. The last line of a
// stream counts only with its end.
func (r *EventReader) line() ([]byte, error) {
	r.buf = r.buf[:0]
	for {
		if _, err := r.in.Peek(1); err != nil {
			if errors.Is(err, io.EOF) {
				return nil, io.EOF
			}
			return nil, fmt.Errorf("read the event stream: %w", err)
		}
		chunk, _ := r.in.Peek(r.in.Buffered())
		if !r.begun {
			// A byte order mark is not part of the first line.
			r.begun = true
			if rest, ok := bytes.CutPrefix(r.peek3(), []byte("\xef\xbb\xbf")); ok && len(rest) == 0 {
				_, _ = r.in.Discard(3)
				continue
			}
		}
		if r.afterCR {
			r.afterCR = false
			if chunk[0] == '\n' {
				_, _ = r.in.Discard(1)
				continue
			}
		}
		end := lineEnd(chunk)
		if end < 0 {
			end = len(chunk)
		}
		if len(r.buf)+end > r.max {
			return nil, ErrEventTooLarge
		}
		r.buf = append(r.buf, chunk[:end]...)
		if end == len(chunk) {
			_, _ = r.in.Discard(end)
			continue
		}
		r.afterCR = chunk[end] == '\r'
		_, _ = r.in.Discard(end + 1)
		return r.buf, nil
	}
}

// peek3 returns the first three bytes, or what there is of them.
func (r *EventReader) peek3() []byte {
	first, _ := r.in.Peek(3)
	return first
}

// lineEnd returns the index of the first CR or LF, or -1.
func lineEnd(chunk []byte) int {
	lf := bytes.IndexByte(chunk, '\n')
	if lf >= 0 {
		chunk = chunk[:lf]
	}
	if cr := bytes.IndexByte(chunk, '\r'); cr >= 0 {
		return cr
	}
	return lf
}
