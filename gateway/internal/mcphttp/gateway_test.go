package mcphttp_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
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

const (
	jsonType = "application/json"
	publicIP = "203.0.113.9"
)

// principals are the bearers of the tests: alice may call everything, also
// through other clients; bob may add and wait; ci and deploy are clients that ask
// for themselves and may call everything.
var principals = map[string]*access.Principal{
	"alice":       {Identity: store.Identity{Tenant: "t", Object: "alice"}, ClientID: "c1", ClientName: "Inspector", GrantID: "g1"},
	"alice-other": {Identity: store.Identity{Tenant: "t", Object: "alice"}, ClientID: "c2", ClientName: "Cursor", GrantID: "g2"},
	"bob":         {Identity: store.Identity{Tenant: "t", Object: "bob"}, ClientID: "c1", ClientName: "Inspector", GrantID: "g3"},
	"carol":       {Identity: store.Identity{Tenant: "t", Object: "carol", GroupsUnknown: true}, ClientID: "c1", ClientName: "Inspector"},
	"ci":          {ClientID: "ci", ClientName: "CI", GrantID: "g5"},
	"deploy":      {ClientID: "deploy", ClientName: "Deploy", GrantID: "g6"},
	"alice-ci":    {Identity: store.Identity{Tenant: "t", Object: "alice"}, ClientID: "ci", ClientName: "CI", GrantID: "g7"},
}

// gateway is a served Handler behind a bearer check of one line.
type gateway struct {
	t     testing.TB
	url   string
	trail *trail
	waits *waits

	endStreams   func()
	awaitStreams func(context.Context) error
	// run passes on what changes, as the gateway does.
	run func(context.Context)
}

// newGateway serves a Handler; change may adjust its configuration.
func newGateway(t testing.TB, change func(*mcphttp.Config)) *gateway {
	t.Helper()
	return newGatewayWith(t, catalog.Pack{}, change)
}

// newGatewayWith serves more than tools.
func newGatewayWith(t testing.TB, pack catalog.Pack, change func(*mcphttp.Config)) *gateway {
	t.Helper()
	g := &gateway{t: t, trail: &trail{written: make(chan store.Event, 1000)}, waits: newWaits()}
	policy, err := access.New([]access.Rule{
		{Name: "everything", Subjects: []access.Subject{{Kind: access.KindUser, Value: "alice"}}, Tools: []string{"*"}},
		{Name: "some", Subjects: []access.Subject{{Kind: access.KindUser, Value: "bob"}}, Tools: []string{"math_add", "wait"}},
		{Name: "programs", Subjects: []access.Subject{{Kind: access.KindClient, Value: "ci"}, {Kind: access.KindClient, Value: "deploy"}}, Tools: []string{"*"}},
		{Name: "group", Subjects: []access.Subject{{Kind: access.KindGroup, Value: "g"}}, Tools: []string{"math_add"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	logger := slog.New(slog.DiscardHandler)
	tools, err := catalog.New(catalog.Config{Policy: policy, Version: "v1", Logger: logger, Tools: g.testTools(), Pack: pack})
	if err != nil {
		t.Fatal(err)
	}
	cfg := mcphttp.Config{
		Catalog: tools, Policy: policy, Audit: g.trail, Ring: newRing(t), PublicURL: "https://gw.example", Logger: logger,
		Address: func(*http.Request) netip.Addr { return netip.MustParseAddr(publicIP) },
	}
	if change != nil {
		change(&cfg)
	}
	h, err := mcphttp.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/", h.CheckOrigin(bearer(h)))
	mux.Handle("/sse", h.CheckOrigin(bearer(h.SSE())))
	mux.Handle(mcphttp.MessagesPath, h.CheckOrigin(bearer(h.SSE())))
	server := httptest.NewServer(mux)
	g.endStreams, g.awaitStreams, g.run = h.EndStreams, h.AwaitStreams, h.Run
	t.Cleanup(server.Close)
	t.Cleanup(func() { // the server does not know all of them
		if err := h.AwaitStreams(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	g.url = server.URL
	return g
}

func newRing(t testing.TB) *keyring.Ring {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys.json")
	if err := keyring.Create(path, time.Now()); err != nil {
		t.Fatal(err)
	}
	ring, err := keyring.Load(path, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// bearer stands for the guard: the token is the name of a principal.
func bearer(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		switch p, ok := principals[name]; {
		case ok:
			r = r.WithContext(access.WithPrincipal(r.Context(), p))
		case name != "unguarded":
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// waits lets a test see the tool "wait" start, and end it.
type waits struct {
	started chan struct{}
	release chan struct{}
	stopped chan error
}

func newWaits() *waits {
	return &waits{started: make(chan struct{}, 100), release: make(chan struct{}), stopped: make(chan error, 100)}
}

func (g *gateway) testTools() []server.ServerTool {
	return []server.ServerTool{
		{Tool: mcp.NewTool("wait"), Handler: func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			g.waits.started <- struct{}{}
			select {
			case <-ctx.Done():
			case <-g.waits.release:
			}
			g.waits.stopped <- ctx.Err()
			return mcp.NewToolResultText("waited"), ctx.Err()
		}},
		{Tool: mcp.NewTool("echo"), Handler: func(_ context.Context, req mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			raw, _ := req.GetRawArguments().(json.RawMessage)
			return mcp.NewToolResultText(string(raw)), nil
		}},
		{Tool: mcp.NewTool("broken"), Handler: func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			panic("broken")
		}},
	}
}

// trail is an audit trail that can fail.
type trail struct {
	written chan store.Event

	mu                 sync.Mutex // guards below
	notReady, notWrite bool
}

func (tr *trail) fail(notReady, notWrite bool) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.notReady, tr.notWrite = notReady, notWrite
}

func (tr *trail) Ready(context.Context) error {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if tr.notReady {
		return errors.New("disk full")
	}
	return nil
}

func (tr *trail) Append(_ context.Context, e store.Event) error {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if tr.notWrite {
		return errors.New("disk full")
	}
	tr.written <- e
	return nil
}

// next returns the oldest event not looked at yet; it waits for one.
func (tr *trail) next(t testing.TB) store.Event {
	t.Helper()
	select {
	case e := <-tr.written:
		return e
	case <-t.Context().Done():
		t.Fatal("nothing was written down")
		return store.Event{}
	}
}

// request is one HTTP request of a test; zero fields are the usual thing.
type request struct {
	user   string // "alice"
	method string // POST
	host   string
	path   string            // /mcp
	header map[string]string // "" takes a header away
	more   http.Header       // headers that may stand more than once
	body   string
	ctx    context.Context
}

// reply is what came back.
type reply struct {
	status int
	header http.Header
	body   string
}

func (g *gateway) send(r request) reply {
	g.t.Helper()
	got, err := g.try(r)
	if err != nil {
		g.t.Fatal(err)
	}
	return got
}

func (g *gateway) try(r request) (reply, error) {
	ctx := r.ctx
	if ctx == nil {
		ctx = g.t.Context()
	}
	if r.method == "" {
		r.method = http.MethodPost
	}
	if r.user == "" {
		r.user = "alice"
	}
	if r.path == "" {
		r.path = "/mcp"
	}
	req, err := http.NewRequestWithContext(ctx, r.method, g.url+r.path, strings.NewReader(r.body))
	if err != nil {
		return reply{}, err
	}
	req.Host = r.host
	req.Header.Set("Authorization", "Bearer "+r.user)
	req.Header.Set("Content-Type", jsonType)
	req.Header.Set("Accept", "application/json, text/event-stream")
	for name, value := range r.header {
		if req.Header.Set(name, value); value == "" {
			req.Header.Del(name)
		}
	}
	maps.Copy(req.Header, r.more)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, string(body)}, err
}

// parts are the parts of a reply's JSON that tests look at.
type parts struct {
	ID     json.RawMessage
	Result struct {
		ProtocolVersion   string
		SupportedVersions []string
		ResultType        string
		TTLMs             *int
		CacheScope        string
		Content           []struct{ Text string }
		StructuredContent json.RawMessage
		IsError           bool
		Tools             []struct{ Name string }
		Meta              map[string]json.RawMessage `json:"_meta"`
	}
	Error *struct {
		Code    int
		Message string
		Data    json.RawMessage
	}
}

func (r reply) parse(t testing.TB) parts {
	t.Helper()
	var p parts
	if err := json.Unmarshal([]byte(r.body), &p); err != nil {
		t.Fatalf("%d %s: %v", r.status, r.body, err)
	}
	return p
}

// text is the text of a call's result.
func (r reply) text(t testing.TB) string {
	t.Helper()
	p := r.parse(t)
	if len(p.Result.Content) != 1 {
		t.Fatalf("not one content: %d %s", r.status, r.body)
	}
	return p.Result.Content[0].Text
}

// refused checks status, code and reason of an error.
func (r reply) refused(t testing.TB, status, code int, reason string) {
	t.Helper()
	p := r.parse(t)
	if p.Error == nil {
		t.Fatalf("not refused: %d %s", r.status, r.body)
	}
	if r.status != status || p.Error.Code != code || !strings.Contains(p.Error.Message, reason) {
		t.Errorf("got %d and %d %q, want %d and %d with %q", r.status, p.Error.Code, p.Error.Message, status, code, reason)
	}
	if got := r.header.Get("Content-Type"); got != jsonType {
		t.Errorf("the error is %q", got)
	}
}

// modernRequest is a request of 2026-07-28 with all that it needs. params is
// the inside of an object, without _meta.
func modernRequest(id, method, params string) request {
	if params != "" {
		params += ","
	}
	r := request{
		header: map[string]string{"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": method},
		body: `{"jsonrpc":"2.0","id":` + id + `,"method":"` + method + `","params":{` + params +
			`"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`,
	}
	var named struct{ Name, URI string }
	if json.Unmarshal([]byte("{"+strings.TrimSuffix(params, ",")+"}"), &named) == nil && named.Name+named.URI != "" {
		r.header["Mcp-Name"] = named.Name + named.URI
	}
	return r
}

func modernCall(id, tool, arguments string) request {
	return modernRequest(id, "tools/call", `"name":"`+tool+`","arguments":`+arguments)
}

// as is the request of another user.
func (r request) as(user string) request {
	r.user = user
	return r
}

// with is the request with another header; "" takes it away.
func (r request) with(name, value string) request {
	header := map[string]string{name: value}
	for n, v := range r.header {
		if n != name {
			header[n] = v
		}
	}
	r.header = header
	return r
}

const initializeBody = `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25",` +
	`"capabilities":{"roots":{"listChanged":true}},"clientInfo":{"name":"test","version":"1"}}}`

// session is a begun legacy session of a user.
type session struct {
	g        *gateway
	user, id string
}

func (g *gateway) begin(user string) session {
	g.t.Helper()
	got := g.send(request{user: user, body: initializeBody})
	id := got.header.Get("Mcp-Session-Id")
	if got.status != http.StatusOK || id == "" {
		g.t.Fatalf("initialize: %d %s", got.status, got.body)
	}
	return session{g, user, id}
}

// request is a request of 2025-11-25 in the session; params is an object.
func (s session) request(id, method, params string) request {
	return s.message(`{"jsonrpc":"2.0","id":` + id + `,"method":"` + method + `","params":` + params + `}`)
}

func (s session) message(body string) request {
	return request{
		user: s.user, body: body,
		header: map[string]string{"MCP-Protocol-Version": "2025-11-25", "Mcp-Session-Id": s.id},
	}
}

func (s session) call(id, tool, arguments string) request {
	return s.request(id, "tools/call", `{"name":"`+tool+`","arguments":`+arguments+`}`)
}

// eras runs a test once per era, with how a call is made in it.
func eras(t *testing.T, test func(t *testing.T, g *gateway, call func(user, id, tool, arguments string) request)) {
	t.Run("modern", func(t *testing.T) {
		t.Parallel()
		g := newGateway(t, nil)
		test(t, g, func(user, id, tool, arguments string) request { return modernCall(id, tool, arguments).as(user) })
	})
	t.Run("legacy", func(t *testing.T) {
		t.Parallel()
		g := newGateway(t, nil)
		var mu sync.Mutex
		sessions := make(map[string]session)
		test(t, g, func(user, id, tool, arguments string) request {
			mu.Lock()
			defer mu.Unlock()
			if _, ok := sessions[user]; !ok {
				sessions[user] = g.begin(user)
			}
			return sessions[user].call(id, tool, arguments)
		})
	})
}
