package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// errFailed is all that a client learns of a panic or an error: the text may name
// hosts, files or other people's data.
func errFailed(what string) error {
	return fmt.Errorf("the %s failed; the reason is in the gateway's log", what)
}

// contained runs a handler and keeps its failures inside.
func contained[T any](ctx context.Context, c *Catalog, what, name string, run func() (T, error)) (result T, err error) {
	defer func() {
		if p := recover(); p != nil {
			c.logger.ErrorContext(ctx, "handler panicked", slog.String(what, name),
				slog.Any("value", p), slog.String("stack", string(debug.Stack())))
			var none T
			result, err = none, errFailed(what)
		}
	}()
	if result, err = run(); err == nil {
		return result, nil
	}
	if ctx.Err() == nil { // else it only says that it was told to stop
		c.logger.ErrorContext(ctx, "handler failed", slog.String(what, name), slog.Any("error", err))
	}
	return result, errFailed(what)
}

// guarded hands a tool its arguments and keeps its failures inside.
func (c *Catalog) guarded(next server.ToolHandlerFunc) server.ToolHandlerFunc {
	return func(ctx context.Context, req mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		req.Params.RawArguments, _ = ctx.Value(argumentsKey{}).(json.RawMessage)
		return contained(ctx, c, "tool", req.Params.Name, func() (*mcp.CallToolResult, error) { return next(ctx, req) })
	}
}

// guardedPrompt is guarded for prompts.
func (c *Catalog) guardedPrompt(next server.PromptHandlerFunc) server.PromptHandlerFunc {
	return func(ctx context.Context, req mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
		return contained(ctx, c, "prompt", req.Params.Name, func() (*mcp.GetPromptResult, error) { return next(ctx, req) })
	}
}

// guardedResource is guarded for resources. One that is not there is no failure.
func (c *Catalog) guardedResource(next server.ResourceHandlerFunc) server.ResourceHandlerFunc {
	return func(ctx context.Context, req mcp.ReadResourceRequest) ([]mcp.ResourceContents, error) {
		notFound := false
		contents, err := contained(ctx, c, "resource", req.Params.URI, func() ([]mcp.ResourceContents, error) {
			contents, err := next(ctx, req)
			if notFound = errors.Is(err, server.ErrResourceNotFound); notFound {
				return nil, nil
			}
			return contents, err
		})
		if notFound {
			return nil, server.ErrResourceNotFound
		}
		return contents, err
	}
}
