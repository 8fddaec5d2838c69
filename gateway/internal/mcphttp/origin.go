package mcphttp

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"mcp-gateway/shared/wire"
)

// origins are the Host and Origin headers that are let through. They keep web
// pages of others out, also those that make their own name resolve to this
// machine (DNS rebinding): "Servers MUST validate the Origin header".
type origins struct {
	// hosts has host names, good with any port, and host:port pairs.
	hosts map[string]bool
	// pages has origins, as browsers write them.
	pages map[string]bool
}

func newOrigins(cfg Config) (origins, error) {
	o := origins{hosts: make(map[string]bool), pages: make(map[string]bool)}
	public, err := parseOrigin(cfg.PublicURL)
	if err != nil {
		return origins{}, fmt.Errorf("public URL: %w", err)
	}
	// Any port: what matters is whose name it is, and proxies change ports.
	o.hosts[strings.ToLower(public.Hostname())] = true
	o.pages[public.Scheme+"://"+strings.ToLower(public.Host)] = true
	for _, host := range cfg.AllowedHosts {
		o.hosts[strings.ToLower(host)] = true
	}
	for _, page := range cfg.AllowedOrigins {
		u, err := parseOrigin(page)
		if err != nil {
			return origins{}, fmt.Errorf("allowed origin: %w", err)
		}
		o.pages[u.Scheme+"://"+strings.ToLower(u.Host)] = true
	}
	return o, nil
}

// parseOrigin reads scheme://host[:port] and nothing more.
func parseOrigin(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" ||
		!strings.EqualFold(u.Scheme+"://"+u.Host, text) {
		return nil, fmt.Errorf("%.100q is not of the form https://host[:port]", text)
	}
	return u, nil
}

// allowsHost checks a Host header.
func (o origins) allowsHost(hostport string) bool {
	hostport = strings.ToLower(hostport)
	host, _, err := net.SplitHostPort(hostport)
	if err != nil { // without a port
		host = strings.TrimSuffix(strings.TrimPrefix(hostport, "["), "]")
	}
	return o.hosts[hostport] || o.hosts[host] || loopback(host)
}

// allowsOrigin checks an Origin header. "null", which sandboxed pages and
// files send, is nobody's.
func (o origins) allowsOrigin(origin string) bool {
	if o.pages[strings.ToLower(origin)] {
		return true
	}
	u, err := parseOrigin(origin)
	return err == nil && loopback(strings.ToLower(u.Hostname()))
}

// loopback tells a page of this machine: Inspector and the like.
func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

// CheckOrigin lets through to next what has an allowed Host and, if any, an
// allowed Origin; all else is 403. It comes before the bearer check, answers
// the CORS preflight, which has no token, and lets allowed pages read answers.
func (h *Handler) CheckOrigin(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !h.origins.allowsHost(r.Host) {
			forbidden(fmt.Sprintf("the host %.100q is not this gateway's", r.Host)).write(w)
			return
		}
		header := w.Header()
		header.Add("Vary", "Origin")
		pages := r.Header["Origin"]
		if len(pages) == 0 { // not from a browser, or from its own page
			next.ServeHTTP(w, r)
			return
		}
		if len(pages) > 1 || !h.origins.allowsOrigin(pages[0]) {
			forbidden(fmt.Sprintf("the origin %.100q is not allowed", pages[0])).write(w)
			return
		}
		header.Set("Access-Control-Allow-Origin", pages[0])
		header.Set("Access-Control-Expose-Headers", "Mcp-Session-Id, WWW-Authenticate, Retry-After")
		if r.Method == http.MethodOptions {
			header.Set("Access-Control-Allow-Methods", "GET, POST, DELETE")
			header.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Accept, "+
				"Mcp-Protocol-Version, Mcp-Session-Id, Mcp-Method, Mcp-Name, Last-Event-ID"+paramHeaders(r.Header))
			header.Set("Access-Control-Max-Age", "600")
			w.WriteHeader(http.StatusNoContent)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// forbidden carries no id: the message was not read.
func forbidden(message string) answer {
	return (&fault{status: http.StatusForbidden, code: wire.CodeInvalidRequest, message: message}).answer(nil)
}
