// Package wire reads and writes MCP messages at the level of the envelope: one
// strict pass over a JSON-RPC message that keeps ids, params and results as the
// bytes that were sent, answers spliced around such bytes, the table of protocol
// revisions, and the codec of the Mcp-* header values.
//
// It refuses to re-encode a payload, because 9007199254740993 and unknown
// fields do not survive that, and to know what any method means.
package wire

import (
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

// MaxDepth is how deep objects and arrays may nest in a message, the envelope
// included. Deeper ones are refused before any other parser recurses on them.
const MaxDepth = 64

// Kind says what a message is.
type Kind uint8

// The kinds of message (JSON-RPC 2.0 §4 and §5).
const (
	KindRequest Kind = iota + 1
	KindNotification
	KindResponse
)

// Message is one JSON-RPC message. The byte slices are parts of what Parse was
// given.
type Message struct {
	Kind Kind
	// ID is the id as it was sent, byte for byte: a string with its quotes
	// or an integer of any size. Nil for a notification, and for an error
	// whose sender could not read the id of what it answers.
	ID json.RawMessage
	// Method of a request or notification.
	Method string
	// Params is an object, or nil if there are none.
	Params json.RawMessage
	// Result or Error of a response; Error is an object.
	Result json.RawMessage
	Error  json.RawMessage

	raw     []byte
	idStart int
}

// Error is a message that was refused, with the JSON-RPC code to answer.
type Error struct {
	Code   int
	Reason string
}

// Error implements error.
func (e *Error) Error() string { return e.Reason }

// ErrBatch refuses a JSON-RPC batch: only revision 2025-03-26 has them.
var ErrBatch = &Error{Code: CodeInvalidRequest, Reason: "batches are not accepted: send one message per request"}

// Parse reads one message in one pass.
//
// It is strict, because whoever parses next may read a sloppy message in
// another way (encoding/json takes "METHOD" for "method" and the last of two
// equal keys): no duplicate key at any depth, no key that only case folding
// makes equal to one that is acted upon, no NUL in a key, no invalid UTF-8, no
// data after the message, no nesting beyond MaxDepth. Ids are strings or
// integers ("The request ID MUST NOT be null", MCP basic, Requests), except that
// JSON-RPC 2.0 §5 wants null in an error for an id that could not be read.
//
// The error is an *Error. If the message is JSON and its id could be read, the
// returned Message has that ID even then, so that the answer can carry it.
func Parse(data []byte) (Message, error) {
	var keys [16][]byte // enough for most messages: one allocation, no growth
	s := scanner{data: data, keys: keys[:0]}
	if !utf8.Valid(data) {
		return Message{}, &Error{CodeParse, "the message is not valid UTF-8"}
	}
	s.space()
	if s.peek() == '[' {
		return Message{}, ErrBatch
	}
	level := levelDeep
	if s.peek() == '{' {
		level = levelEnvelope
	} else {
		s.refuse("the message is not an object")
	}
	if err := s.value(level, 0); err != nil {
		return Message{}, err
	}
	if s.space(); s.pos != len(data) {
		return Message{}, s.syntax("there is data after the message")
	}
	m := s.msg
	m.raw = data
	if s.twoIDs {
		m.ID = nil // neither is the id
	}
	if s.refusal == "" {
		s.classify(&m)
	}
	if s.refusal != "" {
		return Message{ID: m.ID}, &Error{CodeInvalidRequest, s.refusal}
	}
	return m, nil
}

// Batch cuts a JSON-RPC batch (JSON-RPC 2.0 §6) into its messages, each of which
// is still to be parsed. The error is an *Error.
func Batch(data []byte) ([]json.RawMessage, error) {
	if !utf8.Valid(data) {
		return nil, &Error{CodeParse, "the batch is not valid UTF-8"}
	}
	s := scanner{data: data}
	if s.space(); s.peek() != '[' {
		return nil, &Error{CodeInvalidRequest, "the batch is not an array"}
	}
	if err := s.value(levelDeep, 0); err != nil {
		return nil, err
	}
	if s.space(); s.pos != len(data) {
		return nil, s.syntax("there is data after the batch")
	}
	if s.refusal != "" {
		return nil, &Error{CodeInvalidRequest, s.refusal}
	}
	var parts []json.RawMessage
	s = scanner{data: data}
	s.space()
	s.pos++
	for s.space(); s.peek() != ']' && s.pos < len(data); s.space() {
		start := s.pos
		s.skip()
		parts = append(parts, data[start:s.pos])
		if s.space(); s.peek() == ',' {
			s.pos++
		}
	}
	return parts, nil
}

// classify tells the kind from which members there are, and refuses mixtures.
func (s *scanner) classify(m *Message) {
	hasResult, hasError := m.Result != nil, m.Error != nil
	if s.nullID && (s.hasMethod || !hasError) {
		s.refuse("id is null")
	}
	switch {
	case !s.hasVersion:
		s.refuse("jsonrpc is missing")
	case s.hasMethod && (hasResult || hasError):
		s.refuse("the message has a method and also a result or an error")
	case s.hasMethod && m.ID != nil:
		m.Kind = KindRequest
	case s.hasMethod:
		m.Kind = KindNotification
	case hasResult == hasError:
		s.refuse("the message has no method, and not one of result and error")
	case hasResult && m.ID == nil:
		s.refuse("the response has no id")
	default:
		m.Kind = KindResponse
	}
}

// member notes one member of the envelope; the value is data[start:end].
func (s *scanner) member(key []byte, start, end int) {
	value := s.data[start:end]
	switch string(key) {
	case "jsonrpc":
		s.hasVersion = true
		if string(value) != `"2.0"` {
			s.refuse(`jsonrpc is not "2.0"`)
		}
	case "id":
		switch {
		case value[0] == 'n':
			s.nullID = true
		case validID(value):
			s.msg.ID, s.msg.idStart = value, start
		default:
			s.refuse("id is not a string or an integer")
		}
	case "method":
		s.hasMethod = true
		method, ok := String(value)
		if !ok || method == "" {
			s.refuse("method is not a string")
		}
		s.msg.Method = method
	case "params":
		if value[0] != '{' {
			s.refuse("params is not an object")
		}
		s.msg.Params = value
	case "result":
		s.msg.Result = value
	case "error":
		if value[0] != '{' {
			s.refuse("error is not an object")
		}
		s.msg.Error = value
	}
}

// validID accepts any string and any number that is written as an integer.
func validID(value []byte) bool {
	if value[0] == '"' {
		return true
	}
	for i, c := range value {
		if (c < '0' || c > '9') && (c != '-' || i > 0) {
			return false
		}
	}
	return true
}

// ReplaceID returns the message with another id, everything else as it was
// sent. The message must have an id.
func (m Message) ReplaceID(id json.RawMessage) []byte {
	out := make([]byte, 0, len(m.raw)-len(m.ID)+len(id))
	out = append(out, m.raw[:m.idStart]...)
	out = append(out, id...)
	return append(out, m.raw[m.idStart+len(m.ID):]...)
}

func (s *scanner) syntax(reason string) *Error {
	return &Error{CodeParse, fmt.Sprintf("the message is not JSON: %s (byte %d)", reason, s.pos)}
}
