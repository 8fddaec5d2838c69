package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mcp-gateway/gateway/internal/admin"
	"mcp-gateway/gateway/internal/app"
	"mcp-gateway/gateway/internal/config"
	"mcp-gateway/gateway/internal/keyring"
	"mcp-gateway/gateway/internal/store"
	"mcp-gateway/gateway/internal/store/sqlite"
	"mcp-gateway/shared/oauth"
)

const (
	tenant = "aaaaaaaa-0000-0000-0000-000000000001"
	ada    = "bbbbbbbb-0000-0000-0000-00000000000a"
	grace  = "bbbbbbbb-0000-0000-0000-00000000000b"
)

// installation is a gateway's state folder with its configuration.
type installation struct {
	t         *testing.T
	dir, file string
	url       string
	stop      func() error
	verifier  string
	// secrets must never be printed.
	secrets []string
}

// install makes a state folder with a key ring, and runs nothing.
func install(t *testing.T) *installation {
	t.Helper()
	dir, err := os.MkdirTemp("", "cli") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	i := &installation{t: t, dir: dir, file: filepath.Join(dir, "gateway.yaml"), verifier: oauth.NewVerifier()}
	if err := keyring.Create(filepath.Join(dir, "keys.json"), time.Now()); err != nil {
		t.Fatal(err)
	}
	// No secret is in it: administering must need none.
	if err := os.WriteFile(i.file, fmt.Appendf(nil, "state_dir: %q\naccess:\n  - {name: all, tenants: ['*'], tools: ['*']}\n", dir), 0o600); err != nil {
		t.Fatal(err)
	}
	return i
}

// publicURL is the same each time the gateway is started, on whatever port: it is
// what tokens are for.
const publicURL = "http://localhost:1"

// serve runs the gateway until stop, at the latest until the test ends.
func (i *installation) serve() {
	i.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		i.t.Fatal(err)
	}
	i.url = fmt.Sprintf("http://localhost:%d", l.Addr().(*net.TCPAddr).Port)
	env := map[string]string{
		"MICROSOFT_CLIENT_ID": ada, "MICROSOFT_CLIENT_SECRET": canary, "MICROSOFT_TENANT_ID": tenant, "MICROSOFT_AUTHORITY_HOST": "http://127.0.0.1:9",
	}
	data, err := os.ReadFile(i.file)
	if err != nil {
		i.t.Fatal(err)
	}
	cfg, err := config.Load(config.Source{
		File: i.file, Data: fmt.Appendf(data, "public_url: %s\n", publicURL), InsecureDevelopment: true,
		Env: func(name string) (string, bool) { v, ok := env[name]; return v, ok },
	})
	if err != nil {
		i.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(i.t.Context()))
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() {
		done <- app.Run(ctx, app.Options{
			Config: cfg, Listener: l, Logger: slog.New(slog.NewTextHandler(i.t.Output(), nil)), Ready: func(net.Addr) { close(ready) },
		})
	}()
	i.stop = sync.OnceValue(func() error { cancel(); return <-done })
	i.t.Cleanup(func() {
		if err := i.stop(); err != nil {
			i.t.Error(err)
		}
	})
	select {
	case <-ready:
	case err := <-done:
		done <- err
		i.t.Fatalf("the gateway did not start: %v", err)
	}
}

// register registers a client at the gateway that runs.
func (i *installation) register() string {
	i.t.Helper()
	resp, err := http.Post(i.url+"/register", "application/json", strings.NewReader(`{"client_name":"Editor","redirect_uris":["http://127.0.0.1/callback"],"token_endpoint_auth_method":"none"}`))
	if err != nil {
		i.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var info oauth.ClientInformation
	if err := json.NewDecoder(resp.Body).Decode(&info); err != nil || resp.StatusCode != http.StatusCreated {
		i.t.Fatalf("register: %d, %v", resp.StatusCode, err)
	}
	return info.ClientID
}

// person is somebody who signed in, with what their client holds.
type person struct{ grant, bearer, code string }

// sign puts people into the database while no gateway runs: each has a grant
// with an access token, and a code on its way to the client.
func (i *installation) sign(clientID string, people map[string]string) map[string]person {
	i.t.Helper()
	db, err := sqlite.Open(i.t.Context(), filepath.Join(i.dir, "gateway.db"))
	if err != nil {
		i.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(i.t.Context())
	ran := make(chan error, 1)
	go func() { ran <- db.Run(ctx) }()
	out, now := make(map[string]person), time.Now()
	for name, object := range people {
		p := person{grant: "GRANT" + strings.ToUpper(name), bearer: "mcpat_" + oauth.NewVerifier(), code: "mcpac_" + oauth.NewVerifier()}
		code := store.Code{
			Hash: store.HashOf("first code of " + name), Challenge: oauth.ChallengeS256(i.verifier), RedirectURI: "http://127.0.0.1/callback",
			CreatedAt: now, ExpiresAt: now.Add(time.Hour),
			Grant: store.Grant{
				ID: p.grant, ClientID: clientID, ClientName: "Edi\x1b[2Jtor", Resource: publicURL, Scopes: []string{"mcp"}, CreatedAt: now, ExpiresAt: now.Add(24 * time.Hour),
				Identity: store.Identity{Tenant: tenant, Object: object, Name: name + "\u202e", Username: name + "@example.com"},
			},
		}
		first := store.AccessToken{Hash: store.HashOf(p.bearer), Scopes: []string{"mcp"}, IssuedAt: now, ExpiresAt: now.Add(time.Hour)}
		waiting := code
		waiting.Hash, waiting.Grant.ID = store.HashOf(p.code), p.grant+"2"
		err := errors.Join(db.CreateCode(ctx, code), db.CreateCode(ctx, waiting))
		if _, redeemErr := db.RedeemCode(ctx, store.Redemption{Code: code.Hash, Access: first}, now); errors.Join(err, redeemErr) != nil {
			i.t.Fatal(err, redeemErr)
		}
		out[name] = p
		i.secrets = append(i.secrets, p.bearer, p.code)
	}
	cancel()
	if err := errors.Join(<-ran, db.Close()); err != nil {
		i.t.Fatal(err)
	}
	return out
}

// status is what a bearer gets at /mcp.
func (i *installation) status(bearer string) int {
	i.t.Helper()
	req, err := http.NewRequestWithContext(i.t.Context(), http.MethodPost, i.url+"/mcp", strings.NewReader(
		`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`))
	if err != nil {
		i.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	req.Header.Set("Authorization", "Bearer "+bearer)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		i.t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// redeem is what a client gets for a code.
func (i *installation) redeem(clientID, code string) (int, string) {
	i.t.Helper()
	resp, err := http.PostForm(i.url+"/token", url.Values{
		"grant_type": {"authorization_code"}, "client_id": {clientID}, "code": {code}, "redirect_uri": {"http://127.0.0.1/callback"}, "code_verifier": {i.verifier},
	})
	if err != nil {
		i.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var refused oauth.ErrorResponse
	if err := json.NewDecoder(resp.Body).Decode(&refused); err != nil {
		i.t.Fatal(err)
	}
	return resp.StatusCode, refused.Error
}

// run runs a command with the configuration behind it.
func (i *installation) run(args ...string) outcome {
	i.t.Helper()
	var stdout, stderr bytes.Buffer
	c := command{stdout: &stdout, stderr: &stderr, env: func(string) (string, bool) { return "", false },
		administer: func(ctx context.Context, dir string, logger *slog.Logger, req admin.Request) (admin.Answer, error) {
			return app.Administer(ctx, dir, "uid 7", logger, req)
		}}
	o := outcome{code: c.run(i.t.Context(), append(args, "--config", i.file))}
	o.stdout, o.stderr = stdout.String(), stderr.String()
	for _, secret := range append(i.secrets, canary, "\x1b", "\u202e") {
		if strings.Contains(o.stdout+o.stderr, secret) {
			i.t.Errorf("%v prints %.6q...", args, secret)
		}
	}
	return o
}

// says runs a command that must succeed, with that on its outputs.
func (i *installation) says(stdout, stderr string, args ...string) {
	i.t.Helper()
	if diff := cmp.Diff(outcome{stdout: stdout, stderr: stderr}, i.run(args...), cmp.AllowUnexported(outcome{})); diff != "" {
		i.t.Errorf("%v (-want +got):\n%s", args, diff)
	}
}

// fails runs a command that must fail with 1 and say something.
func (i *installation) fails(says string, args ...string) {
	i.t.Helper()
	if o := i.run(args...); o.code != 1 || o.stdout != "" || !strings.Contains(o.stderr, says) {
		i.t.Errorf("%v: got %+v, want a failure about %q", args, o, says)
	}
}

// running is a gateway that runs, with people signed in.
func running(t *testing.T) (i *installation, clientID string, people map[string]person) {
	t.Helper()
	i = install(t)
	i.serve()
	clientID = i.register()
	if err := i.stop(); err != nil {
		t.Fatal(err)
	}
	people = i.sign(clientID, map[string]string{"ada": ada, "grace": grace})
	i.serve()
	for name, p := range people {
		if got := i.status(p.bearer); got != http.StatusOK {
			t.Fatalf("%s's token gets %d", name, got)
		}
	}
	return i, clientID, people
}

// refused checks that the first call after a command is refused: the token was in
// the cache, which would believe it for seconds.
func (i *installation) refused(bearer string) {
	i.t.Helper()
	since := time.Now()
	got := i.status(bearer)
	i.t.Logf("answered %v after the command", time.Since(since))
	if got != http.StatusUnauthorized {
		i.t.Errorf("the first call after the command gets %d", got)
	}
}
