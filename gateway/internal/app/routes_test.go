package app

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// served is every path of a gateway with everything on, by policy. Whoever adds one
// says here who may use it.
var served = map[string][]string{
	"open": {"GET /healthz", "GET /readyz", "GET /{$}"},
	"public": {
		"GET /.well-known/oauth-authorization-server", "GET /.well-known/openid-configuration",
		"GET /.well-known/oauth-protected-resource", "GET /.well-known/oauth-protected-resource/{$}",
		"GET /.well-known/oauth-protected-resource/mcp", "GET /.well-known/oauth-protected-resource/mcp/{$}",
		"GET /.well-known/oauth-protected-resource/sse", "GET /.well-known/oauth-protected-resource/sse/{$}",
		"OPTIONS /.well-known/oauth-authorization-server", "OPTIONS /.well-known/openid-configuration",
		"OPTIONS /.well-known/oauth-protected-resource", "OPTIONS /.well-known/oauth-protected-resource/{$}",
		"OPTIONS /.well-known/oauth-protected-resource/mcp", "OPTIONS /.well-known/oauth-protected-resource/mcp/{$}",
		"OPTIONS /.well-known/oauth-protected-resource/sse", "OPTIONS /.well-known/oauth-protected-resource/sse/{$}",
		"OPTIONS /device_authorization", "OPTIONS /register", "OPTIONS /revoke", "OPTIONS /token",
	},
	"client":          {"POST /device_authorization", "POST /register", "POST /revoke", "POST /token"},
	"resource server": {"POST /introspect"},
	"browser":         {"GET /authorize", "GET /callback", "GET /device", "POST /consent", "POST /device"},
	"microsoft":       {"GET /logout/microsoft"},
	"token":           {"/mcp", "/mcp/{$}", "/sse", "/sse/{$}", "/sse/messages"},
}

// stranger is what somebody without any right asks, and the answer.
type stranger struct {
	method string
	answer *http.Response
}

// proofs say what must hold of every path with a policy, whatever is behind it.
var proofs = map[string]func(stranger) string{
	"open": func(s stranger) string {
		return expect(s.answer.StatusCode == http.StatusOK && s.answer.Header.Get("Access-Control-Allow-Origin") == "", "is not simply served")
	},
	"public": func(s stranger) string {
		return expect(s.answer.StatusCode < 300 && s.answer.Header.Get("Access-Control-Allow-Origin") == "*" && len(s.answer.Cookies()) == 0,
			"is not the same for everybody")
	},
	"client": func(s stranger) string {
		return expect(s.answer.StatusCode >= 400 && s.answer.StatusCode < 500 && s.answer.Header.Get("Access-Control-Allow-Origin") == "*", "was not refused")
	},
	"resource server": func(s stranger) string {
		return expect((s.answer.StatusCode == http.StatusUnauthorized || s.answer.StatusCode == http.StatusBadRequest) && s.answer.Header.Get("Access-Control-Allow-Origin") == "", "was not refused")
	},
	// The stranger is a page of another site. It may send people to a page, which
	// then knows nothing of them.
	"browser": func(s stranger) string {
		return expect(s.answer.Header.Get("Access-Control-Allow-Origin") == "" && len(s.answer.Cookies()) == 0 &&
			(s.method == http.MethodGet || s.answer.StatusCode == http.StatusForbidden), "was not refused")
	},
	// It knows no session.
	"microsoft": func(s stranger) string {
		return expect(s.answer.StatusCode == http.StatusBadRequest && s.answer.Header.Get("Access-Control-Allow-Origin") == "", "was not refused")
	},
	"token": func(s stranger) string {
		return expect(s.answer.StatusCode == http.StatusForbidden, "a page of another site was not refused")
	},
}

func expect(ok bool, otherwise string) string {
	if ok {
		return ""
	}
	return otherwise
}

// TestEveryRouteHasItsPolicy compares the table of routes with who may use what, and
// asks each as a page of another site, which has no right to anything.
func TestEveryRouteHasItsPolicy(t *testing.T) {
	t.Parallel()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("resource-server-0123456789-0123456789"), 0o600); err != nil {
		t.Fatal(err)
	}
	g, _, _ := assemble(t, benchConfig+fmt.Sprintf("clients: {device_sign_in: true}\nresource_servers: [{id: crm, secret_file: %q}]\n", secret))
	got := make(map[string][]string)
	for _, r := range g.routes {
		got[r.Policy.Name] = append(got[r.Policy.Name], r.Pattern)
	}
	want := maps.Clone(served)
	for _, patterns := range []map[string][]string{got, want} {
		for policy := range patterns {
			patterns[policy] = slices.Sorted(slices.Values(patterns[policy]))
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("routes by policy (-want +got):\n%s", diff)
	}
	for policy, patterns := range served {
		for _, pattern := range patterns {
			methods := []string{http.MethodGet, http.MethodPost, http.MethodDelete, http.MethodPut, http.MethodOptions}
			method, path, one := strings.Cut(strings.TrimSuffix(pattern, "{$}"), " ")
			if one {
				methods = []string{method}
			} else {
				path = method
			}
			for _, method := range methods {
				answer := ask(g.handler, method, path)
				if wrong := proofs[policy](stranger{method, answer}); wrong != "" {
					t.Errorf("%s %s, for %q: %s: status %d, %v", method, path, policy, wrong, answer.StatusCode, answer.Header)
				}
			}
		}
	}
}

// ask is a request of a page of another site.
func ask(h http.Handler, method, path string) *http.Response {
	req := httptest.NewRequest(method, "http://localhost:1"+path, strings.NewReader("{}"))
	req.Header.Set("Origin", "https://evil.example")
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	req.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	return w.Result()
}
