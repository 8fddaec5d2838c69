package mcphttp

import (
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"mcp-gateway/gateway/internal/access"
	"mcp-gateway/shared/wire"
)

// gate knows which hosts this gateway answers to and which origins' pages may
// call it. A page of another origin that made its name resolve to us (DNS
// rebinding) sends its own name as Host and its own origin.
type gate struct {
	hosts   []string
	origins []string
}

func newGate(public *url.URL, hosts, origins []string) gate {
	return gate{
		hosts:   append([]string{public.Host}, hosts...),
		origins: append([]string{public.Scheme + "://" + public.Host}, origins...),
	}
}

func (g gate) allowsHost(host string) bool {
	return slices.ContainsFunc(g.hosts, func(h string) bool { return strings.EqualFold(h, host) }) || isLoopback(host)
}

func (g gate) allowsOrigin(origin string) bool {
	if slices.ContainsFunc(g.origins, func(o string) bool { return strings.EqualFold(o, origin) }) {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.User == nil &&
		u.Path == "" && u.RawQuery == "" && u.Fragment == "" && isLoopback(u.Host)
}

// isLoopback reports whether a host[:port] is this machine by name or number.
func isLoopback(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return strings.EqualFold(host, "localhost") || host == "127.0.0.1" || host == "::1"
}

// CheckOrigin refuses other hosts and origins before anything else is looked
// at, and does CORS for the allowed ones: "servers MUST validate the Origin
// header", and an invalid one gets 403 (MCP 2025-11-25, Streamable HTTP).
func (h *Handler) CheckOrigin(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !h.gate.allowsHost(r.Host) {
			write(w, fault(http.StatusForbidden, nil, wire.CodeInvalidRequest,
				"this gateway does not answer to that Host; an administrator can add it to allowed_hosts"))
			return
		}
		origins := r.Header.Values("Origin")
		w.Header().Add("Vary", "Origin")
		if len(origins) > 0 {
			if len(origins) > 1 || !h.gate.allowsOrigin(origins[0]) {
				write(w, fault(http.StatusForbidden, nil, wire.CodeInvalidRequest,
					"pages of that Origin may not call this gateway; an administrator can add it to allowed_origins"))
				return
			}
			w.Header().Set("Access-Control-Allow-Origin", origins[0])
			w.Header().Set("Access-Control-Expose-Headers", "WWW-Authenticate, Mcp-Session-Id, MCP-Protocol-Version, Retry-After")
		}
		if r.Method == http.MethodOptions {
			preflight(w)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// preflight answers a CORS preflight (Fetch standard §3.2.2). It is before the
// bearer check because browsers send none with it.
func preflight(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", "POST, GET, DELETE, OPTIONS")
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Accept, Last-Event-ID, MCP-Protocol-Version, Mcp-Session-Id, Mcp-Method, Mcp-Name")
	h.Set("Access-Control-Max-Age", "7200")
	w.WriteHeader(http.StatusNoContent)
}

// slots bounds how many requests of one person run at once.
type slots struct {
	bound int
	mu    sync.Mutex
	// guards below
	taken map[string]int
}

func person(p *access.Principal) string { return p.Tenant + "/" + p.Object }

func (s *slots) take(p *access.Principal) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken[person(p)] >= s.bound {
		return false
	}
	s.taken[person(p)]++
	return true
}

func (s *slots) release(p *access.Principal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken[person(p)]--; s.taken[person(p)] == 0 {
		delete(s.taken, person(p))
	}
}
