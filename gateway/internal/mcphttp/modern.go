package mcphttp

import (
	"context"
	"encoding/json"
	"net/http"

	"mcp-gateway/gateway/internal/access"
	"mcp-gateway/shared/wire"
)

// named tells for which methods the Mcp-Name header repeats what of the params
// (MCP 2026-07-28, Streamable HTTP, Standard Headers).
func named(msg wire.Message) (string, bool) {
	switch msg.Method {
	case "tools/call", "prompts/get":
		return msg.Name, true
	case "resources/read":
		return msg.URI, true
	default:
		return "", false
	}
}

// modern answers a message of 2026-07-28: stateless, each request on its own.
func (h *Handler) modern(r *http.Request, p *access.Principal, msg wire.Message, m meta) reply {
	switch msg.Kind {
	case wire.Response:
		return fault(http.StatusBadRequest, nil, wire.CodeInvalidRequest, "this revision has no requests from the server, so no responses to it")
	case wire.Notification:
		// A request is cancelled by closing it; a cancellation by
		// notification could only name somebody else's.
		return reply{status: http.StatusAccepted}
	}
	if out, ok := checkModern(r, msg, m); !ok {
		return out
	}
	ctx, cancel := context.WithTimeout(r.Context(), h.cfg.CallTimeout)
	defer cancel()
	out := h.dispatch(ctx, r, p, msg)
	if out.code == wire.CodeMethodNotFound {
		out.status = http.StatusNotFound
	}
	return out.reply
}

// checkModern holds headers against body, in the order of the specification:
// intermediaries act on the headers and we on the body, so they must agree.
func checkModern(r *http.Request, msg wire.Message, m meta) (reply, bool) {
	mismatch := func(text string) (reply, bool) {
		return fault(http.StatusBadRequest, msg.ID, wire.CodeHeaderMismatch, text), false
	}
	header, single := headerOf(r, headerVersion)
	revision := m.revision()
	switch {
	case header == "" || !single:
		return mismatch("the header MCP-Protocol-Version is missing or stands twice")
	case m.Version == nil:
		return fault(http.StatusBadRequest, msg.ID, wire.CodeInvalidParams, "params._meta lacks io.modelcontextprotocol/protocolVersion"), false
	case header != revision:
		return mismatch("the header MCP-Protocol-Version and params._meta differ")
	case !wire.IsServed(revision) || !wire.IsModern(revision):
		return unsupported(msg.ID, revision), false
	}
	if method, single := headerOf(r, headerMethod); !single || method != msg.Method {
		return mismatch("the header Mcp-Method is missing or is not the method of the message")
	}
	if want, needed := named(msg); needed {
		if name, single := headerOf(r, headerName); !single || name != want || want == "" {
			return mismatch("the header Mcp-Name is missing or is not the name in the message")
		}
	}
	if !isObject(m.Capabilities) {
		return fault(http.StatusBadRequest, msg.ID, wire.CodeInvalidParams, "params._meta lacks io.modelcontextprotocol/clientCapabilities"), false
	}
	return reply{}, true
}

// headerOf returns a header's decoded value, and whether it stands at most once
// and could be decoded.
func headerOf(r *http.Request, name string) (string, bool) {
	values := r.Header.Values(name)
	if len(values) == 0 {
		return "", true
	}
	value, ok := wire.DecodeHeader(values[0])
	return value, ok && len(values) == 1
}

// unsupported answers with what the client may use instead.
func unsupported(id json.RawMessage, requested string) reply {
	data, err := json.Marshal(struct {
		Supported []string `json:"supported"`
		Requested string   `json:"requested"`
	}{wire.Served, requested})
	if err != nil {
		data = nil
	}
	return reply{status: http.StatusBadRequest, body: wire.AppendError(nil, id, wire.CodeUnsupportedVersion,
		"this protocol revision is not served", data)}
}
