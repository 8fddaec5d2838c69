package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// level says where in a message an object stands, because the keys that are
// acted upon differ.
type level uint8

const (
	levelDeep level = iota // anywhere else
	levelEnvelope
	levelParams
	levelMeta
	levelDocument // the top of an object that is no message
)

// acted lists, per level, the keys that the gateway, the bridge or a parser
// behind them acts upon. A key that equals one of them only after case
// folding is refused.
var acted = [...][]string{
	levelEnvelope: {"jsonrpc", "id", "method", "params", "result", "error"},
	levelParams: {
		"_meta", "name", "uri", "arguments", "cursor", "protocolVersion", "capabilities", "clientInfo",
		"requestId", "reason", "progressToken", "progress", "total", "message", "inputResponses", "requestState",
		"notifications", "level", "ref", "argument", "context", "task", "taskId",
	},
	levelMeta: {
		MetaProtocolVersion, MetaClientCapabilities, MetaClientInfo, MetaLogLevel, MetaSubscriptionID, "progressToken",
		"traceparent", "tracestate", "baggage",
	},
}

// manyKeys is from how many keys on an object's keys are looked up in a map;
// with fewer, comparing them one by one is faster.
const manyKeys = 16

// scanner is one pass over a message. A syntax error ends the pass; anything
// else that is refused is noted, and the pass goes on, so that the id can be
// read.
type scanner struct {
	data []byte
	pos  int
	// refusal is the first reason to refuse a message that is JSON.
	refusal string
	// keys is the stack of the keys of the objects that are open.
	keys [][]byte
	// document lists what acted does, for levelDocument.
	document []string

	msg                   Message
	hasVersion, hasMethod bool
	twoIDs, nullID        bool
}

func (s *scanner) refuse(reason string) {
	if s.refusal == "" {
		s.refusal = reason
	}
}

// peek returns the next byte, or 0 at the end: a NUL is no JSON anywhere.
func (s *scanner) peek() byte {
	if s.pos < len(s.data) {
		return s.data[s.pos]
	}
	return 0
}

func (s *scanner) space() {
	for s.pos < len(s.data) {
		switch s.data[s.pos] {
		case ' ', '\t', '\r', '\n':
			s.pos++
		default:
			return
		}
	}
}

// value passes over one value; depth is how many containers are open around it.
func (s *scanner) value(l level, depth int) *Error {
	switch c := s.peek(); {
	case c == '{':
		return s.object(l, depth+1)
	case c == '[':
		return s.array(depth + 1)
	case c == '"':
		_, err := s.str()
		return err
	case c == '-' || ('0' <= c && c <= '9'):
		return s.number()
	case c == 't':
		return s.literal("true")
	case c == 'f':
		return s.literal("false")
	case c == 'n':
		return s.literal("null")
	default:
		return s.syntax("a value is expected")
	}
}

func (s *scanner) object(l level, depth int) *Error {
	if depth > MaxDepth {
		return &Error{CodeInvalidRequest, fmt.Sprintf("the message nests deeper than %d", MaxDepth)}
	}
	s.pos++
	if s.space(); s.peek() == '}' {
		s.pos++
		return nil
	}
	keys := keySet{base: len(s.keys)}
	for more := true; more; {
		key, err := s.key(l)
		if err != nil {
			return err
		}
		if !s.add(&keys, key) {
			s.refuse(fmt.Sprintf("the key %.60q stands twice", key))
			s.twoIDs = s.twoIDs || l == levelEnvelope && string(key) == "id"
		}
		start := s.pos
		if err := s.value(below(l, key), depth); err != nil {
			return err
		}
		if l == levelEnvelope {
			s.member(key, start, s.pos)
		}
		if more, err = s.next('}'); err != nil {
			return err
		}
	}
	s.keys = s.keys[:keys.base]
	return nil
}

// next passes over what stands between two elements, and reports whether there
// is another one or the container ended.
func (s *scanner) next(end byte) (more bool, err *Error) {
	s.space()
	switch s.peek() {
	case ',':
		s.pos++
		s.space()
		return true, nil
	case end:
		s.pos++
		return false, nil
	default:
		return false, s.syntax("a comma or the end is expected")
	}
}

func (s *scanner) array(depth int) *Error {
	if depth > MaxDepth {
		return &Error{CodeInvalidRequest, fmt.Sprintf("the message nests deeper than %d", MaxDepth)}
	}
	s.pos++
	if s.space(); s.peek() == ']' {
		s.pos++
		return nil
	}
	for {
		if err := s.value(levelDeep, depth); err != nil {
			return err
		}
		if more, err := s.next(']'); err != nil || !more {
			return err
		}
	}
}

// key passes over a key and its colon, and returns the key decoded.
func (s *scanner) key(l level) ([]byte, *Error) {
	if s.peek() != '"' {
		return nil, s.syntax("a key is expected")
	}
	start := s.pos
	escaped, err := s.str()
	if err != nil {
		return nil, err
	}
	key := s.data[start+1 : s.pos-1]
	if escaped {
		decoded, _ := String(s.data[start:s.pos])
		key = []byte(decoded)
		if bytes.IndexByte(key, 0) >= 0 {
			s.refuse("a key contains NUL")
		}
	}
	s.space()
	if s.peek() != ':' {
		return nil, s.syntax("a colon is expected")
	}
	s.pos++
	s.space()
	if l != levelDeep {
		s.lookalike(l, key)
	}
	return key, nil
}

// lookalike refuses a key that another parser may take for one that is acted
// upon: "METHOD", "param\u017f" (encoding/json folds both).
func (s *scanner) lookalike(l level, key []byte) {
	actedUpon := s.document
	if l != levelDocument {
		actedUpon = acted[l]
	}
	alike, runes := "", utf8.RuneCount(key)
	for _, known := range actedUpon {
		switch {
		case string(key) == known:
			return
		case runes == len(known) && strings.EqualFold(string(key), known): // folding keeps the number of runes
			alike = known
		}
	}
	if alike != "" {
		s.refuse(fmt.Sprintf("the key %.60q looks like %q", key, alike))
	}
}

// keySet is the keys of one object: a part of the scanner's stack from base
// on, and also a map once there are many.
type keySet struct {
	base int
	many map[string]bool
}

// add reports false if the object had the key already.
func (s *scanner) add(set *keySet, key []byte) bool {
	if set.many != nil {
		had := set.many[string(key)]
		set.many[string(key)] = true
		return !had
	}
	for _, k := range s.keys[set.base:] {
		if bytes.Equal(k, key) {
			return false
		}
	}
	s.keys = append(s.keys, key)
	if len(s.keys)-set.base == manyKeys {
		set.many = make(map[string]bool, 2*manyKeys)
		for _, k := range s.keys[set.base:] {
			set.many[string(k)] = true
		}
	}
	return true
}

// below says at which level the value of a key stands.
func below(l level, key []byte) level {
	switch {
	case l == levelEnvelope && string(key) == "params":
		return levelParams
	case l == levelParams && string(key) == "_meta":
		return levelMeta
	default:
		return levelDeep
	}
}

// str passes over a string and reports whether it has escapes.
func (s *scanner) str() (escaped bool, err *Error) {
	for s.pos++; s.pos < len(s.data); s.pos++ {
		switch c := s.data[s.pos]; {
		case c == '"':
			s.pos++
			return escaped, nil
		case c < 0x20:
			return false, s.syntax("a control character stands in a string")
		case c == '\\':
			escaped = true
			if err := s.escape(); err != nil {
				return false, err
			}
		}
	}
	return false, s.syntax("a string has no end")
}

// escape passes over an escape but for its last byte.
func (s *scanner) escape() *Error {
	s.pos++
	switch s.peek() {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return nil
	case 'u':
		for range 4 {
			s.pos++
			if !isHex(s.peek()) {
				return s.syntax("an escape is not four hex digits")
			}
		}
		return nil
	default:
		return s.syntax("there is no such escape")
	}
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// number passes over a number (RFC 8259 §6).
func (s *scanner) number() *Error {
	if s.peek() == '-' {
		s.pos++
	}
	if s.peek() == '0' {
		s.pos++
	} else if !s.digits() {
		return s.syntax("a number has no digits")
	}
	if s.peek() == '.' {
		s.pos++
		if !s.digits() {
			return s.syntax("a number has no digits after the point")
		}
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		s.pos++
		if c := s.peek(); c == '+' || c == '-' {
			s.pos++
		}
		if !s.digits() {
			return s.syntax("a number has no digits in its exponent")
		}
	}
	return nil
}

func (s *scanner) digits() bool {
	start := s.pos
	for c := s.peek(); '0' <= c && c <= '9'; c = s.peek() {
		s.pos++
	}
	return s.pos > start
}

func (s *scanner) literal(word string) *Error {
	if !bytes.HasPrefix(s.data[s.pos:], []byte(word)) {
		return s.syntax("a value is expected")
	}
	s.pos += len(word)
	return nil
}

// String decodes a JSON string; ok is false for any other value.
func String(value json.RawMessage) (decoded string, ok bool) {
	if len(value) < 2 || value[0] != '"' {
		return "", false
	}
	if bytes.IndexByte(value, '\\') < 0 {
		return string(value[1 : len(value)-1]), true
	}
	err := json.Unmarshal(value, &decoded)
	return decoded, err == nil
}
