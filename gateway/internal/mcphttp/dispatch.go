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
	// text lists the members of params that are handed on; all are optional
	// strings to mcp-go. Nothing else of the client's params reaches it.
	text []string
}

// methods is all that is served. Whatever is not in it does not exist,
// although mcp-go would answer more: what is not advertised is not served.
var methods = map[string]method{
	"ping":            {legacy: true},
	"server/discover": {modern: true},
	"tools/list":      {legacy: true, modern: true, text: []string{"cursor"}},
	"tools/call":      {legacy: true, modern: true, text: []string{"name"}},
}

// modernMeta makes a request modern to mcp-go. The client's own _meta stays
// outside: it was checked, nothing served reads more of it, and mcp-go takes a
// request for a legacy one if it cannot decode a number in there.
const modernMeta = `"_meta":{"` + wire.MetaProtocolVersion + `":"` + wire.Revision20260728 + `","` +
	wire.MetaClientCapabilities + `":{}}`

// dispatch is the one way of every request, of either era, to the catalog.
func (h *Handler) dispatch(ctx context.Context, x *exchange) answer {
	m, ok := methods[x.msg.Method]
	if !ok || x.era == wire.EraLegacy && !m.legacy || x.era == wire.EraModern && !m.modern {
		return failed(x, &fault{
			status: http.StatusOK, code: wire.CodeMethodNotFound,
			message: fmt.Sprintf("method %.80q does not exist", x.msg.Method),
		})
	}
	params, f := m.params(x)
	if f != nil {
		return failed(x, f)
	}
	var result json.RawMessage
	if x.msg.Method == "tools/call" {
		result, f = h.call(ctx, x, params)
	} else {
		result, f = h.run(ctx, x.msg.Method, params, nil)
	}
	if f != nil {
		return failed(x, f)
	}
	return answer{status: http.StatusOK, body: wire.AppendResult(nil, x.msg.ID, result)}
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
func (m method) params(x *exchange) (json.RawMessage, *fault) {
	params := []byte{'{'}
	if x.era == wire.EraModern {
		params = append(params, modernMeta...)
	}
	for _, name := range m.text {
		value, ok := wire.Member(x.msg.Params, name)
		if !ok {
			continue
		}
		if value[0] != '"' {
			return nil, invalidParams("params." + name + " is not a string")
		}
		if len(params) > 1 {
			params = append(params, ',')
		}
		params = wire.AppendString(params, name)
		params = append(params, ':')
		params = append(params, value...)
	}
	return append(params, '}'), nil
}

// run hands one request to the catalog, under an id of our own.
func (h *Handler) run(ctx context.Context, method string, params, arguments json.RawMessage) (json.RawMessage, *fault) {
	if method == "server/discover" { // else mcp-go lists all that it knows
		ctx = server.WithSupportedProtocolVersions(ctx, wire.ServedRevisions())
	}
	id := strconv.AppendInt(nil, h.lastID.Add(1), 10)
	switch response := h.cfg.Catalog.Handle(ctx, wire.AppendRequest(nil, id, method, params), arguments).(type) {
	case mcp.JSONRPCResponse:
		result, err := json.Marshal(response.Result)
		if err == nil {
			return result, nil
		}
		h.cfg.Logger.ErrorContext(ctx, "result cannot be encoded", slog.String("method", method), slog.Any("error", err))
	case mcp.JSONRPCError:
		return nil, &fault{status: http.StatusOK, code: response.Error.Code, message: response.Error.Message}
	default:
		h.cfg.Logger.ErrorContext(ctx, "request has no response", slog.String("method", method))
	}
	return nil, &fault{status: http.StatusOK, code: wire.CodeInternal, message: "the gateway made a mistake; it is in its log"}
}
