package app_test

import (
	"context"
	"database/sql"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"mcp-gateway/gateway/internal/store"
	"mcp-gateway/gateway/internal/store/sqlite"
)

func TestChallenges(t *testing.T) {
	t.Parallel()
	g := start(t, "")
	clientID, tokens := g.grant("Ada")
	_ = clientID
	for _, tt := range []struct {
		name   string
		header http.Header
		status int
		wants  []string
		lacks  string
	}{
		{"no token", nil, 401, []string{`resource_metadata="` + g.url + `/.well-known/oauth-protected-resource/mcp"`, `scope="mcp"`}, "error="},
		{"basic credentials", http.Header{"Authorization": {"Basic eDp5"}}, 401, []string{"resource_metadata="}, "error="},
		{"an invented token", http.Header{"Authorization": {"Bearer mcpat_x"}}, 401, []string{`error="invalid_token"`, "resource_metadata="}, ""},
		{"a refresh token", http.Header{"Authorization": {"Bearer " + tokens.RefreshToken}}, 401, []string{`error="invalid_token"`}, ""},
		{"two headers", http.Header{"Authorization": {"Bearer " + tokens.AccessToken, "Bearer x"}}, 400, []string{`error="invalid_request"`}, ""},
		{"two tokens in one header", http.Header{"Authorization": {"Bearer " + tokens.AccessToken + ", Bearer x"}}, 400, []string{`error="invalid_request"`}, ""},
		{"an evil origin, even with a token", http.Header{"Authorization": {"Bearer " + tokens.AccessToken}, "Origin": {"https://evil.example"}}, 403, nil, "resource_metadata"},
		{"a null origin", http.Header{"Origin": {"null"}}, 403, nil, "resource_metadata"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			resp, body := g.post("", `{"jsonrpc":"2.0","id":1,"method":"ping"}`, tt.header)
			challenge := resp.Header.Get("WWW-Authenticate")
			if resp.StatusCode != tt.status {
				t.Errorf("status %d, want %d: %s", resp.StatusCode, tt.status, body)
			}
			for _, want := range tt.wants {
				if !strings.Contains(challenge, want) {
					t.Errorf("challenge %q lacks %s", challenge, want)
				}
			}
			if tt.lacks != "" && strings.Contains(challenge, tt.lacks) {
				t.Errorf("challenge %q has %s", challenge, tt.lacks)
			}
		})
	}
	t.Run("a token in the query is none", func(t *testing.T) {
		resp, err := http.Post(g.url+"/mcp?access_token="+tokens.AccessToken, "application/json", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("status %d", resp.StatusCode)
		}
	})
	t.Run("the slash form has a document of its own", func(t *testing.T) {
		resp, err := http.Post(g.url+"/mcp/", "application/json", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if got := resp.Header.Get("WWW-Authenticate"); !strings.Contains(got, `/oauth-protected-resource/mcp/"`) {
			t.Errorf("challenge %q", got)
		}
	})
	t.Run("a browser page on loopback may call", func(t *testing.T) {
		resp, _ := g.post("", "{}", http.Header{"Origin": {"http://localhost:6274"}})
		if resp.StatusCode != 401 || resp.Header.Get("Access-Control-Allow-Origin") != "http://localhost:6274" ||
			!strings.Contains(resp.Header.Get("Access-Control-Expose-Headers"), "WWW-Authenticate") {
			t.Errorf("status %d, headers %v", resp.StatusCode, resp.Header)
		}
	})
	t.Run("an evil host is refused", func(t *testing.T) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.url+"/mcp", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		req.Host = "evil.example"
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusForbidden {
			t.Errorf("status %d", resp.StatusCode)
		}
	})
}

// trail stops the gateway and returns what it wrote down.
func (g *gateway) trail() []store.Event {
	g.t.Helper()
	if err := g.stop(); err != nil {
		g.t.Fatal(err)
	}
	db, err := sqlite.Open(g.t.Context(), filepath.Join(g.dir, "gateway.db"))
	if err != nil {
		g.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	events, err := db.Events(g.t.Context(), 0, 100)
	if err != nil {
		g.t.Fatal(err)
	}
	return events
}

// TestTheTrailTellsTheStory reads the audit trail after one of each.
func TestTheTrailTellsTheStory(t *testing.T) {
	t.Parallel()
	g := start(t, "")
	_, nora := g.grant("Nora")
	if _, body := g.callModern(nora.AccessToken, "math_add", `{"a":1,"b":2}`); !strings.Contains(body, "may not call it") {
		t.Errorf("no denial: %s", body)
	}
	if _, body := g.callModern(nora.AccessToken, "whoami", `{}`); !strings.Contains(body, "Nora") {
		t.Errorf("whoami: %s", body)
	}
	var story []string
	for _, e := range g.trail() {
		story = append(story, strings.Join([]string{e.Kind, e.Outcome, e.Reason, e.Tool}, " "))
		if e.Kind != "login" && e.GrantID == "" || e.Object == "" || e.Address != "127.0.0.1" || !strings.HasPrefix(e.Client, "Test client ") {
			t.Errorf("event %+v lacks something", e)
		}
	}
	want := "login ok  |grant ok authorization_code |call denied no_rule math_add|call ok everybody whoami"
	if got := strings.Join(story, "|"); got != want {
		t.Errorf("the trail tells\n%s, want\n%s", got, want)
	}
}

// TestCallsStopWhenTheTrailCannotBeWritten breaks the audit table under a
// running gateway.
func TestCallsStopWhenTheTrailCannotBeWritten(t *testing.T) {
	t.Parallel()
	g := start(t, "")
	_, ada := g.grant("Ada")
	breakTrail(t, filepath.Join(g.dir, "gateway.db"), `CREATE TRIGGER full BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'disk full'); END`)
	for _, tool := range []string{"whoami", "whoami", "no_such_tool"} {
		resp, body := g.callModern(ada.AccessToken, tool, `{}`)
		if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" || !strings.Contains(body, "audit trail") {
			t.Errorf("%s: status %d: %s", tool, resp.StatusCode, body)
		}
	}
	if resp, _ := g.post(ada.AccessToken, `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{`+modernMeta+`}}`,
		http.Header{"Mcp-Protocol-Version": {"2026-07-28"}, "Mcp-Method": {"tools/list"}}); resp.StatusCode != http.StatusOK {
		t.Errorf("a list, which needs no row: status %d", resp.StatusCode)
	}
	breakTrail(t, filepath.Join(g.dir, "gateway.db"), `DROP TRIGGER full`)
	if resp, body := g.callModern(ada.AccessToken, "whoami", `{}`); resp.StatusCode != http.StatusOK {
		t.Errorf("the trail works again and calls do not: status %d: %s", resp.StatusCode, body)
	}
}

func breakTrail(t *testing.T, path, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", path+"?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(context.WithoutCancel(t.Context()), statement); err != nil {
		t.Fatal(err)
	}
}

// testAStoreOutageIsNeverAnInvalidGrant: the tokens are good, the store is not.
func testAStoreOutageIsNeverAnInvalidGrant(t *testing.T) {
	t.Parallel()
	g := start(t, "")
	clientID, ada := g.grant("Ada")
	path := filepath.Join(g.dir, "gateway.db")
	breakTrail(t, path, `ALTER TABLE grants RENAME TO hidden`)
	if got := g.refresh(clientID, ada.RefreshToken); got.status != http.StatusServiceUnavailable || got.Error != "temporarily_unavailable" {
		t.Errorf("refresh: %d %s", got.status, got.Error)
	}
	if resp, _ := g.callModern(ada.AccessToken, "whoami", `{}`); resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("WWW-Authenticate") != "" {
		t.Errorf("call: status %d, challenge %q", resp.StatusCode, resp.Header.Get("WWW-Authenticate"))
	}
	breakTrail(t, path, `ALTER TABLE hidden RENAME TO grants`)
	if got := g.refresh(clientID, ada.RefreshToken); got.status != http.StatusOK {
		t.Errorf("after the outage: %d %s", got.status, got.Error)
	}
}

func TestHealthAndFrontPage(t *testing.T) {
	t.Parallel()
	g := start(t, "")
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/": 200, "/nowhere": 404, "/mcp/nowhere": 404} {
		resp, err := http.Get(g.url + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: status %d, want %d", path, resp.StatusCode, want)
		}
	}
}
