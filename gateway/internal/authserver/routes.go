package authserver

import (
	"net/http"
	"slices"

	"mcp-gateway/gateway/internal/route"
)

// Routes are the endpoints with their policies.
func (s *Server) Routes() []route.Route {
	limits := s.cfg.Limits
	// Revocations and introspections share the limit of the token endpoint.
	routes := slices.Concat(s.metadata(),
		callable("POST", "/register", forClients(limits.Register), s.handle(s.register)),
		callable("POST", "/token", forClients(limits.Token), s.handle(s.token)),
		callable("POST", "/revoke", forClients(limits.Token), s.handle(s.revoke)),
		[]route.Route{
			{Pattern: "GET /authorize", Policy: forBrowsers(limits.Authorize), Handler: http.HandlerFunc(s.authorize)},
			{Pattern: "POST /consent", Policy: forBrowsers(limits.Authorize), Handler: http.HandlerFunc(s.consent)},
			{Pattern: "GET /callback", Policy: forBrowsers(limits.Authorize), Handler: http.HandlerFunc(s.callback)},
		})
	if s.cfg.DeviceSignIn {
		routes = append(routes, callable("POST", "/device_authorization", forClients(limits.Device), s.handle(s.authorizeDevice))...)
		routes = append(routes,
			route.Route{Pattern: "GET " + DevicePath, Policy: forBrowsers(limits.Authorize), Handler: http.HandlerFunc(s.devicePage)},
			route.Route{Pattern: "POST " + DevicePath, Policy: forBrowsers(limits.Authorize), Handler: http.HandlerFunc(s.findDevice)})
	}
	if s.cfg.Introspection {
		server := route.Policy{Name: "resource server", Guard: limits.Token}
		routes = append(routes, route.Route{Pattern: "POST /introspect", Policy: server, Handler: s.handle(s.introspect)})
	}
	return routes
}

// callable is an endpoint that pages may call too, with its preflight.
func callable(method, path string, policy route.Policy, handler http.Handler) []route.Route {
	return []route.Route{
		{Pattern: method + " " + path, Policy: policy, Handler: handler},
		{Pattern: "OPTIONS " + path, Policy: forAll, Handler: http.HandlerFunc(preflight)},
	}
}

// forAll is the policy of what is the same for everybody: pages of any origin may
// read it.
var forAll = route.Policy{Name: "public", Guard: anyOrigin}

// forClients is the policy of endpoints that check the client themselves, within a
// limit. Pages of any origin may call them, because nothing rests on cookies.
func forClients(limit func(http.Handler) http.Handler) route.Policy {
	return route.Policy{Name: "client", Guard: func(next http.Handler) http.Handler { return anyOrigin(limit(next)) }}
}

// forBrowsers is the policy of pages: they rest on a cookie, so no other site's page may
// post to them, and none gets CORS (OAuth 2.1 §3.1: /authorize "MUST NOT").
func forBrowsers(limit func(http.Handler) http.Handler) route.Policy {
	sameSite := http.NewCrossOriginProtection()
	return route.Policy{Name: "browser", Guard: func(next http.Handler) http.Handler { return limit(sameSite.Handler(next)) }}
}

// anyOrigin lets pages of any origin read the answer. It is for what rests on
// nothing that a browser adds by itself (no cookies).
func anyOrigin(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		next.ServeHTTP(w, r)
	})
}

// preflight answers a CORS preflight (Fetch standard §3.2.2). "*" does not
// cover Authorization, so it is named.
func preflight(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", "GET, POST, OPTIONS")
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, MCP-Protocol-Version")
	h.Set("Access-Control-Max-Age", "86400")
	w.WriteHeader(http.StatusNoContent)
}
