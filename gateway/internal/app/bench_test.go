package app

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mcp-gateway/gateway/internal/client"
	"mcp-gateway/gateway/internal/config"
	"mcp-gateway/gateway/internal/keyring"
	"mcp-gateway/gateway/internal/store"
	"mcp-gateway/gateway/internal/store/sqlite"
	"mcp-gateway/gateway/internal/token"
	"mcp-gateway/shared/oauth"
)

// callers of the budgets (DESIGN §5).
const callers = 16

// benchConfig is a gateway as it is delivered, but for the limit of requests of
// one address: all callers have one here.
const benchConfig = `
public_url: http://localhost:1
access: [{name: everybody, tenants: ["*"], tools: ["*"]}]
http: {rates: {token: {per_minute: 100000, burst: 100000}}}
`

// benched is the whole gateway over HTTP, and what a sign-in would have left.
type benched struct {
	address  string
	db       *sqlite.Store
	clientID string
	verifier string
}

func newBenched(b *testing.B) *benched {
	b.Helper()
	whole, cfg, c := assemble(b, benchConfig)
	info, err := client.NewDirectory(client.Config{Ring: c.ring, Policy: admission(cfg.Clients)}).Register(oauth.ClientMetadata{
		ClientName: "Bench", RedirectURIs: []string{"http://127.0.0.1/callback"},
	}, time.Now())
	if err != nil {
		b.Fatal(err)
	}
	return &benched{db: c.db, clientID: info.ClientID, verifier: oauth.NewVerifier(), address: listenOn(b, whole.handler)}
}

// assemble builds a gateway with that configuration, whose store runs.
func assemble(tb testing.TB, configuration string) (gateway, *config.Config, core) {
	tb.Helper()
	dir := tb.TempDir()
	env := map[string]string{
		"MICROSOFT_CLIENT_ID": "22222222-2222-2222-2222-222222222222", "MICROSOFT_CLIENT_SECRET": "secret",
		"MICROSOFT_TENANT_ID": "11111111-1111-1111-1111-111111111111",
	}
	cfg, err := config.Load(config.Source{
		Data: fmt.Appendf(nil, "state_dir: %q\n%s", dir, configuration), InsecureDevelopment: true,
		Env: func(k string) (string, bool) { v, ok := env[k]; return v, ok },
	})
	if err != nil {
		tb.Fatal(err)
	}
	keys := filepath.Join(dir, "keys.json")
	if err := keyring.Create(keys, time.Now()); err != nil {
		tb.Fatal(err)
	}
	ring, err := keyring.Load(keys, time.Now())
	if err != nil {
		tb.Fatal(err)
	}
	// What is logged is made, as in the product, and goes nowhere.
	logger := slog.New(slog.NewJSONHandler(io.Discard, nil))
	c := newCore(cfg, ring, runStore(tb, filepath.Join(dir, "gateway.db")), logger)
	whole, err := build(cfg, c, outside{fetch: http.DefaultClient}, logger)
	if err != nil {
		tb.Fatal(err)
	}
	return whole, cfg, c
}

func runStore(tb testing.TB, path string) *sqlite.Store {
	tb.Helper()
	db, err := sqlite.Open(tb.Context(), path)
	if err != nil {
		tb.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(tb.Context()))
	ran := make(chan error, 1)
	go func() { ran <- db.Run(ctx) }()
	tb.Cleanup(func() {
		stop()
		if err := errors.Join(<-ran, db.Close()); err != nil {
			tb.Error(err)
		}
	})
	return db
}

// listenOn serves handler on a free port of loopback and returns its address.
func listenOn(b *testing.B, handler http.Handler) string {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	srv := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	b.Cleanup(func() {
		if err := srv.Close(); err != nil {
			b.Error(err)
		}
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			b.Error(err)
		}
	})
	return l.Addr().String()
}

// codes are n authorization codes that wait to be redeemed.
func (g *benched) codes(b *testing.B, n int) []string {
	b.Helper()
	values := make([]string, n)
	errs := make([]error, callers)
	var group sync.WaitGroup
	for c := range callers {
		group.Go(func() {
			for i := c; i < n && errs[c] == nil; i += callers {
				values[i] = token.NewCode()
				errs[c] = g.db.CreateCode(b.Context(), g.code(values[i]))
			}
		})
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		b.Fatal(err)
	}
	return values
}

func (g *benched) code(value string) store.Code {
	now := time.Now()
	hash := store.HashOf(value)
	return store.Code{
		Hash: hash, RedirectURI: "http://127.0.0.1:49152/callback", Challenge: oauth.ChallengeS256(g.verifier),
		CreatedAt: now, ExpiresAt: now.Add(time.Hour),
		Grant: store.Grant{
			ID: fmt.Sprintf("%x", hash[:16]), ClientID: g.clientID, ClientName: "Bench", Resource: "http://localhost:1",
			Identity: store.Identity{Tenant: "11111111-1111-1111-1111-111111111111", Object: "33333333-3333-3333-3333-333333333333"},
			Scopes:   []string{"mcp", "offline_access"}, CreatedAt: now, ExpiresAt: now.Add(24 * time.Hour),
		},
	}
}

func (g *benched) exchange(c *conn, code string) (oauth.TokenResponse, error) {
	return g.token(c, url.Values{
		"grant_type": {"authorization_code"}, "client_id": {g.clientID}, "code": {code}, "code_verifier": {g.verifier},
		"redirect_uri": {"http://127.0.0.1:49152/callback"}, "resource": {"http://localhost:1/mcp"},
	})
}

func (g *benched) token(c *conn, form url.Values) (oauth.TokenResponse, error) {
	var answer oauth.TokenResponse
	body, err := c.post("/token", "application/x-www-form-urlencoded", form.Encode())
	if err == nil {
		err = json.Unmarshal(body, &answer)
	}
	return answer, err
}

// BenchmarkExchange redeems codes: the whole way from the socket, with the rows
// of the trail, each code checked and answered as in the product.
func BenchmarkExchange(b *testing.B) {
	g := newBenched(b)
	codes := g.codes(b, b.N)
	var next atomic.Int64
	parallel(b, g.address, func(c *conn) func() error {
		return func() error {
			_, err := g.exchange(c, codes[next.Add(1)-1])
			return err
		}
	})
}

// BenchmarkRefresh rotates refresh tokens: each caller the tokens of its grant.
func BenchmarkRefresh(b *testing.B) {
	g := newBenched(b)
	codes := g.codes(b, callers+runtime.GOMAXPROCS(0))
	var next atomic.Int64
	parallel(b, g.address, func(c *conn) func() error {
		held, err := g.exchange(c, codes[next.Add(1)-1])
		return func() error {
			if err == nil {
				held, err = g.token(c, url.Values{
					"grant_type": {"refresh_token"}, "client_id": {g.clientID}, "refresh_token": {held.RefreshToken}, "resource": {"http://localhost:1/mcp"},
				})
			}
			return err
		}
	})
}

// BenchmarkEcho is the yardstick of the budgets: net/http that reads and writes
// JSON, over the same kind of connections.
func BenchmarkEcho(b *testing.B) {
	address := listenOn(b, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in map[string]any
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(in)
	}))
	parallel(b, address, func(c *conn) func() error {
		return func() error {
			_, err := c.post("/", "application/json", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"math_add","arguments":{"a":23,"b":19}}}`)
			return err
		}
	})
}

// parallel spreads b.N requests over the callers, each with its own connection,
// and reports requests a second, the 99th of 100 latencies, and what a request
// costs of the processors, with its client.
func parallel(b *testing.B, address string, caller func(*conn) func() error) {
	b.ReportAllocs()
	b.SetParallelism((callers + runtime.GOMAXPROCS(0) - 1) / runtime.GOMAXPROCS(0))
	var mu sync.Mutex
	var took []time.Duration // guarded by mu
	began, spent := time.Now(), cpuTime()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		c, err := dial(address)
		if err != nil {
			b.Error(err)
			return
		}
		defer func() { _ = c.Close() }()
		call := caller(c)
		own := make([]time.Duration, 0, b.N/callers+1)
		for pb.Next() {
			start := time.Now()
			if err := call(); err != nil {
				b.Error(err)
				return
			}
			own = append(own, time.Since(start))
		}
		mu.Lock()
		defer mu.Unlock()
		took = append(took, own...)
	})
	b.StopTimer()
	b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "req/s")
	b.ReportMetric(float64(cpuTime()-spent)/float64(b.N), "cpu-ns/op")
	if len(took) > 0 {
		slices.Sort(took)
		b.ReportMetric(float64(took[len(took)*99/100]), "p99-ns")
	}
}

// conn is one connection of a client that costs as little as one can: what is
// measured is the other end.
type conn struct {
	net.Conn
	in  *bufio.Reader
	out bytes.Buffer
}

func dial(address string) (*conn, error) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, in: bufio.NewReader(c)}, nil
}

// post returns the body of a 200.
func (c *conn) post(path, mediaType, body string) ([]byte, error) {
	c.out.Reset()
	fmt.Fprintf(&c.out, "POST %s HTTP/1.1\r\nHost: localhost:1\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", path, mediaType, len(body), body)
	if _, err := c.Write(c.out.Bytes()); err != nil {
		return nil, err
	}
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return nil, err
	}
	answer, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s was answered with %d %s", path, resp.StatusCode, answer)
	}
	return answer, err
}
