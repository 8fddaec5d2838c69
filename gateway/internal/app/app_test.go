package app_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"mcp-gateway/gateway/internal/app"
	"mcp-gateway/gateway/internal/catalog"
	"mcp-gateway/gateway/internal/config"
	"mcp-gateway/gateway/internal/keyring"
	"mcp-gateway/shared/entrasim"
	"mcp-gateway/shared/oauth"
)

// clientRedirect is where the test's MCP client listens; nobody goes there.
const clientRedirect = "http://127.0.0.1:4711/callback"

// demoSecret is the application's client secret.
const demoSecret = "demo-secret-canary"

// demoRules give each demonstration person something else.
const demoRules = `
access:
  - {name: administrators, roles: [Mcp.Admin], tools: ["*"]}
  - {name: members, roles: [Mcp.User], tools: [math_add, math_subtract, math_multiply]}
  - {name: engineers, groups: [` + entrasim.GroupEngineering + `], tools: [math_divide]}
  - {name: everybody, tenants: ["*"], tools: [whoami]}
`

// gateway is a running gateway with what stands in for Microsoft.
type gateway struct {
	t   *testing.T
	url string
	sim *entrasim.Sim // nil where something else stands in for Microsoft
	// authority is the address of what stands in for Microsoft.
	authority string
	// settings change those of the application at Microsoft.
	settings map[string]string
	// rules stand in place of demoRules; empty: those.
	rules string
	dir   string
	logs  *lockedBuffer
	// fetch, if set, fetches what clients publish.
	fetch *http.Client
	// pack is served besides the tools.
	pack catalog.Pack
	// listener is what it serves.
	listener net.Listener
	stop     func() error
}

// lockedBuffer gathers logs from many goroutines.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// newSim starts a simulated Microsoft for a gateway at url and returns it with
// its own address.
func newSim(t *testing.T, url string) (sim *entrasim.Sim, authority string) {
	t.Helper()
	s := startSimulator(t, url)
	return s.sim, s.address
}

func listen(t *testing.T) (net.Listener, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l, fmt.Sprintf("http://localhost:%d", l.Addr().(*net.TCPAddr).Port)
}

// start runs a gateway until the test ends.
func start(t *testing.T, extra string) *gateway {
	t.Helper()
	return startWith(t, extra, nil)
}

// startWith is start with a client for what other clients publish; nil is the
// product's own.
func startWith(t *testing.T, extra string, fetch *http.Client) *gateway {
	t.Helper()
	l, url := listen(t)
	g := newGateway(t, url)
	g.fetch = fetch
	g.serve(l, extra)
	return g
}

// newGateway prepares a gateway that people know by url.
func newGateway(t *testing.T, url string) *gateway {
	t.Helper()
	g := newGatewayWithoutMicrosoft(t, url)
	g.sim, g.authority = newSim(t, url)
	return g
}

func newGatewayWithoutMicrosoft(t *testing.T, url string) *gateway {
	t.Helper()
	g := &gateway{t: t, url: url, dir: t.TempDir(), logs: &lockedBuffer{}}
	if err := keyring.Create(filepath.Join(g.dir, "keys.json"), time.Now()); err != nil {
		t.Fatal(err)
	}
	return g
}

func (g *gateway) config(extra string) *config.Config {
	g.t.Helper()
	env := map[string]string{
		"MICROSOFT_CLIENT_ID": entrasim.DemoClientID, "MICROSOFT_CLIENT_SECRET": demoSecret,
		"MICROSOFT_TENANT_ID": entrasim.DemoDomain, "MICROSOFT_AUTHORITY_HOST": g.authority,
		"MICROSOFT_GRAPH_URL": g.authority,
	}
	maps.Copy(env, g.settings)
	data := fmt.Sprintf("public_url: %s\nstate_dir: %q\n%s%s", g.url, g.dir, cmp.Or(g.rules, demoRules), extra)
	cfg, err := config.Load(config.Source{
		File: "test.yaml", Data: []byte(data), InsecureDevelopment: true, ReadFile: os.ReadFile,
		Env: func(k string) (string, bool) { v, ok := env[k]; return v, ok },
	})
	if err != nil {
		g.t.Fatal(err)
	}
	return cfg
}

func (g *gateway) serve(l net.Listener, extra string) {
	g.t.Helper()
	g.listener = l
	ctx, cancel := context.WithCancel(context.WithoutCancel(g.t.Context()))
	ready, done := make(chan struct{}), make(chan error, 1)
	logger := slog.New(slog.NewTextHandler(io.MultiWriter(g.logs, g.t.Output()), &slog.HandlerOptions{Level: slog.LevelDebug}))
	go func() {
		done <- app.Run(ctx, app.Options{
			Config: g.config(extra), Logger: logger, Listener: l, Fetch: g.fetch, Pack: g.pack, Ready: func(net.Addr) { close(ready) },
		})
	}()
	stop := sync.OnceValue(func() error { cancel(); return <-done })
	g.stop = stop
	g.t.Cleanup(func() {
		if err := stop(); err != nil {
			g.t.Errorf("gateway: %v", err)
		}
	})
	select {
	case <-ready:
	case err := <-done:
		done <- err
		g.t.Fatalf("the gateway did not start: %v", err)
	}
}

// registration registers a client and returns its id.
func (g *gateway) registration() string {
	g.t.Helper()
	body := `{"client_name":"Test client","redirect_uris":["http://127.0.0.1/callback"],"token_endpoint_auth_method":"none","application_type":"native"}`
	resp, err := http.Post(g.url+"/register", "application/json", strings.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var info oauth.ClientInformation
	if err := json.NewDecoder(resp.Body).Decode(&info); err != nil || resp.StatusCode != http.StatusCreated {
		g.t.Fatalf("register: status %d, %v", resp.StatusCode, err)
	}
	return info.ClientID
}

// authorization is a client's request in progress.
type authorization struct {
	clientID, verifier, state string
}

func (g *gateway) authorizeURL(a authorization, change func(url.Values)) string {
	q := url.Values{
		"client_id": {a.clientID}, "response_type": {"code"}, "redirect_uri": {clientRedirect}, "state": {a.state},
		"code_challenge": {oauth.ChallengeS256(a.verifier)}, "code_challenge_method": {"S256"},
		"scope": {"mcp offline_access openid"}, "resource": {g.url + "/mcp"},
	}
	if change != nil {
		change(q)
	}
	return g.url + "/authorize?" + q.Encode()
}

func newAuthorization(clientID string) authorization {
	return authorization{clientID: clientID, verifier: oauth.NewVerifier(), state: "state-" + oauth.NewVerifier()[:8]}
}

// signIn takes a person through consent and Microsoft and returns the client's
// answer.
func (g *gateway) signIn(b *browser, a authorization, who string) url.Values {
	g.t.Helper()
	ctx := g.t.Context()
	consent, _ := b.open(ctx, g.authorizeURL(a, nil))
	microsoft, _ := b.press(ctx, consent, "allow")
	page, back := b.press(ctx, microsoft, who)
	if back == nil {
		g.t.Fatalf("the sign-in did not return to the client (status %d):\n%s", page.status, page.body)
	}
	return back.Query()
}

type tokenAnswer struct {
	status int
	oauth.TokenResponse
	oauth.ErrorResponse
}

// token asks the token endpoint.
func (g *gateway) token(form url.Values) tokenAnswer {
	g.t.Helper()
	resp, err := http.PostForm(g.url+"/token", form)
	if err != nil {
		g.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	a := tokenAnswer{status: resp.StatusCode}
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	for _, into := range []any{&a.TokenResponse, &a.ErrorResponse} {
		if err := json.Unmarshal(data, into); err != nil {
			g.t.Fatalf("token answer %s: %v", data, err)
		}
	}
	if resp.Header.Get("Cache-Control") != "no-store" {
		g.t.Error("a token answer may be stored")
	}
	return a
}

func (g *gateway) redeem(a authorization, code string, change func(url.Values)) tokenAnswer {
	g.t.Helper()
	form := url.Values{
		"grant_type": {"authorization_code"}, "client_id": {a.clientID}, "code": {code},
		"redirect_uri": {clientRedirect}, "code_verifier": {a.verifier}, "resource": {g.url + "/mcp"},
	}
	if change != nil {
		change(form)
	}
	return g.token(form)
}

func (g *gateway) refresh(clientID, token string) tokenAnswer {
	g.t.Helper()
	return g.token(url.Values{"grant_type": {"refresh_token"}, "client_id": {clientID}, "refresh_token": {token}, "resource": {g.url + "/mcp"}})
}

// grant signs a person in from the beginning.
func (g *gateway) grant(who string) (clientID string, answer tokenAnswer) {
	g.t.Helper()
	a := newAuthorization(g.registration())
	code := g.signIn(newBrowser(g.t), a, who).Get("code")
	answer = g.redeem(a, code, nil)
	if answer.status != http.StatusOK {
		g.t.Fatalf("redeem: %+v", answer)
	}
	return a.clientID, answer
}

// post sends a message to /mcp.
func (g *gateway) post(bearer, body string, header http.Header) (*http.Response, string) {
	g.t.Helper()
	req, err := http.NewRequestWithContext(g.t.Context(), http.MethodPost, g.url+"/mcp", strings.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	maps.Copy(req.Header, header)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		g.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return resp, string(data)
}

const modernMeta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`

// callModern calls a tool in the stateless era.
func (g *gateway) callModern(bearer, tool, arguments string) (*http.Response, string) {
	g.t.Helper()
	return g.post(bearer, `{"jsonrpc":"2.0","id":12345678901234567890,"method":"tools/call","params":{"name":"`+tool+`","arguments":`+arguments+`,`+modernMeta+`}}`,
		http.Header{"Mcp-Protocol-Version": {"2026-07-28"}, "Mcp-Method": {"tools/call"}, "Mcp-Name": {tool}})
}
