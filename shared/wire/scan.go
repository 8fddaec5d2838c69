package wire

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// scanner walks over JSON text (RFC 8259) without building anything.
type scanner struct {
	data []byte
	pos  int
}

func (s *scanner) fail(text string) error { return &Error{Code: CodeParse, Text: text} }

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

// peek returns the next byte, or 0 at the end.
func (s *scanner) peek() byte {
	if s.pos < len(s.data) {
		return s.data[s.pos]
	}
	return 0
}

// object reads an object; member is called at each value with its key. Keys
// must be distinct and must not be one of known in another case.
func (s *scanner) object(depth int, known []string, member func(key string) error) error {
	if depth > maxDepth {
		return s.fail("the message is nested too deeply")
	}
	s.pos++ // {
	s.space()
	if s.peek() == '}' {
		s.pos++
		return nil
	}
	var keys keySet
	for {
		if s.peek() != '"' {
			return s.fail("a key is missing")
		}
		key, err := s.key()
		if err != nil {
			return err
		}
		if !keys.add(key) {
			return s.fail("a key stands twice")
		}
		if known != nil && lookAlike(key, known) {
			return s.fail("a key is written in another case than the protocol's")
		}
		s.space()
		if s.peek() != ':' {
			return s.fail("a colon is missing")
		}
		s.pos++
		s.space()
		if err := member(key); err != nil {
			return err
		}
		done, err := s.next('}')
		if done || err != nil {
			return err
		}
	}
}

// next reads the comma or the end after an element.
func (s *scanner) next(end byte) (done bool, err error) {
	s.space()
	switch s.peek() {
	case end:
		s.pos++
		return true, nil
	case ',':
		s.pos++
		s.space()
		return false, nil
	default:
		return false, s.fail("a comma or an end is missing")
	}
}

// value reads any value.
func (s *scanner) value(depth int) error {
	switch c := s.peek(); {
	case c == '{':
		return s.object(depth, nil, func(string) error { return s.value(depth + 1) })
	case c == '[':
		return s.array(depth)
	case c == '"':
		return s.string()
	case c == '-' || c >= '0' && c <= '9':
		return s.number()
	default:
		for _, literal := range []string{"true", "false", "null"} {
			if bytes.HasPrefix(s.data[s.pos:], []byte(literal)) {
				s.pos += len(literal)
				return nil
			}
		}
		return s.fail("a value is missing or malformed")
	}
}

func (s *scanner) array(depth int) error {
	if depth > maxDepth {
		return s.fail("the message is nested too deeply")
	}
	s.pos++ // [
	s.space()
	if s.peek() == ']' {
		s.pos++
		return nil
	}
	for {
		if err := s.value(depth + 1); err != nil {
			return err
		}
		done, err := s.next(']')
		if done || err != nil {
			return err
		}
	}
}

// key reads a string and returns its value.
func (s *scanner) key() (string, error) {
	start := s.pos
	if err := s.string(); err != nil {
		return "", err
	}
	key, err := text(s.data[start:s.pos])
	if err != nil {
		return "", s.fail("a key is malformed")
	}
	return key, nil
}

// string reads a string and leaves its value alone.
func (s *scanner) string() error {
	for s.pos++; s.pos < len(s.data); s.pos++ {
		switch c := s.data[s.pos]; {
		case c == '"':
			s.pos++
			return nil
		case c < ' ':
			return s.fail("a string has a control character")
		case c == '\\':
			if err := s.escape(); err != nil {
				return err
			}
		}
	}
	return s.fail("a string does not end")
}

func (s *scanner) escape() error {
	s.pos++
	switch s.peek() {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return nil
	case 'u':
		if s.pos+4 >= len(s.data) {
			return s.fail("an escape is cut off")
		}
		for _, c := range s.data[s.pos+1 : s.pos+5] {
			if (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'f') {
				return s.fail("an escape is malformed")
			}
		}
		s.pos += 4
		return nil
	default:
		return s.fail("an escape is malformed")
	}
}

// number reads a number by RFC 8259 §6.
func (s *scanner) number() error {
	if s.peek() == '-' {
		s.pos++
	}
	if s.peek() == '0' {
		s.pos++
	} else if s.digits() == 0 {
		return s.fail("a number is malformed")
	}
	if s.peek() == '.' {
		s.pos++
		if s.digits() == 0 {
			return s.fail("a number is malformed")
		}
	}
	if s.peek()|0x20 == 'e' {
		s.pos++
		if c := s.peek(); c == '+' || c == '-' {
			s.pos++
		}
		if s.digits() == 0 {
			return s.fail("a number is malformed")
		}
	}
	return nil
}

func (s *scanner) digits() int {
	start := s.pos
	for c := s.peek(); c >= '0' && c <= '9'; c = s.peek() {
		s.pos++
	}
	return s.pos - start
}

// text decodes a scanned string.
func text(raw []byte) (string, error) {
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1]), nil
	}
	var s string
	err := json.Unmarshal(raw, &s)
	return s, err
}

// lookAlike reports whether key is one of known in another case. EqualFold
// folds as encoding/json does, so it finds "param\u017f" too.
func lookAlike(key string, known []string) bool {
	return !slices.Contains(known, key) &&
		slices.ContainsFunc(known, func(k string) bool { return strings.EqualFold(k, key) })
}

// keySet finds duplicates: a list while it is short, which it nearly always
// is, and a map beyond.
type keySet struct {
	few  [12]string
	n    int
	many map[string]struct{}
}

// add reports whether key was new.
func (k *keySet) add(key string) bool {
	if k.many != nil {
		if _, ok := k.many[key]; ok {
			return false
		}
		k.many[key] = struct{}{}
		return true
	}
	if slices.Contains(k.few[:k.n], key) {
		return false
	}
	if k.n < len(k.few) {
		k.few[k.n] = key
		k.n++
		return true
	}
	k.many = make(map[string]struct{}, 2*len(k.few))
	for _, old := range k.few {
		k.many[old] = struct{}{}
	}
	k.many[key] = struct{}{}
	return true
}
