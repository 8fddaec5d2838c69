package wire

import (
	"encoding/base64"
	"errors"
	"strings"
	"unicode/utf8"
)

// Header names of MCP over HTTP, in Go's canonical form.
const (
	HeaderProtocolVersion = "Mcp-Protocol-Version"
	HeaderSessionID       = "Mcp-Session-Id"
	HeaderMethod          = "Mcp-Method"
	HeaderName            = "Mcp-Name"
)

// A value that a header cannot carry as it is stands between these, in base64
// (MCP 2026-07-28 Streamable HTTP, Value Encoding).
const (
	encodedPrefix = "=?base64?"
	encodedSuffix = "?="
)

// EncodeHeader returns s as a header value: as it is if it is printable ASCII
// without white space at its ends and does not look encoded, else encoded.
func EncodeHeader(s string) string {
	if printable(s) && strings.TrimSpace(s) == s && !encoded(s) {
		return s
	}
	return encodedPrefix + base64.StdEncoding.EncodeToString([]byte(s)) + encodedSuffix
}

// DecodeHeader is the inverse of EncodeHeader.
func DecodeHeader(value string) (string, error) {
	if !printable(value) {
		return "", errors.New("it has characters that need base64")
	}
	if !encoded(value) {
		return value, nil
	}
	data, err := base64.StdEncoding.Strict().DecodeString(value[len(encodedPrefix) : len(value)-len(encodedSuffix)])
	if err != nil {
		return "", errors.New("it is not valid base64")
	}
	if !utf8.Valid(data) {
		return "", errors.New("it is not UTF-8")
	}
	return string(data), nil
}

func encoded(s string) bool {
	return len(s) >= len(encodedPrefix)+len(encodedSuffix) &&
		strings.HasPrefix(s, encodedPrefix) && strings.HasSuffix(s, encodedSuffix)
}

// printable reports whether s is ASCII without control characters. A tab
// inside is white space that HTTP allows, yet not printable.
func printable(s string) bool {
	for _, c := range []byte(s) {
		if c < 0x20 || c > 0x7e {
			return false
		}
	}
	return true
}
