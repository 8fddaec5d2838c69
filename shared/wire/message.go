// Package wire reads and writes the envelopes of MCP: JSON-RPC messages whose
// payloads pass through byte for byte (DESIGN D10), protocol revisions and
// their eras, and header values. It decides nothing about methods.
//
// The scan is strict where parsers differ, because a policy that reads one
// thing and a handler that reads another is a hole: no duplicate keys anywhere,
// no key of the envelope, of params or of _meta in another case, no invalid
// UTF-8, nothing after the message.
//
// It implements JSON-RPC 2.0 as MCP restricts it: ids are strings or integers,
// never null; params are objects.
package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

// JSON-RPC error codes.
const (
	CodeParse          = -32700
	CodeInvalidRequest = -32600
	CodeMethodNotFound = -32601
	CodeInvalidParams  = -32602
	CodeInternal       = -32603
)

// Error codes of MCP 2026-07-28 (Streamable HTTP, Error Handling).
const (
	CodeHeaderMismatch     = -32020
	CodeMissingCapability  = -32021
	CodeUnsupportedVersion = -32022
)

// Kind is what a message is.
type Kind int

// The kinds of message.
const (
	Request Kind = iota + 1
	Notification
	Response
)

// Message is one scanned JSON-RPC message. Its slices are parts of the scanned
// text.
type Message struct {
	Kind Kind
	// ID as the sender wrote it, quotes included; empty for notifications
	// and for responses to unreadable requests (id null).
	ID     json.RawMessage
	Method string
	// Params is the object, or empty.
	Params json.RawMessage
	// Result and Error of a response.
	Result json.RawMessage
	Error  json.RawMessage
	// Name is params.name (tools/call, prompts/get) and URI params.uri
	// (resources/read), decoded, or empty.
	Name string
	URI  string
	// Arguments is params.arguments (tools/call, prompts/get), or empty.
	Arguments json.RawMessage
	// Meta is params._meta, or empty.
	Meta json.RawMessage

	raw            []byte
	idStart        int
	argumentsStart int
}

// Error is why a text is not a message. Its text is for the sender.
type Error struct {
	// Code is CodeParse or CodeInvalidRequest.
	Code int
	Text string
	// ID is the message's id if it could be read before the fault.
	ID json.RawMessage
}

// Error implements error.
func (e *Error) Error() string { return e.Text }

// maxDepth bounds nesting.
const maxDepth = 64

// IsBatch reports whether data is a JSON array: a batch, which only revision
// 2025-03-26 knows.
func IsBatch(data []byte) bool {
	data = bytes.TrimLeft(data, " \t\r\n")
	return len(data) > 0 && data[0] == '['
}

// Parse scans one message.
func Parse(data []byte) (Message, error) {
	if !utf8.Valid(data) {
		return Message{}, &Error{Code: CodeParse, Text: "the message is not valid UTF-8"}
	}
	p := &parser{scanner: scanner{data: data}, msg: Message{raw: data}}
	if err := p.message(); err != nil {
		e, ok := err.(*Error) //nolint:errorlint // every error here is made by this package, unwrapped
		if !ok {
			return Message{}, err
		}
		e.ID = p.msg.ID
		return Message{}, e
	}
	if err := p.classify(); err != nil {
		err.ID = p.msg.ID
		return Message{}, err
	}
	return p.msg, nil
}

type parser struct {
	scanner
	msg     Message
	version bool
	null    bool // id is null
}

// envelopeKeys, paramKeys and metaKeys are the keys that somebody acts on.
// encoding/json would take them in any case, so no other case is let through.
var (
	envelopeKeys = []string{"jsonrpc", "id", "method", "params", "result", "error"}
	paramKeys    = []string{
		"_meta", "name", "uri", "arguments", "cursor", "protocolVersion", "capabilities", "clientInfo", "requestId", "reason",
		"progressToken", "progress", "total", "message", "level", "ref", "argument", "context", "notifications",
		"inputResponses", "requestState", "task", "taskId",
	}
	metaKeys = []string{
		"progressToken", "io.modelcontextprotocol/protocolVersion", "io.modelcontextprotocol/clientCapabilities",
		"io.modelcontextprotocol/clientInfo", "io.modelcontextprotocol/logLevel", "io.modelcontextprotocol/subscriptionId",
		"traceparent", "tracestate", "baggage",
	}
)

func (p *parser) message() error {
	p.space()
	if p.peek() != '{' {
		return &Error{Code: CodeInvalidRequest, Text: "a message is a JSON object"}
	}
	if err := p.object(1, envelopeKeys, p.member); err != nil {
		return err
	}
	p.space()
	if p.pos != len(p.data) {
		return p.fail("text after the message")
	}
	return nil
}

// member reads one member of the envelope.
func (p *parser) member(key string) error {
	start := p.pos
	switch key {
	case "params":
		if p.peek() != '{' {
			return &Error{Code: CodeInvalidRequest, Text: "params must be an object"}
		}
		if err := p.object(2, paramKeys, p.param); err != nil {
			return err
		}
	default:
		if err := p.value(2); err != nil {
			return err
		}
	}
	raw := json.RawMessage(p.data[start:p.pos])
	switch key {
	case "jsonrpc":
		p.version = string(raw) == `"2.0"`
	case "id":
		return p.id(raw, start)
	case "method":
		if raw[0] != '"' {
			return &Error{Code: CodeInvalidRequest, Text: "method must be a string"}
		}
		method, err := text(raw)
		if err != nil || method == "" {
			return &Error{Code: CodeInvalidRequest, Text: "method must be a string that is not empty"}
		}
		p.msg.Method = method
	case "params":
		p.msg.Params = raw
	case "result":
		p.msg.Result = raw
	case "error":
		p.msg.Error = raw
	}
	return nil
}

// id accepts strings and integers of any size: "The ID MUST NOT be null" and
// MUST be a string or integer (MCP basic, Requests).
func (p *parser) id(raw json.RawMessage, start int) error {
	switch {
	case string(raw) == "null":
		p.null = true
		return nil
	case raw[0] == '"':
	case raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9':
		if bytes.ContainsAny(raw, ".eE") {
			return &Error{Code: CodeInvalidRequest, Text: "id must be a string or an integer"}
		}
	default:
		return &Error{Code: CodeInvalidRequest, Text: "id must be a string or an integer"}
	}
	p.msg.ID, p.msg.idStart = raw, start
	return nil
}

// param reads one member of params.
func (p *parser) param(key string) error {
	start := p.pos
	if key == "_meta" && p.peek() == '{' {
		if err := p.object(3, metaKeys, func(string) error { return p.value(4) }); err != nil {
			return err
		}
		p.msg.Meta = p.data[start:p.pos]
		return nil
	}
	if err := p.value(3); err != nil {
		return err
	}
	if key == "arguments" {
		p.msg.Arguments, p.msg.argumentsStart = p.data[start:p.pos], start
		return nil
	}
	if raw := p.data[start:p.pos]; raw[0] == '"' && (key == "name" || key == "uri") {
		s, err := text(raw)
		if err != nil {
			return p.fail("a string is malformed")
		}
		if key == "name" {
			p.msg.Name = s
		} else {
			p.msg.URI = s
		}
	}
	return nil
}

func (p *parser) classify() *Error {
	m := &p.msg
	isResponse := m.Result != nil || m.Error != nil
	switch {
	case !p.version:
		return &Error{Code: CodeInvalidRequest, Text: `jsonrpc must be "2.0"`}
	case m.Method != "" && isResponse, m.Result != nil && m.Error != nil:
		return &Error{Code: CodeInvalidRequest, Text: "a message is a request, a notification or a response, not several"}
	case m.Method != "" && p.null:
		return &Error{Code: CodeInvalidRequest, Text: "id must not be null"}
	case m.Method != "" && m.ID != nil:
		m.Kind = Request
	case m.Method != "":
		m.Kind = Notification
	case isResponse && (m.ID != nil || p.null && m.Error != nil):
		m.Kind = Response
	default:
		return &Error{Code: CodeInvalidRequest, Text: "the message has neither a method nor an id with a result or an error"}
	}
	return nil
}

// WithID returns the message's text with another id in place of its own.
func (m Message) WithID(id string) []byte {
	return m.splice(splice{m.idStart, m.ID, id})
}

// Envelope is WithID with empty arguments in place of the message's: what a
// dispatcher needs that would decode arguments into something smaller than
// they are.
func (m Message) Envelope(id string) []byte {
	parts := []splice{{m.idStart, m.ID, id}, {m.argumentsStart, m.Arguments, "{}"}}
	if m.argumentsStart < m.idStart {
		parts[0], parts[1] = parts[1], parts[0]
	}
	return m.splice(parts...)
}

// splice is one replacement: what stands at start becomes with.
type splice struct {
	start int
	old   json.RawMessage
	with  string
}

// splice makes replacements, in the order of the text; what is absent stays so.
func (m Message) splice(parts ...splice) []byte {
	out := make([]byte, 0, len(m.raw)+32)
	end := 0
	for _, p := range parts {
		if p.old == nil {
			continue
		}
		out = append(append(out, m.raw[end:p.start]...), p.with...)
		end = p.start + len(p.old)
	}
	return append(out, m.raw[end:]...)
}

// AppendError appends an error response. A nil id becomes null; data is raw
// JSON or nil.
func AppendError(dst []byte, id json.RawMessage, code int, message string, data json.RawMessage) []byte {
	dst = append(dst, `{"jsonrpc":"2.0","id":`...)
	if id == nil {
		dst = append(dst, "null"...)
	} else {
		dst = append(dst, id...)
	}
	quoted, err := json.Marshal(message)
	if err != nil {
		quoted = []byte(`"error"`)
	}
	dst = fmt.Appendf(dst, `,"error":{"code":%d,"message":%s`, code, quoted)
	if data != nil {
		dst = append(append(dst, `,"data":`...), data...)
	}
	return append(dst, "}}"...)
}

// AppendResult appends a response with a raw result.
func AppendResult(dst []byte, id, result json.RawMessage) []byte {
	dst = append(append(dst, `{"jsonrpc":"2.0","id":`...), id...)
	dst = append(append(dst, `,"result":`...), result...)
	return append(dst, '}')
}
