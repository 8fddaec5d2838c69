package mcphttp_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"mcp-gateway/gateway/internal/access"
	"mcp-gateway/gateway/internal/catalog"
	"mcp-gateway/gateway/internal/mcphttp"
	"mcp-gateway/gateway/internal/store"
	"mcp-gateway/shared/wire"
)

// lively is a gateway whose tools speak before they answer, whose lists change and
// whose tokens end.
type lively struct {
	*gateway
	handler *mcphttp.Handler
	server  *server.MCPServer
	updated func(uri string)
	label   string // of its goroutines

	mu      sync.Mutex // guards below
	scripts map[string]chan step
	people  map[string]*access.Principal
	watched map[string][]context.CancelFunc
	revoked map[string]bool
}

// step is what the tool "script" does next; done is closed after it.
type step struct {
	do   func(ctx context.Context, s *server.MCPServer, req mcp.CallToolRequest)
	done chan struct{}
}

// newLively serves a Handler that everybody may use, and checks at the end that
// nothing which it began still runs.
func newLively(t *testing.T, change func(*mcphttp.Config)) *lively {
	t.Helper()
	g := &lively{
		gateway: &gateway{t: t, trail: &trail{written: make(chan store.Event, 10_000)}, waits: newWaits()},
		scripts: make(map[string]chan step), people: maps.Clone(principals), watched: make(map[string][]context.CancelFunc),
		revoked: make(map[string]bool),
	}
	policy, err := access.New([]access.Rule{{
		Name: "everybody", Tools: []string{"*"},
		Subjects: []access.Subject{
			{Kind: access.KindUser, Value: "alice"}, {Kind: access.KindUser, Value: "bob"},
			{Kind: access.KindClient, Value: "ci"}, {Kind: access.KindClient, Value: "deploy"},
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	heard := make(chan struct{})
	logger := slog.New(slog.DiscardHandler)
	tools, err := catalog.New(catalog.Config{
		Policy: policy, Version: "v1", Logger: logger, Tools: append(g.testTools(), g.livelyTools()...), Pack: g.pack(heard),
	})
	if err != nil {
		t.Fatal(err)
	}
	cfg := mcphttp.Config{
		Catalog: tools, Policy: policy, Audit: g.trail, Ring: newRing(t), PublicURL: "https://gw.example", Logger: logger,
		Address: func(*http.Request) netip.Addr { return netip.MustParseAddr(publicIP) }, Revoked: g.watch,
	}
	if change != nil {
		change(&cfg)
	}
	if g.handler, err = mcphttp.New(cfg); err != nil {
		t.Fatal(err)
	}
	g.serve(t, heard)
	return g
}

// serve starts what runs, under a label that its goroutines inherit.
func (g *lively) serve(t *testing.T, heard <-chan struct{}) {
	name := strconv.FormatInt(gateways.Add(1), 10)
	g.label = name
	label := pprof.WithLabels(context.Background(), pprof.Labels("lively", name))
	t.Cleanup(func() { nothingRuns(t, name) })
	var running sync.WaitGroup
	ctx, stop := context.WithCancel(context.Background())
	t.Cleanup(func() { stop(); running.Wait() })
	running.Go(func() {
		pprof.SetGoroutineLabels(label)
		g.handler.Run(ctx)
	})
	<-heard
	mux := http.NewServeMux()
	mux.Handle("/", g.handler.CheckOrigin(g.handler))
	mux.Handle("/sse", g.handler.CheckOrigin(g.handler.SSE()))
	mux.Handle(mcphttp.MessagesPath, g.handler.CheckOrigin(g.handler.SSE()))
	served := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		pprof.SetGoroutineLabels(label)
		name := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		g.mu.Lock()
		p := g.people[name]
		g.mu.Unlock()
		mux.ServeHTTP(w, r.WithContext(access.WithPrincipal(r.Context(), p)))
	}))
	g.url, g.endStreams = served.URL, g.handler.EndStreams
	t.Cleanup(served.Close)
	t.Cleanup(func() { // the server does not know all of them
		if err := g.handler.AwaitStreams(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
}

// gateways numbers those that are served.
var gateways atomic.Int64

// runs are the stacks that have a gateway's label and a function in them.
func runs(t *testing.T, name, function string) []string {
	var all bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&all, 1); err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(strings.Split(all.String(), "\n\n"), func(stack string) bool {
		return !strings.Contains(stack, `"lively":"`+name+`"`) || !strings.Contains(stack, function)
	})
}

// nothingRuns waits until no goroutine has the label of a gateway.
func nothingRuns(t *testing.T, name string) {
	var left []string
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if left = runs(t, name, ""); len(left) == 0 {
			return
		}
	}
	t.Errorf("something still runs:\n%s", strings.Join(left, "\n\n"))
}

func (g *lively) pack(heard chan struct{}) catalog.Pack {
	hooks := &server.Hooks{}
	hooks.AddOnRegisterSession(func(context.Context, server.ClientSession) { close(heard) })
	return catalog.Pack{
		Options: []server.ServerOption{
			server.WithToolCapabilities(true), server.WithPromptCapabilities(true), server.WithResourceCapabilities(true, true),
			server.WithLogging(), server.WithHooks(hooks),
		},
		Install: func(s *server.MCPServer, updated func(string)) { g.server, g.updated = s, updated },
	}
}

// watch is the hook Revoked; revoke ends what was watched.
func (g *lively) watch(ctx context.Context, p *access.Principal) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.watched[p.GrantID] = append(g.watched[p.GrantID], cancel)
	if g.revoked[p.GrantID] {
		cancel()
	}
	return ctx, cancel
}

func (g *lively) revoke(grant string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.revoked[grant] = true
	for _, cancel := range g.watched[grant] {
		cancel()
	}
}

// expires makes a token of alice's that ends soon.
func (g *lively) expires(name string, in time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	p := *g.people["alice"]
	p.ExpiresAt = time.Now().Add(in)
	g.people[name] = &p
}

// changeList makes mcp-go announce that a list has changed.
func (g *lively) changeList(list string) {
	g.server.SendNotificationToAllClients("notifications/"+list+"/list_changed", nil)
}

// script is the channel of the call with that key.
func (g *lively) script(key string) chan step {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.scripts[key] == nil {
		g.scripts[key] = make(chan step)
	}
	return g.scripts[key]
}

// tell makes the call with that key do something, and returns when it is done.
func (g *lively) tell(key string, do func(ctx context.Context, s *server.MCPServer, req mcp.CallToolRequest)) {
	g.t.Helper()
	s := step{do, make(chan struct{})}
	select {
	case g.script(key) <- s:
		<-s.done
	case <-time.After(15 * time.Second):
		g.t.Errorf("no call takes a step of %q", key)
	}
}

// say makes the call log something and report progress.
func (g *lively) say(key, what string) {
	g.t.Helper()
	g.tell(key, func(ctx context.Context, s *server.MCPServer, req mcp.CallToolRequest) { note(ctx, s, req, 1, what) })
}

// finish lets the call with that key answer.
func (g *lively) finish(key string) {
	g.t.Helper()
	g.tell(key, nil)
}

// note sends a log message and, if there is a token, progress.
func note(ctx context.Context, s *server.MCPServer, req mcp.CallToolRequest, n int, what string) (lost int) {
	if s.SendLogMessageToClient(ctx, mcp.NewLoggingMessageNotification(mcp.LoggingLevelInfo, "t", what)) != nil {
		lost++
	}
	if req.Params.Meta == nil || req.Params.Meta.ProgressToken == nil {
		return lost
	}
	if s.SendNotificationToClient(ctx, "notifications/progress",
		map[string]any{"progressToken": req.Params.Meta.ProgressToken, "progress": n, "message": what}) != nil {
		lost++
	}
	return lost
}

// waitFor fails unless a condition comes true in time.
func waitFor(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(45 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("waited for %s", what)
}

// live is the answer to a request, read as it comes.
type live struct {
	t      testing.TB
	status int
	header http.Header
	lastID string
	leave  context.CancelFunc
	body   io.ReadCloser
	events *wire.EventReader
}

// live sends a request and returns when its answer begins.
func (g *lively) live(r request) *live {
	g.t.Helper()
	ctx, leave := context.WithTimeout(g.t.Context(), time.Minute)
	g.t.Cleanup(leave)
	if r.user == "" {
		r.user = "alice"
	}
	if r.method == "" {
		r.method = http.MethodPost
	}
	if r.path == "" {
		r.path = "/mcp"
	}
	req, err := http.NewRequestWithContext(ctx, r.method, g.url+r.path, strings.NewReader(r.body))
	if err != nil {
		g.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+r.user)
	req.Header.Set("Content-Type", jsonType)
	req.Header.Set("Accept", "application/json, text/event-stream")
	for name, value := range r.header {
		if req.Header.Set(name, value); value == "" {
			req.Header.Del(name)
		}
	}
	resp, err := http.DefaultClient.Do(req) //nolint:bodyclose // the context ends it
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { _ = resp.Body.Close() })
	return &live{t: g.t, status: resp.StatusCode, header: resp.Header, leave: leave, body: resp.Body, events: wire.NewEventReader(resp.Body, 8<<20)}
}

// start is live in the background, for an answer that does not begin by itself.
func (g *lively) start(r request) func() *live {
	began := make(chan *live, 1)
	go func() { began <- g.live(r) }()
	return func() *live {
		g.t.Helper()
		select {
		case l := <-began:
			return l
		case <-time.After(30 * time.Second):
			g.t.Fatal("the answer does not begin")
			return nil
		}
	}
}

// next is the next message, or "" at the end of the stream.
func (l *live) next() string {
	l.t.Helper()
	for {
		e, err := l.events.Next()
		if errors.Is(err, io.EOF) {
			return ""
		}
		if err != nil {
			l.t.Fatalf("the stream broke: %v", err)
		}
		if e.HasID {
			l.lastID = e.ID
		}
		if len(e.Data) > 0 {
			return string(e.Data)
		}
	}
}

// primed reads the first event of a resumable stream, so that it is known to be
// there.
func (l *live) primed() *live {
	l.t.Helper()
	e, err := l.events.Next()
	if err != nil || !e.HasID || len(e.Data) != 0 {
		l.t.Fatalf("%d: the first event is %+v, %v", l.status, e, err)
	}
	l.lastID = e.ID
	return l
}

// rest is all messages up to the end; a JSON document is one.
func (l *live) rest() (all []string) {
	l.t.Helper()
	if l.header.Get("Content-Type") == jsonType {
		body, err := io.ReadAll(l.body)
		if err != nil {
			l.t.Fatal(err)
		}
		return []string{string(body)}
	}
	for {
		m := l.next()
		if m == "" {
			return all
		}
		all = append(all, m)
	}
}

// get is the GET of a session, from an event on if that is not empty.
func (s session) get(lastID string) request {
	r := s.message("")
	r.method = http.MethodGet
	if lastID != "" {
		r = r.with("Last-Event-ID", lastID)
	}
	return r
}

// script is a call of the tool "script", with a progress token unless it is empty.
func (s session) script(id, key, token string) request {
	if token != "" {
		token = `,"_meta":{"progressToken":` + token + `}`
	}
	return s.request(id, "tools/call", `{"name":"script","arguments":{"key":"`+key+`"}`+token+`}`)
}

// modernScript is script in the modern era; extra are further members of _meta.
func modernScript(id, key, extra string) request {
	r := modernCall(id, "script", `{"key":"`+key+`"}`)
	r.body = strings.Replace(r.body, `"_meta":{`, `"_meta":{`+extra, 1)
	return r
}

// beginWith begins a session of a revision, with capabilities.
func (g *lively) beginWith(user, revision, capabilities string) session {
	g.t.Helper()
	got := g.send(request{user: user, body: `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"` + revision +
		`","capabilities":` + capabilities + `,"clientInfo":{"name":"test","version":"1"}}}`})
	id := got.header.Get("Mcp-Session-Id")
	if id == "" {
		g.t.Fatalf("initialize: %d %s", got.status, got.body)
	}
	return session{g.gateway, user, id}
}

// member is a value inside a message: a path of names.
func member(message string, path ...string) string {
	value := json.RawMessage(message)
	for _, name := range path {
		value, _ = wire.Member(value, name)
	}
	return string(value)
}

// sameJSON reports whether two texts are the same JSON.
func sameJSON(t testing.TB, a, b string) bool {
	t.Helper()
	var x, y any
	if json.Unmarshal([]byte(a), &x) != nil || json.Unmarshal([]byte(b), &y) != nil {
		return false
	}
	return cmp.Equal(x, y)
}

// grantAnew makes a token of alice's under a grant of that name, of which nothing is
// watched yet.
func (g *lively) grantAnew(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	p := *g.people["alice"]
	p.GrantID = name
	g.people[name] = &p
	delete(g.watched, name)
	delete(g.revoked, name)
}
