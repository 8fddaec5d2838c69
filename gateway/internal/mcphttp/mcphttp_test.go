package mcphttp_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"mcp-gateway/gateway/internal/access"
	"mcp-gateway/gateway/internal/catalog"
	"mcp-gateway/gateway/internal/keyring"
	"mcp-gateway/gateway/internal/mcphttp"
	"mcp-gateway/gateway/internal/store"
)

// trail keeps events in memory, or fails.
type trail struct {
	mu     sync.Mutex
	events []store.Event
	err    error
}

func (a *trail) Ready(context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.err
}

func (a *trail) Append(_ context.Context, e store.Event) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err != nil {
		return a.err
	}
	a.events = append(a.events, e)
	return nil
}

// fixture is a handler whose bearer tokens are names of people.
type fixture struct {
	t     testing.TB
	h     http.Handler
	tools *server.MCPServer
	trail *trail
}

func newFixture(t testing.TB, change func(*mcphttp.Config)) *fixture {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys.json")
	if err := keyring.Create(path, time.Now()); err != nil {
		t.Fatal(err)
	}
	ring, err := keyring.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	policy, err := access.New([]access.Rule{{Name: "all", Subjects: []access.Subject{{Kind: access.KindTenant, Value: "*"}}, Tools: []string{"math_*", "whoami", "test_*"}}})
	if err != nil {
		t.Fatal(err)
	}
	logger := slog.New(slog.NewTextHandler(t.Output(), nil))
	f := &fixture{t: t, trail: &trail{}, tools: catalog.New(catalog.Config{Policy: policy, Version: "test", Logger: logger})}
	cfg := mcphttp.Config{
		Server: f.tools, Policy: policy, Audit: f.trail, Ring: ring, PublicURL: "https://gw.example", MaxBody: 4 << 10,
		CallTimeout: 5 * time.Second, MaxConcurrent: 4, SessionLifetime: time.Hour, Logger: logger,
		Address: func(*http.Request) netip.Addr { return netip.MustParseAddr("203.0.113.7") },
	}
	if change != nil {
		change(&cfg)
	}
	handler, err := mcphttp.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	f.h = handler.CheckOrigin(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if who := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "); who != "" {
			name, client, _ := strings.Cut(who, "@")
			r = r.WithContext(access.WithPrincipal(r.Context(), &access.Principal{
				Identity: store.Identity{Tenant: "t", Object: name}, ClientID: client, ClientName: "Test", GrantID: "g-" + name,
			}))
		}
		handler.ServeHTTP(w, r)
	}))
	return f
}

// send posts a message as somebody.
func (f *fixture) send(who, body string, header map[string]string) *httptest.ResponseRecorder {
	f.t.Helper()
	return f.do(http.MethodPost, who, body, header)
}

func (f *fixture) do(method, who, body string, header map[string]string) *httptest.ResponseRecorder {
	f.t.Helper()
	r := httptest.NewRequest(method, "https://gw.example/mcp", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	if who != "" {
		r.Header.Set("Authorization", "Bearer "+who)
	}
	for k, v := range header {
		r.Header.Set(k, v)
	}
	w := httptest.NewRecorder()
	f.h.ServeHTTP(w, r)
	return w
}

const initialize = `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"x","version":"1"}}}`

// session initializes as somebody and returns the session id.
func (f *fixture) session(who string) string {
	f.t.Helper()
	w := f.send(who, initialize, nil)
	id := w.Header().Get("Mcp-Session-Id")
	if w.Code != http.StatusOK || id == "" {
		f.t.Fatalf("initialize: %d %s", w.Code, w.Body)
	}
	return id
}

// modern is a message of 2026-07-28 with its headers.
func modern(id, method, params string) (string, map[string]string) {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"method":%q,"params":{%s"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`, id, method, params),
		map[string]string{"Mcp-Protocol-Version": "2026-07-28", "Mcp-Method": method}
}

// code is the JSON-RPC error code of an answer, or 0.
func code(t testing.TB, w *httptest.ResponseRecorder) int {
	t.Helper()
	var answer struct{ Error struct{ Code int } }
	if w.Body.Len() > 0 {
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
			t.Fatalf("answer %q: %v", w.Body, err)
		}
	}
	return answer.Error.Code
}

func TestModernCallKeepsIDsAndNumbers(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	body, header := modern("12345678901234567890", "tools/call", `"name":"math_add","arguments":{"a":9007199254740993,"b":0},`)
	header["Mcp-Name"] = "math_add"
	w := f.send("alice", body, header)
	for _, want := range []string{`"id":12345678901234567890`, `"result":9007199254740993`, `"resultType":"complete"`, `"io.modelcontextprotocol/serverInfo"`} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("the answer lacks %s: %s", want, w.Body)
		}
	}
	if w.Code != 200 || w.Header().Get("Content-Type") != "application/json" || w.Header().Get("Mcp-Session-Id") != "" {
		t.Errorf("status %d, headers %v", w.Code, w.Header())
	}
	header["Mcp-Name"] = "=?base64?bWF0aF9hZGQ=?="
	if w := f.send("alice", body, header); w.Code != 200 {
		t.Errorf("an encoded name: %d %s", w.Code, w.Body)
	}
}

func TestModernDiscoverAndLists(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	body, header := modern(`"d"`, "server/discover", "")
	w := f.send("alice", body, header)
	for _, want := range []string{`"supportedVersions":["2026-07-28","2025-11-25","2025-06-18"]`, `"cacheScope":"private"`, `"ttlMs":0`, `"resultType":"complete"`} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("discover lacks %s: %s", want, w.Body)
		}
	}
	body, header = modern("1", "tools/list", "")
	if w := f.send("alice", body, header); !strings.Contains(w.Body.String(), `"cacheScope":"private"`) {
		t.Errorf("a list that others may cache: %s", w.Body)
	}
}

func TestModernRefusals(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	const callParams = `"name":"math_add","arguments":{"a":1,"b":2},`
	for _, tt := range []struct {
		name           string
		method, params string
		edit           func(body string, header map[string]string) string
		status, code   int
	}{
		{name: "no version header", method: "tools/list", edit: func(b string, h map[string]string) string { delete(h, "Mcp-Protocol-Version"); return b }, status: 400, code: -32020},
		{name: "a version header that differs from the body", method: "tools/list", edit: func(b string, h map[string]string) string { h["Mcp-Protocol-Version"] = "2025-11-25"; return b }, status: 400, code: -32020},
		{name: "no version in the body", method: "tools/list", edit: func(b string, _ map[string]string) string {
			return strings.Replace(b, `"io.modelcontextprotocol/protocolVersion":"2026-07-28",`, "", 1)
		}, status: 400, code: -32602},
		{name: "an unknown revision", method: "tools/list", edit: func(b string, h map[string]string) string {
			h["Mcp-Protocol-Version"] = "2027-03-01"
			return strings.Replace(b, "2026-07-28", "2027-03-01", 1)
		}, status: 400, code: -32022},
		{name: "a legacy revision in _meta", method: "tools/list", edit: func(b string, h map[string]string) string {
			h["Mcp-Protocol-Version"] = "2025-11-25"
			return strings.Replace(b, "2026-07-28", "2025-11-25", 1)
		}, status: 400, code: -32022},
		{name: "no method header", method: "tools/list", edit: func(b string, h map[string]string) string { delete(h, "Mcp-Method"); return b }, status: 400, code: -32020},
		{name: "another method in the header", method: "tools/list", edit: func(b string, h map[string]string) string { h["Mcp-Method"] = "ping"; return b }, status: 400, code: -32020},
		{name: "a call without name header", method: "tools/call", params: callParams, status: 400, code: -32020},
		{name: "another name in the header", method: "tools/call", params: callParams, edit: func(b string, h map[string]string) string { h["Mcp-Name"] = "whoami"; return b }, status: 400, code: -32020},
		{name: "a name header with broken base64", method: "tools/call", params: callParams, edit: func(b string, h map[string]string) string { h["Mcp-Name"] = "=?base64?!?="; return b }, status: 400, code: -32020},
		{name: "no capabilities", method: "tools/list", edit: func(b string, _ map[string]string) string {
			return strings.Replace(b, `,"io.modelcontextprotocol/clientCapabilities":{}`, "", 1)
		}, status: 400, code: -32602},
		{name: "initialize, which this revision removed", method: "initialize", status: 404, code: -32601},
		{name: "ping, which this revision removed", method: "ping", status: 404, code: -32601},
		{name: "an unknown method", method: "tools/forge", status: 404, code: -32601},
		{name: "a removed subscription", method: "resources/subscribe", params: `"uri":"x:y",`, status: 404, code: -32601},
		{name: "an unknown tool", method: "tools/call", params: `"name":"nothing",`, edit: func(b string, h map[string]string) string { h["Mcp-Name"] = "nothing"; return b }, status: 200, code: -32602},
	} {
		t.Run(tt.name, func(t *testing.T) {
			body, header := modern("7", tt.method, tt.params)
			if tt.edit != nil {
				body = tt.edit(body, header)
			}
			w := f.send("alice", body, header)
			if w.Code != tt.status || code(t, w) != tt.code || !strings.Contains(w.Body.String(), `"id":7`) {
				t.Errorf("got %d %s, want %d and %d", w.Code, w.Body, tt.status, tt.code)
			}
		})
	}
	body, header := modern("7", "tools/list", "")
	header["Mcp-Protocol-Version"] = "2027-03-01"
	w := f.send("alice", strings.Replace(body, "2026-07-28", "2027-03-01", 1), header)
	if !strings.Contains(w.Body.String(), `"data":{"supported":["2026-07-28","2025-11-25","2025-06-18"],"requested":"2027-03-01"}`) {
		t.Errorf("the client is not told what it may use: %s", w.Body)
	}
}

func TestMessagesThatAreRefusedBeforeAnyEra(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	for _, tt := range []struct {
		name, body   string
		header       map[string]string
		status, code int
	}{
		{"another content type", initialize, map[string]string{"Content-Type": "text/plain"}, 415, -32600},
		{"an Accept without JSON", initialize, map[string]string{"Accept": "text/html"}, 406, -32600},
		{"an Accept that excludes JSON", initialize, map[string]string{"Accept": "application/json;q=0, text/event-stream"}, 406, -32600},
		{"a large body", `{"jsonrpc":"2.0","id":1,"method":"` + strings.Repeat("x", 5000) + `"}`, nil, 413, -32600},
		{"no JSON", `hello`, nil, 400, -32600},
		{"a cut-off message", `{"jsonrpc":"2.0","id":1`, nil, 400, -32700},
		{"a batch", `[` + initialize + `]`, nil, 400, -32600},
		{"a method in upper case", `{"jsonrpc":"2.0","id":1,"METHOD":"tools/call"}`, nil, 400, -32700},
		{"a second method in another case", `{"jsonrpc":"2.0","id":1,"method":"ping","Method":"tools/call"}`, nil, 400, -32700},
		{"a second tool name", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"whoami","name":"math_add"}}`, nil, 400, -32700},
		{"initialize without revision", `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}`, nil, 400, -32602},
		{"no session", `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, nil, 400, -32600},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if w := f.send("alice", tt.body, tt.header); w.Code != tt.status || code(t, w) != tt.code {
				t.Errorf("got %d %s, want %d and %d", w.Code, w.Body, tt.status, tt.code)
			}
		})
	}
	if w := f.send("", initialize, nil); w.Code != http.StatusInternalServerError {
		t.Errorf("without a principal: status %d, want 500: nothing may fail open", w.Code)
	}
}

func TestInitializeNegotiates(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	for asked, want := range map[string]string{"2025-11-25": "2025-11-25", "2025-06-18": "2025-06-18", "2025-03-26": "2025-11-25", "2024-11-05": "2025-11-25", "2026-07-28": "2025-11-25", "tomorrow": "2025-11-25"} {
		w := f.send("alice", strings.Replace(initialize, "2025-11-25", asked, 1), nil)
		if w.Code != 200 || !strings.Contains(w.Body.String(), `"protocolVersion":"`+want+`"`) {
			t.Errorf("asked for %s: %d %s, want %s", asked, w.Code, w.Body, want)
		}
	}
}

func TestASessionBelongsToItsPersonAndClient(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	id := f.session("alice@one")
	list := `{"jsonrpc":"2.0","id":"x","method":"tools/list"}`
	if w := f.send("alice@one", list, map[string]string{"Mcp-Session-Id": id}); w.Code != 200 || !strings.Contains(w.Body.String(), "math_add") {
		t.Fatalf("the own session: %d %s", w.Code, w.Body)
	}
	for name, tt := range map[string]struct {
		who, id string
		status  int
	}{
		"another person":     {"mallory@one", id, 404},
		"another client":     {"alice@two", id, 404},
		"an invented id":     {"alice@one", "abc", 404},
		"a changed id":       {"alice@one", id[:len(id)-2] + "xx", 404},
		"an endless id":      {"alice@one", strings.Repeat("a", 5000), 404},
		"an empty id":        {"alice@one", "", 400},
		"a sealed other one": {"alice@one", f.session("bob@one"), 404},
	} {
		for _, method := range []string{http.MethodPost, http.MethodDelete} {
			if w := f.do(method, tt.who, list, map[string]string{"Mcp-Session-Id": tt.id}); w.Code != tt.status {
				t.Errorf("%s %s: status %d, want %d", method, name, w.Code, tt.status)
			}
		}
	}
	for _, version := range []string{"2025-06-18", "1.0"} {
		if w := f.send("alice@one", list, map[string]string{"Mcp-Session-Id": id, "Mcp-Protocol-Version": version}); w.Code != 400 {
			t.Errorf("revision %s in this session: status %d", version, w.Code)
		}
	}
	if w := f.send("alice@one", list, map[string]string{"Mcp-Session-Id": id, "Mcp-Protocol-Version": "2025-11-25"}); w.Code != 200 {
		t.Errorf("the session's revision: status %d", w.Code)
	}
	if w := f.do(http.MethodDelete, "alice@one", "", map[string]string{"Mcp-Session-Id": id}); w.Code != 204 {
		t.Errorf("DELETE: status %d", w.Code)
	}
	if w := f.send("alice@one", list, map[string]string{"Mcp-Session-Id": id}); w.Code != 404 {
		t.Errorf("after DELETE: status %d", w.Code)
	}
	expired := newFixture(t, func(c *mcphttp.Config) { c.SessionLifetime = -time.Second })
	if w := expired.send("alice", list, map[string]string{"Mcp-Session-Id": expired.session("alice")}); w.Code != 404 {
		t.Errorf("an expired session: status %d", w.Code)
	}
}

func TestSessionMethods(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	header := map[string]string{"Mcp-Session-Id": f.session("alice")}
	for body, want := range map[string]int{
		`{"jsonrpc":"2.0","method":"notifications/initialized"}`:                                                  202,
		`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":99}}`:                          202,
		`{"jsonrpc":"2.0","id":5,"result":{}}`:                                                                    202,
		`{"jsonrpc":"2.0","id":"p","method":"ping"}`:                                                              200,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"math_add","arguments":{"a":23,"b":19}}}`: 200,
	} {
		if w := f.send("alice", body, header); w.Code != want || code(t, w) != 0 {
			t.Errorf("%s: %d %s, want %d", body, w.Code, w.Body, want)
		}
	}
	if w := f.send("alice", `{"jsonrpc":"2.0","id":1,"method":"tools/forge"}`, header); code(t, w) != -32601 || w.Code != 200 {
		t.Errorf("an unknown method: %d %s", w.Code, w.Body)
	}
	if w := f.do(http.MethodGet, "alice", "", header); w.Code != 405 || w.Header().Get("Allow") != "POST, DELETE, OPTIONS" {
		t.Errorf("GET: %d %v", w.Code, w.Header())
	}
}

// addTool adds a tool that waits until it is released or cancelled.
func (f *fixture) addTool(name string, handler func(ctx context.Context, arguments string) string) {
	f.tools.AddTool(mcp.NewTool(name), func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return mcp.NewToolResultText(handler(ctx, string(catalog.Arguments(ctx)))), nil
	})
}

func TestTwoPeopleMayUseTheSameIDs(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	both := make(chan struct{}, 2)
	f.addTool("test_echo", func(ctx context.Context, arguments string) string {
		both <- struct{}{}
		for len(both) < 2 { // both are running
			select {
			case <-ctx.Done():
				return "cancelled"
			case <-time.After(time.Millisecond):
			}
		}
		return access.PrincipalFrom(ctx).Object + arguments
	})
	var wg sync.WaitGroup
	for _, who := range []string{"alice", "bob"} {
		wg.Go(func() {
			body, header := modern("7", "tools/call", `"name":"test_echo","arguments":{"of":"`+who+`"},`)
			header["Mcp-Name"] = "test_echo"
			if w := f.send(who, body, header); !strings.Contains(w.Body.String(), who+`{\"of\":\"`+who+`\"}`) || !strings.Contains(w.Body.String(), `"id":7`) {
				t.Errorf("%s got %s", who, w.Body)
			}
		})
	}
	wg.Wait()
}

// TestCancellation: a session cancels its own call and no other, and a modern
// notification cancels nothing.
func TestCancellation(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	started := make(chan struct{})
	f.addTool("test_wait", func(ctx context.Context, _ string) string {
		close(started)
		<-ctx.Done()
		return "cancelled"
	})
	alice, bob := f.session("alice"), f.session("bob")
	second := f.session("alice")
	done := make(chan string, 1)
	go func() {
		w := f.send("alice", `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"test_wait"}}`, map[string]string{"Mcp-Session-Id": alice})
		done <- w.Body.String()
	}()
	<-started
	cancel := func(who, session, id string) {
		if w := f.send(who, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":`+id+`}}`, map[string]string{"Mcp-Session-Id": session}); w.Code != 202 {
			t.Errorf("status %d", w.Code)
		}
	}
	cancel("bob", bob, "7")
	cancel("alice", second, "7")
	cancel("alice", alice, "1")
	cancel("alice", alice, `"7"`)
	body, header := modern("0", "notifications/cancelled", `"requestId":7,`)
	f.send("mallory", strings.Replace(body, `"id":0,`, "", 1), header)
	select {
	case got := <-done:
		t.Fatalf("somebody else cancelled the call: %s", got)
	case <-time.After(50 * time.Millisecond):
	}
	cancel("alice", alice, "7")
	if got := <-done; !strings.Contains(got, "cancelled") {
		t.Errorf("got %s", got)
	}
}

func TestConcurrencyIsBoundedPerPerson(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(c *mcphttp.Config) { c.MaxConcurrent = 1 })
	started, release := make(chan struct{}), make(chan struct{})
	f.addTool("test_hold", func(context.Context, string) string { close(started); <-release; return "ok" })
	body, header := modern("1", "tools/call", `"name":"test_hold",`)
	header["Mcp-Name"] = "test_hold"
	done := make(chan int, 1)
	go func() { done <- f.send("alice", body, header).Code }()
	<-started
	list, listHeader := modern("2", "tools/list", "")
	if w := f.send("alice", list, listHeader); w.Code != 429 || w.Header().Get("Retry-After") == "" {
		t.Errorf("alice's second request: %d", w.Code)
	}
	if w := f.send("bob", list, listHeader); w.Code != 200 {
		t.Errorf("bob's request: %d", w.Code)
	}
	close(release)
	if status := <-done; status != 200 {
		t.Errorf("alice's first request: %d", status)
	}
	if w := f.send("alice", list, listHeader); w.Code != 200 {
		t.Errorf("alice's third request: %d", w.Code)
	}
}

func TestEveryCallIsRecordedBeforeItsAnswer(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	call := func(tool, arguments string) *httptest.ResponseRecorder {
		body, header := modern("1", "tools/call", `"name":"`+tool+`","arguments":`+arguments+`,`)
		header["Mcp-Name"] = tool
		return f.send("alice@one", body, header)
	}
	call("math_add", `{"a":1,"b":2}`)
	call("math_divide", `{"a":1,"b":0}`)
	call("admin_reset", `{}`)
	call("math_"+strings.Repeat("x", 500), `{}`)
	var got []string
	for _, e := range f.trail.events {
		got = append(got, e.Outcome+" "+e.Reason+" "+e.Object+" "+e.Address+fmt.Sprint(" ", len(e.Tool) < 140))
	}
	want := []string{"ok all alice 203.0.113.7 true", "error all alice 203.0.113.7 true", "denied no_rule alice 203.0.113.7 true", "denied unknown_tool alice 203.0.113.7 true"}
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	ran := false
	f.addTool("test_effect", func(context.Context, string) string { ran = true; return "done" })
	f.trail.err = errors.New("disk full")
	for _, tool := range []string{"test_effect", "admin_reset"} {
		if w := call(tool, `{}`); w.Code != 503 || w.Header().Get("Retry-After") == "" || strings.Contains(w.Body.String(), "disk full") || strings.Contains(w.Body.String(), "done") {
			t.Errorf("%s: %d %s", tool, w.Code, w.Body)
		}
	}
	if ran {
		t.Error("a call ran that could not be recorded")
	}
}

func TestWhatIsDeniedLooksLikeWhatIsNotThere(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	f.addTool("secret_tool", func(context.Context, string) string { return "x" })
	header := map[string]string{"Mcp-Session-Id": f.session("alice")}
	call := func(tool string) string {
		return strings.ReplaceAll(f.send("alice", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"`+tool+`"}}`, header).Body.String(), tool, "X")
	}
	if denied, absent := call("secret_tool"), call("absent_tool"); denied != absent {
		t.Errorf("denied: %s\nabsent: %s", denied, absent)
	}
}

func TestHostsAndOrigins(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(c *mcphttp.Config) {
		c.AllowedHosts, c.AllowedOrigins = []string{"internal.example:8443"}, []string{"https://inspector.example"}
	})
	for _, tt := range []struct {
		host, origin string
		status       int
	}{
		{"gw.example", "", 200}, {"GW.example", "https://gw.example", 200}, {"internal.example:8443", "https://inspector.example", 200},
		{"localhost:1", "http://127.0.0.1:6274", 200}, {"127.0.0.1", "http://[::1]:1", 200}, {"[::1]:80", "https://localhost", 200},
		{"evil.example", "", 403}, {"internal.example", "", 403}, {"gw.example:444", "", 403}, {"localhost.evil.example", "", 403}, {"", "", 403},
		{"gw.example", "http://gw.example", 403}, {"gw.example", "https://evil.example", 403}, {"gw.example", "null", 403}, {"gw.example", "file://", 403},
		{"gw.example", "http://localhost.evil.example", 403}, {"gw.example", "http://localhost@evil.example", 403}, {"gw.example", "ftp://localhost", 403},
		{"gw.example", "https://inspector.example.evil.example", 403},
	} {
		r := httptest.NewRequest(http.MethodPost, "https://gw.example/mcp", strings.NewReader(initialize))
		r.Host = tt.host
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer alice")
		if tt.origin != "" {
			r.Header.Set("Origin", tt.origin)
		}
		w := httptest.NewRecorder()
		f.h.ServeHTTP(w, r)
		if w.Code != tt.status {
			t.Errorf("host %q, origin %q: status %d, want %d", tt.host, tt.origin, w.Code, tt.status)
		}
		want := ""
		if tt.status == 200 {
			want = tt.origin
		}
		if got := w.Header().Get("Access-Control-Allow-Origin"); got != want {
			t.Errorf("origin %q: allowed origin %q", tt.origin, got)
		}
	}
	w := f.do(http.MethodOptions, "", "", map[string]string{"Origin": "http://localhost:6274", "Access-Control-Request-Method": "POST"})
	if w.Code != 204 || !strings.Contains(w.Header().Get("Access-Control-Allow-Headers"), "Mcp-Method") {
		t.Errorf("preflight: %d %v", w.Code, w.Header())
	}
}

func benchmark(b *testing.B, f *fixture, body string, header map[string]string) {
	b.ReportAllocs()
	for b.Loop() {
		if w := f.send("alice", body, header); w.Code != 200 {
			b.Fatal(w.Body)
		}
	}
}

func BenchmarkCallModern(b *testing.B) {
	body, header := modern("1", "tools/call", `"name":"math_add","arguments":{"a":23,"b":19},`)
	header["Mcp-Name"] = "math_add"
	benchmark(b, newFixture(b, nil), body, header)
}

func BenchmarkCallSession(b *testing.B) {
	f := newFixture(b, nil)
	benchmark(b, f, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"math_add","arguments":{"a":23,"b":19}}}`, map[string]string{"Mcp-Session-Id": f.session("alice")})
}
