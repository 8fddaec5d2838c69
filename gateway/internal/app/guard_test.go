package app_test

import (
	"net/http"
	"strings"
	"testing"
)

// TestEveryTransportAsksForAToken: no endpoint and no method of MCP is served to
// nobody, and each says where to sign in.
func TestEveryTransportAsksForAToken(t *testing.T) {
	t.Parallel()
	g := start(t, "")
	for _, path := range []string{"/mcp", "/mcp/", "/sse", "/sse/", "/sse/messages", "/sse/messages?session_id=x"} {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete, http.MethodPut} {
			for what, header := range map[string]string{"nothing": "", "a wrong token": "Bearer mcpat_x", "another scheme": "Basic eDp5"} {
				req, err := http.NewRequestWithContext(t.Context(), method, g.url+path, strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`))
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Content-Type", "application/json")
				req.Header.Set("Accept", "application/json, text/event-stream")
				if header != "" {
					req.Header.Set("Authorization", header)
				}
				resp, err := http.DefaultClient.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				_ = resp.Body.Close()
				if challenge := resp.Header.Get("WWW-Authenticate"); resp.StatusCode != http.StatusUnauthorized || !strings.Contains(challenge, "resource_metadata=") {
					t.Errorf("%s %s with %s: status %d, challenge %q", method, path, what, resp.StatusCode, challenge)
				}
			}
		}
	}
}
