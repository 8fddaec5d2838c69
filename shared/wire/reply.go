package wire

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// JSON-RPC error codes (JSON-RPC 2.0 §5.1; MCP 2026-07-28 basic, Error Codes).
const (
	CodeParse          = -32700
	CodeInvalidRequest = -32600
	CodeMethodNotFound = -32601
	CodeInvalidParams  = -32602
	CodeInternal       = -32603
	// CodeInterrupted: the request was cancelled or ran out of time. It is
	// outside the range that JSON-RPC and MCP reserve.
	CodeInterrupted = -32800
	// CodeHeaderMismatch: an Mcp-* header is missing, malformed or differs
	// from the body.
	CodeHeaderMismatch = -32020
	// CodeMissingCapability: the client would have to do what it has not said
	// that it can.
	CodeMissingCapability = -32021
	// CodeUnsupportedVersion: the protocol revision is not served.
	CodeUnsupportedVersion = -32022
)

// AppendRequest appends a request. params may be nil.
func AppendRequest(dst []byte, id json.RawMessage, method string, params json.RawMessage) []byte {
	dst = slices.Grow(dst, len(id)+len(method)+len(params)+60)
	dst = append(dst, `{"jsonrpc":"2.0","id":`...)
	dst = append(dst, id...)
	return appendMethod(append(dst, ','), method, params)
}

// AppendNotification appends a notification. params may be nil.
func AppendNotification(dst []byte, method string, params json.RawMessage) []byte {
	dst = slices.Grow(dst, len(method)+len(params)+60)
	return appendMethod(append(dst, `{"jsonrpc":"2.0",`...), method, params)
}

// appendMethod appends what requests and notifications have in common.
func appendMethod(dst []byte, method string, params json.RawMessage) []byte {
	dst = append(dst, `"method":`...)
	dst = AppendString(dst, method)
	if params != nil {
		dst = append(dst, `,"params":`...)
		dst = append(dst, params...)
	}
	return append(dst, '}')
}

// AppendResult appends the response to the request with that id.
func AppendResult(dst []byte, id, result json.RawMessage) []byte {
	dst = slices.Grow(dst, len(id)+len(result)+40)
	dst = append(dst, `{"jsonrpc":"2.0","id":`...)
	dst = append(dst, id...)
	dst = append(dst, `,"result":`...)
	dst = append(dst, result...)
	return append(dst, '}')
}

// AppendError appends an error response. A nil id is left out: the id could
// not be read ("except in error cases where the ID could not be read due to a
// malformed request", MCP basic, Error Responses). data may be nil.
func AppendError(dst []byte, id json.RawMessage, code int, message string, data json.RawMessage) []byte {
	dst = append(dst, `{"jsonrpc":"2.0",`...)
	if id != nil {
		dst = append(dst, `"id":`...)
		dst = append(dst, id...)
		dst = append(dst, ',')
	}
	dst = append(dst, `"error":{"code":`...)
	dst = strconv.AppendInt(dst, int64(code), 10)
	dst = append(dst, `,"message":`...)
	dst = AppendString(dst, message)
	if data != nil {
		dst = append(dst, `,"data":`...)
		dst = append(dst, data...)
	}
	return append(dst, `}}`...)
}

// AppendString appends a JSON string.
func AppendString(dst []byte, s string) []byte {
	if printable(s) && !strings.ContainsAny(s, `"\`) {
		dst = append(dst, '"')
		dst = append(dst, s...)
		return append(dst, '"')
	}
	quoted, err := json.Marshal(s)
	if err != nil { // cannot be: every Go string has a JSON form
		quoted = []byte(`""`)
	}
	return append(dst, quoted...)
}
