package mcphttp

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/mark3labs/mcp-go/mcp"

	"mcp-gateway/shared/wire"
)

// modern serves a message of the modern era (MCP 2026-07-28 basic/transports,
// Streamable HTTP). There are no sessions: Mcp-Session-Id is ignored.
func (h *Handler) modern(w http.ResponseWriter, r *http.Request, x *exchange) {
	switch x.msg.Kind {
	case wire.KindNotification:
		// Accepted and without effect. In particular notifications/cancelled
		// cancels nothing: ids of different clients collide, and over HTTP a
		// modern client cancels by closing its request.
		answer{status: http.StatusAccepted}.write(w)
		return
	case wire.KindResponse:
		badRequest("a modern client has no request to respond to").answer(x.msg.ID).write(w)
		return
	}
	if f := checkModern(r.Header, x.msg); f != nil {
		f.answer(x.msg.ID).write(w)
		return
	}
	x.revision = wire.Revision20260728
	raw, _ := x.msg.Meta(wire.MetaClientCapabilities)
	x.capabilities = capabilitiesOf(raw)
	if raw, ok := x.msg.Meta(wire.MetaLogLevel); ok {
		level, _ := wire.String(raw)
		if !isLogLevel(level) {
			invalidParams("params._meta " + wire.MetaLogLevel + " is no log level").withStatus(http.StatusBadRequest).answer(x.msg.ID).write(w)
			return
		}
		x.logLevel = mcp.LoggingLevel(level)
	}
	if x.msg.Method == methodListen {
		h.listen(w, r, x)
		return
	}
	h.respond(w, r, []*exchange{x}, nil, func(out *reply) answer {
		x.out = out
		// The request's context: "client disconnect MUST be treated as
		// cancellation" (Streamable HTTP, Cancellation).
		return h.dispatch(r.Context(), x)
	})
}

// checkModern makes the checks of Streamable HTTP in their order: revision in
// header and body the same, revision served, standard headers, required _meta.
func checkModern(header http.Header, msg wire.Message) *fault {
	version, f := modernVersion(header, msg)
	if f != nil {
		return f
	}
	if !wire.Serves(version, wire.EraModern) {
		return unsupportedVersion(version)
	}
	if f := checkStandardHeaders(header, msg); f != nil {
		return f
	}
	if _, ok := msg.Meta(wire.MetaProtocolVersion); !ok {
		return invalidParams("params._meta lacks " + wire.MetaProtocolVersion).withStatus(http.StatusBadRequest)
	}
	if capabilities, ok := msg.Meta(wire.MetaClientCapabilities); !ok || capabilities[0] != '{' {
		return invalidParams("params._meta lacks " + wire.MetaClientCapabilities + ", an object").withStatus(http.StatusBadRequest)
	}
	return nil
}

// modernVersion returns the revision that header and body agree on. A body
// without one is dealt with after the headers.
func modernVersion(header http.Header, msg wire.Message) (string, *fault) {
	inHeader, f := one(header, wire.HeaderProtocolVersion)
	if f != nil {
		return "", f
	}
	raw, ok := msg.Meta(wire.MetaProtocolVersion)
	if !ok {
		return inHeader, nil
	}
	inBody, ok := wire.String(raw)
	if !ok {
		return "", invalidParams("params._meta " + wire.MetaProtocolVersion + " is not a string").withStatus(http.StatusBadRequest)
	}
	if inHeader != inBody {
		return "", mismatch(wire.HeaderProtocolVersion, inHeader, "params._meta "+wire.MetaProtocolVersion, inBody)
	}
	return inBody, nil
}

// nameParams says which member of params the Mcp-Name header repeats.
var nameParams = map[string]string{
	"tools/call": "name", "prompts/get": "name", "resources/read": "uri",
}

// checkStandardHeaders compares Mcp-Method and Mcp-Name with the body: whoever
// routes or meters by the headers must see what is executed ("Servers MUST
// reject requests where the values do not match").
func checkStandardHeaders(header http.Header, msg wire.Message) *fault {
	method, f := one(header, wire.HeaderMethod)
	if f != nil {
		return f
	}
	if method != msg.Method {
		return mismatch(wire.HeaderMethod, method, "method", msg.Method)
	}
	param, ok := nameParams[msg.Method]
	if !ok {
		return nil
	}
	name, f := one(header, wire.HeaderName)
	if f != nil {
		return f
	}
	raw, _ := wire.Member(msg.Params, param)
	if inBody, ok := wire.String(raw); !ok || inBody != name {
		return mismatch(wire.HeaderName, name, "params."+param, inBody)
	}
	return nil
}

// one returns the value of a header that must be there once, decoded.
func one(header http.Header, name string) (string, *fault) {
	values := header[name]
	if len(values) != 1 {
		return "", headerFault(fmt.Sprintf("the %s header stands %d times, not once", name, len(values)))
	}
	value, err := wire.DecodeHeader(values[0])
	if err != nil {
		return "", headerFault(fmt.Sprintf("the %s header is malformed: %s", name, err))
	}
	return value, nil
}

func mismatch(header, inHeader, member, inBody string) *fault {
	return headerFault(fmt.Sprintf("the %s header is %.80q, but %s is %.80q", header, inHeader, member, inBody))
}

func headerFault(message string) *fault {
	return &fault{status: http.StatusBadRequest, code: wire.CodeHeaderMismatch, message: message}
}

// unsupportedVersion names what is served, so that the client can try again.
func unsupportedVersion(requested string) *fault {
	data, err := json.Marshal(struct {
		Supported []string `json:"supported"`
		Requested string   `json:"requested"`
	}{wire.ServedRevisions(), requested})
	if err != nil { // cannot be: it is only strings
		data = nil
	}
	return &fault{
		status: http.StatusBadRequest, code: wire.CodeUnsupportedVersion, data: data,
		message: fmt.Sprintf("protocol version %.40q is not served", requested),
	}
}
