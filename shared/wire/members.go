package wire

import (
	"bytes"
	"encoding/json"
	"iter"
)

// Member returns one member of an object that is part of a parsed message.
func Member(object json.RawMessage, name string) (value json.RawMessage, ok bool) {
	for key, value := range members(object) {
		if string(key[1:len(key)-1]) == name {
			return value, true
		}
		// Nearly all keys are written plainly: nothing to decode in them.
		if bytes.IndexByte(key, '\\') < 0 {
			continue
		}
		if decoded, _ := String(key); decoded == name {
			return value, true
		}
	}
	return nil, false
}

// Meta returns a member of the message's params._meta.
func (m Message) Meta(name string) (value json.RawMessage, ok bool) {
	meta, ok := Member(m.Params, "_meta")
	if !ok {
		return nil, false
	}
	return Member(meta, name)
}

// IDKey is a text that is equal for equal ids, however a string is spelled, and
// different for "7" and 7.
func IDKey(id json.RawMessage) string {
	if bytes.IndexByte(id, '\\') < 0 {
		return string(id)
	}
	text, _ := String(id)
	return `"` + text + `"` // as one without escapes stands in the message
}

// Members returns all members of an object that is part of a parsed message,
// in their order.
func Members(object json.RawMessage) iter.Seq2[string, json.RawMessage] {
	return func(yield func(string, json.RawMessage) bool) {
		for key, value := range members(object) {
			decoded, _ := String(key)
			if !yield(decoded, value) {
				return
			}
		}
	}
}

// members yields raw keys, with their quotes, and raw values. It trusts the
// syntax, which Parse has checked, but never reads out of bounds.
func members(object json.RawMessage) iter.Seq2[json.RawMessage, json.RawMessage] {
	return func(yield func(json.RawMessage, json.RawMessage) bool) {
		s := scanner{data: object}
		if s.space(); s.peek() != '{' {
			return
		}
		s.pos++
		for s.space(); s.peek() == '"'; s.space() {
			start := s.pos
			if _, err := s.str(); err != nil {
				return
			}
			key := object[start:s.pos]
			s.space()
			s.pos++ // the colon
			s.space()
			start = s.pos
			s.skip()
			if start >= len(object) || !yield(key, object[start:s.pos]) {
				return
			}
			s.space()
			s.pos++ // the comma or the end
		}
	}
}

// skip passes over one value without looking into it.
func (s *scanner) skip() {
	depth := 0
	for s.pos < len(s.data) {
		switch s.data[s.pos] {
		case '"':
			if _, err := s.str(); err != nil {
				s.pos = len(s.data)
				return
			}
			if depth == 0 {
				return
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return
			}
			if depth--; depth == 0 {
				s.pos++
				return
			}
		case ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return
			}
		}
		s.pos++
	}
}
