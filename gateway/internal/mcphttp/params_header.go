package mcphttp

import (
	"encoding/json"
	"math/big"
	"net/http"
	"regexp"
	"strings"

	"github.com/mark3labs/mcp-go/mcp"

	"mcp-gateway/shared/wire"
)

// checkParamHeaders compares the arguments that a tool wants in headers too with
// the Mcp-Param-* headers (MCP 2026-07-28 Streamable HTTP, Server Behavior for
// Custom Headers). Headers of no argument are nobody's business.
func (h *Handler) checkParamHeaders(x *exchange, tool string, arguments json.RawMessage) *fault {
	for _, b := range h.cfg.Catalog.Headers(tool) {
		name := http.CanonicalHeaderKey(b.HeaderName())
		values, value := x.header[name], member(arguments, b.Path)
		argument := "params.arguments." + strings.Join(b.Path, ".")
		if value == nil || value[0] == 'n' { // "the server MUST NOT expect the header"
			if len(values) > 0 && strings.Join(values, "") != "" {
				return headerFault("the " + name + " header is there, but not " + argument)
			}
			continue
		}
		inHeader, f := one(x.header, name)
		if f != nil {
			return f
		}
		if !sameValue(inHeader, value) {
			return mismatch(name, inHeader, argument, string(value))
		}
	}
	return nil
}

// paramHeader is the name of a header that an argument can stand in too.
var paramHeader = regexp.MustCompile("^(?i:mcp-param-)[!#$%&'*+.^_`|~0-9A-Za-z-]+$")

// maxParamHeaders bounds the headers of arguments that a page may send.
const maxParamHeaders = 64

// paramHeaders are those among the headers that a page asks to send, each behind a
// comma: which there are, the tools decide. Whoever asks is nobody yet.
func paramHeaders(header http.Header) string {
	var allowed strings.Builder
	found := 0
	for _, line := range header["Access-Control-Request-Headers"] {
		for name := range strings.SplitSeq(line, ",") {
			if name = strings.TrimSpace(name); !paramHeader.MatchString(name) {
				continue
			}
			if found++; found > maxParamHeaders {
				return allowed.String()
			}
			allowed.WriteString(", " + http.CanonicalHeaderKey(name))
		}
	}
	return allowed.String()
}

// member looks a path up in nested objects; nil if it does not get there.
func member(object json.RawMessage, path []string) json.RawMessage {
	for _, name := range path {
		if len(object) == 0 || object[0] != '{' {
			return nil
		}
		object, _ = wire.Member(object, name)
	}
	return object
}

// sameValue compares a header with a JSON value: texts by their letters, numbers
// by what they are ("42.0" is 42). Objects and lists are like no header.
func sameValue(inHeader string, value json.RawMessage) bool {
	switch value[0] {
	case '"':
		text, _ := wire.String(value)
		return text == inHeader
	case 't', 'f':
		return string(value) == inHeader
	case '{', '[':
		return false
	}
	a, ok := number(inHeader)
	b, ok2 := number(string(value))
	return ok && ok2 && a.Cmp(b) == 0
}

// jsonNumber is a number as JSON writes it, with an exponent that costs little.
var jsonNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]{0,99})(\.[0-9]{1,99})?([eE][+-]?[0-9]{1,2})?$`)

func number(text string) (*big.Rat, bool) {
	if !jsonNumber.MatchString(text) {
		return nil, false
	}
	return new(big.Rat).SetString(text)
}

// headers is what of a catalog this file needs.
type headers interface {
	// Headers returns which arguments of a tool stand in headers too.
	Headers(tool string) []mcp.ParamHeaderBinding
}
