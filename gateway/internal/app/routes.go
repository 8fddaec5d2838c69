package app

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"mcp-gateway/gateway/internal/authserver"
	"mcp-gateway/gateway/internal/config"
	"mcp-gateway/gateway/internal/mcphttp"
	"mcp-gateway/gateway/internal/page"
	"mcp-gateway/gateway/internal/resource"
	"mcp-gateway/gateway/internal/route"
	"mcp-gateway/gateway/internal/store/sqlite"
	"mcp-gateway/gateway/internal/token"
	"mcp-gateway/shared/buildinfo"
)

// transports are the endpoints of MCP: for who has a token, and for pages of allowed
// origins.
func transports(cfg *config.Config, mcp *mcphttp.Handler, tokens *token.Service, logger *slog.Logger) (routes []route.Route) {
	for _, endpoint := range []struct {
		pattern, resource string
		handler           http.Handler
	}{
		{"/mcp", "/mcp", mcp}, {"/mcp/{$}", "/mcp/", mcp},
		{"/sse", "/sse", mcp.SSE()}, {"/sse/{$}", "/sse/", mcp.SSE()}, {mcphttp.MessagesPath, "/sse", mcp.SSE()},
	} {
		guard := resource.NewGuard(resource.Config{
			PublicURL: cfg.PublicURL, Path: endpoint.resource, Scope: authserver.ScopeMCP, Verifier: tokens, Logger: logger,
		})
		policy := route.Policy{Name: "token", Guard: func(next http.Handler) http.Handler { return mcp.CheckOrigin(guard.Protect(next)) }}
		routes = append(routes, route.Route{Pattern: endpoint.pattern, Policy: policy, Handler: endpoint.handler})
	}
	return routes
}

// plainRoutes are the front page, and the probes of an orchestrator: alive while the
// process serves, ready while the store answers.
func plainRoutes(cfg *config.Config, host string, db *sqlite.Store) []route.Route {
	front := func(w http.ResponseWriter, _ *http.Request) {
		page.WriteFront(w, page.Front{Gateway: host, MCP: cfg.PublicURL + "/mcp", Version: buildinfo.Version()})
	}
	alive := func(w http.ResponseWriter, _ *http.Request) { plain(w, http.StatusOK, "ok\n") }
	ready := func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
		defer cancel()
		if _, err := db.Events(ctx, 0, 1); err != nil {
			plain(w, http.StatusServiceUnavailable, "the store does not answer\n")
			return
		}
		plain(w, http.StatusOK, "ok\n")
	}
	return []route.Route{
		{Pattern: "GET /{$}", Policy: route.Open, Handler: http.HandlerFunc(front)},
		{Pattern: "GET /healthz", Policy: route.Open, Handler: http.HandlerFunc(alive)},
		{Pattern: "GET /readyz", Policy: route.Open, Handler: http.HandlerFunc(ready)},
	}
}

func plain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text))
}
