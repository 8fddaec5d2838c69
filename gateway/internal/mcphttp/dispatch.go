package mcphttp

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"mcp-gateway/shared/wire"
)

// method is a method that is served beside initialize.
type method struct {
	legacy, modern bool
	// members of params are handed on, each with the first byte that its JSON
	// may have. Nothing else of the client's params reaches mcp-go.
	members map[string]string
	// needs is what must have been advertised for it, if anything.
	needs capability
}

// The first bytes of JSON values.
const (
	isText   = `"`
	isObject = `{`
)

// methods is all that is served. Whatever is not in it does not exist,
// although mcp-go would answer more: what is not advertised is not served.
var methods = map[string]method{
	"ping":            {legacy: true},
	"server/discover": {modern: true},

	"tools/list": {legacy: true, modern: true, members: map[string]string{"cursor": isText}},
	"tools/call": {legacy: true, modern: true, members: map[string]string{"name": isText, "inputResponses": isObject, "requestState": isText}},

	"prompts/list": {legacy: true, modern: true, needs: canPrompts, members: map[string]string{"cursor": isText}},
	"prompts/get": {legacy: true, modern: true, needs: canPrompts,
		members: map[string]string{"name": isText, "arguments": isObject, "inputResponses": isObject, "requestState": isText}},

	"resources/list":           {legacy: true, modern: true, needs: canResources, members: map[string]string{"cursor": isText}},
	"resources/templates/list": {legacy: true, modern: true, needs: canResources, members: map[string]string{"cursor": isText}},
	"resources/read":           {legacy: true, modern: true, needs: canResources, members: map[string]string{"uri": isText}},
	"resources/subscribe":      {legacy: true, needs: canSubscribe, members: map[string]string{"uri": isText}},
	"resources/unsubscribe":    {legacy: true, needs: canSubscribe, members: map[string]string{"uri": isText}},

	"completion/complete": {legacy: true, modern: true, needs: canComplete,
		members: map[string]string{"ref": isObject, "argument": isObject, "context": isObject}},
	"logging/setLevel": {legacy: true, needs: canLog, members: map[string]string{"level": isText}},
}

// dispatch is the one way of every request, of either era, to the catalog.
func (h *Handler) dispatch(ctx context.Context, x *exchange) (a answer) {
	defer h.survive(ctx, func() { a = failed(x, mistake) })
	m, ok := methods[x.msg.Method]
	if !ok || x.era == wire.EraLegacy && !m.legacy || x.era == wire.EraModern && !m.modern || !h.can(m.needs) {
		return failed(x, &fault{
			status: http.StatusOK, code: wire.CodeMethodNotFound,
			message: fmt.Sprintf("method %.80q does not exist", x.msg.Method),
		})
	}
	if f := h.admit(ctx, x, m); f != nil {
		return failed(x, f)
	}
	params, f := m.params(h, x)
	if f != nil {
		return failed(x, f)
	}
	var result json.RawMessage
	if x.msg.Method == "tools/call" {
		result, f = h.call(ctx, x, params)
	} else {
		result, f = h.other(ctx, x, params)
	}
	if f != nil {
		return failed(x, f)
	}
	return answer{status: http.StatusOK, body: wire.AppendResult(nil, x.msg.ID, downLevel(x, result))}
}

// other runs a request that is no call of a tool.
func (h *Handler) other(ctx context.Context, x *exchange, params json.RawMessage) (json.RawMessage, *fault) {
	ctx, done := h.bounded(ctx, x)
	defer done()
	result, f := h.run(ctx, x, params, nil)
	if f == nil {
		return h.rounds(x, result)
	}
	if ctx.Err() != nil {
		f, _ = h.interrupted(ctx)
	}
	return nil, f
}

// admit refuses what the person has no right to. Prompts and resources have no
// rules of their own yet: whoever may call every tool may use them.
func (h *Handler) admit(ctx context.Context, x *exchange, m method) *fault {
	if m.needs == "" || m.needs == canLog || h.cfg.Policy.Decide(x.principal, "mcp:"+string(m.needs)).Allowed {
		return nil
	}
	h.cfg.Logger.InfoContext(ctx, "request denied", slog.String("method", x.msg.Method))
	return invalidParams("you may not use this; an administrator can grant it")
}

// failed answers with a fault. A modern method that does not exist is 404
// (2026-07-28 Streamable HTTP); a legacy client would take that for the end of
// its session.
func failed(x *exchange, f *fault) answer {
	if f.code == wire.CodeMethodNotFound && x.era == wire.EraModern {
		f = f.withStatus(http.StatusNotFound)
	}
	return f.answer(x.msg.ID)
}

// params composes the params for mcp-go.
func (m method) params(h *Handler, x *exchange) (json.RawMessage, *fault) {
	params := append([]byte(`{"_meta":`), x.meta()...)
	for _, name := range memberOrder {
		first, wanted := m.members[name]
		value, ok := wire.Member(x.msg.Params, name)
		if !wanted || !ok {
			continue
		}
		if value[0] != first[0] {
			return nil, invalidParams("params." + name + " is not " + map[string]string{isText: "a string", isObject: "an object"}[first])
		}
		if name == "requestState" {
			var f *fault
			if value, f = h.openState(x, value); f != nil {
				return nil, f
			}
		}
		params = append(wire.AppendString(append(params, ','), name), ':')
		params = append(params, value...)
	}
	return append(params, '}'), nil
}

// memberOrder is the order in which members are written.
var memberOrder = []string{"name", "uri", "cursor", "arguments", "ref", "argument", "context", "level", "inputResponses", "requestState"}

// progressToken stands for the client's own towards mcp-go, which would read a
// large number as another one.
const progressToken = `"progressToken":"p"`

// meta is the _meta for mcp-go. The client's own stays outside: it was checked,
// and mcp-go takes a request for a legacy one if it cannot decode a number in it.
func (x *exchange) meta() []byte {
	meta := []byte{'{'}
	if x.era == wire.EraModern {
		capabilities, err := json.Marshal(x.capabilities)
		if err != nil { // cannot be: they were decoded from JSON
			capabilities = []byte("{}")
		}
		meta = append(meta, `"`+wire.MetaProtocolVersion+`":"`+wire.Revision20260728+`","`+wire.MetaClientCapabilities+`":`...)
		meta = append(meta, capabilities...)
		if x.logLevel != "" {
			meta = append(meta, `,"`+wire.MetaLogLevel+`":"`+string(x.logLevel)+`"`...)
		}
	}
	if x.progress != nil {
		if len(meta) > 1 {
			meta = append(meta, ',')
		}
		meta = append(meta, progressToken...)
	}
	return append(meta, '}')
}

// run hands one request to the catalog, under an id of our own. What the request
// sends meanwhile has been sent when run returns.
func (h *Handler) run(ctx context.Context, x *exchange, params, arguments json.RawMessage) (json.RawMessage, *fault) {
	if x.msg.Method == "server/discover" { // else mcp-go lists all that it knows
		ctx = server.WithSupportedProtocolVersions(ctx, wire.ServedRevisions())
	}
	id := strconv.AppendInt(nil, h.lastID.Add(1), 10)
	v := newView(h, x)
	response := h.cfg.Catalog.Handle(ctx, v, wire.AppendRequest(nil, id, x.msg.Method, params), arguments)
	v.close()
	switch response := response.(type) {
	case mcp.JSONRPCResponse:
		result, err := encode(response.Result)
		if err == nil {
			return result, nil
		}
		h.cfg.Logger.ErrorContext(ctx, "result cannot be encoded", slog.String("method", x.msg.Method), slog.Any("error", err))
	case mcp.JSONRPCError:
		return nil, h.rpcFault(ctx, x, response)
	default:
		h.cfg.Logger.ErrorContext(ctx, "request has no response", slog.String("method", x.msg.Method))
	}
	return nil, mistake
}

// encode is json.Marshal for what a tool has made, whose own methods may panic.
func encode(value any) (encoded json.RawMessage, err error) {
	defer func() {
		if v := recover(); v != nil {
			encoded, err = nil, fmt.Errorf("panic: %v", v)
		}
	}()
	return json.Marshal(value)
}

// rpcFault is an error of the catalog.
func (h *Handler) rpcFault(ctx context.Context, x *exchange, e mcp.JSONRPCError) *fault {
	code := e.Error.Code
	switch {
	case code == wire.CodeInvalidRequest: // as mcp-go calls what it cannot decode, with the names of its own types
		return invalidParams("the params are not those of " + x.msg.Method + ": look at the types, such as that of arguments")
	case x.msg.Method == "resources/read" && (code == mcp.RESOURCE_NOT_FOUND || code == wire.CodeInvalidParams):
		return noResource(x)
	case x.msg.Method == "completion/complete" && code == wire.CodeInternal:
		h.cfg.Logger.ErrorContext(ctx, "completion failed", slog.String("error", e.Error.Message))
		return &fault{status: http.StatusOK, code: code, message: "the completion failed; the reason is in the gateway's log"}
	}
	f := &fault{status: http.StatusOK, code: code, message: e.Error.Message}
	if e.Error.Data != nil {
		f.data, _ = encode(e.Error.Data) // without it, if it has no JSON form
	}
	return f
}

// noResource is the fault of a request for a resource that is not there: it has a
// code of its own up to 2025-11-25 (server/resources, Error Handling).
func noResource(x *exchange) *fault {
	f := invalidParams("there is no such resource")
	if x.era == wire.EraLegacy {
		f.code = mcp.RESOURCE_NOT_FOUND
	}
	if uri, ok := wire.Member(x.msg.Params, "uri"); ok {
		f.data = append(append([]byte(`{"uri":`), uri...), '}')
	}
	return f
}
