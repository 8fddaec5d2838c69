// Package catalog is the registry of tools on mcp-go's MCPServer. It owns
// which tools there are and that lists show only what may be called. It refuses
// to own transports and to decide who may call what: that is package access.
package catalog

import (
	"context"
	"encoding/json"
	"log/slog"
	"runtime/debug"
	"slices"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"mcp-gateway/gateway/internal/access"
)

// Config is what a Catalog is made of; all of it is needed.
type Config struct {
	Policy *access.Policy
	// Version of the gateway, told to clients.
	Version string
	Logger  *slog.Logger
}

// New returns a server with the built-in tools, ready for HandleMessage with a
// principal in the context.
func New(cfg Config) *server.MCPServer {
	s := server.NewMCPServer("mcp-gateway", cfg.Version,
		server.WithTitle("MCP gateway"),
		server.WithInstructions("Tools of your company. You see the ones you may call; whoami says who you are signed in as."),
		// No list changes while the gateway runs, so none is announced.
		server.WithToolCapabilities(false),
		// What is listed depends on who asks.
		server.WithCacheHints(0, mcp.CacheScopePrivate),
		server.WithToolFilter(func(ctx context.Context, tools []mcp.Tool) []mcp.Tool {
			p := access.PrincipalFrom(ctx)
			return slices.DeleteFunc(slices.Clone(tools), func(t mcp.Tool) bool { return !cfg.Policy.Decide(p, t.Name).Allowed })
		}),
		server.WithToolHandlerMiddleware(recovered(cfg.Logger)),
	)
	s.AddTools(slices.Concat(mathTools(), []server.ServerTool{whoami()})...)
	return s
}

type argumentsKey struct{}

// WithArguments returns a context that carries a call's arguments as the client
// wrote them. mcp-go would decode them into float64, which rounds large
// integers and refuses what is beyond 1e308, so it is given none.
func WithArguments(ctx context.Context, raw json.RawMessage) context.Context {
	return context.WithValue(ctx, argumentsKey{}, raw)
}

// Arguments returns the call's arguments: the one place where tools read them.
func Arguments(ctx context.Context) json.RawMessage {
	raw, _ := ctx.Value(argumentsKey{}).(json.RawMessage)
	return raw
}

// recovered turns a panic of a tool into a failed call: the stack goes to the
// log and nothing of it to the client.
func recovered(logger *slog.Logger) server.ToolHandlerMiddleware {
	return func(next server.ToolHandlerFunc) server.ToolHandlerFunc {
		return func(ctx context.Context, req mcp.CallToolRequest) (result *mcp.CallToolResult, err error) {
			defer func() {
				if p := recover(); p != nil {
					logger.ErrorContext(ctx, "tool panicked", slog.String("tool", req.Params.Name),
						slog.Any("value", p), slog.String("stack", string(debug.Stack())))
					result, err = mcp.NewToolResultError("the tool failed; the gateway's log has the cause"), nil
				}
			}()
			return next(ctx, req)
		}
	}
}

// readOnly are the annotations of tools that compute and touch nothing.
func readOnly(title string) mcp.ToolAnnotation {
	return mcp.ToolAnnotation{
		Title: title, ReadOnlyHint: new(true), DestructiveHint: new(false),
		IdempotentHint: new(true), OpenWorldHint: new(false),
	}
}

// tool makes one tool of raw schemas: they reach clients as they stand here.
func tool(name, title, description, input, output string, handler server.ToolHandlerFunc) server.ServerTool {
	t := mcp.NewToolWithRawSchema(name, description, json.RawMessage(input))
	t.Title = title
	t.RawOutputSchema = json.RawMessage(output)
	t.Annotations = readOnly(title)
	return server.ServerTool{Tool: t, Handler: handler}
}

// structured is a result in both forms: structuredContent for programs, text
// for everyone else.
func structured(raw json.RawMessage, text string) *mcp.CallToolResult {
	return &mcp.CallToolResult{
		Content:           []mcp.Content{mcp.NewTextContent(text)},
		StructuredContent: raw,
	}
}
