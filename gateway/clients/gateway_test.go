package clients_test

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"mcp-gateway/gateway/internal/keyring"
	"mcp-gateway/shared/entrasim"
)

// gateway is a process of the product. Its Microsoft is simulated, and on https
// as the product demands.
type gateway struct {
	url       string
	dir       string // its state
	program   string
	trusted   string // a file with Microsoft's certificate
	sim       *entrasim.Sim
	microsoft *httptest.Server
	process   *exec.Cmd
	log       bytes.Buffer // of one process after the other
}

func newGateway(t *testing.T) *gateway {
	t.Helper()
	g := &gateway{url: "http://localhost:" + freePort(t), dir: t.TempDir()}
	g.program, g.trusted = filepath.Join(g.dir, "mcp-gateway"), filepath.Join(g.dir, "microsoft.pem")
	build(t, "..", g.program)
	const secret = "a-secret-of-nobody"
	var err error
	if g.sim, err = entrasim.New(entrasim.Demo(entrasim.DemoClientID, secret, g.url+"/callback")); err != nil {
		t.Fatal(err)
	}
	g.microsoft = httptest.NewTLSServer(g.sim.Handler())
	t.Cleanup(g.microsoft.Close)
	if err := keyring.Create(filepath.Join(g.dir, "keys.json"), time.Now()); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		g.trusted:                             pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: g.microsoft.Certificate().Raw}),
		filepath.Join(g.dir, "client-secret"): []byte(secret),
		filepath.Join(g.dir, "gateway.yaml"):  g.configuration(),
	} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if g.process != nil {
			_ = g.process.Process.Kill()
			_ = g.process.Wait()
		}
		if t.Failed() {
			t.Logf("the gateway said:\n%s", g.log.Bytes())
		}
	})
	g.start(t)
	return g
}

func (g *gateway) configuration() []byte {
	return fmt.Appendf(nil, `
public_url: %s
listen: %s
state_dir: .
microsoft:
  client_id: %s
  client_secret_file: client-secret
  tenant_id: %s
  authority_host: %s
  recheck_interval: 0s # each renewal goes to Microsoft
tokens: {access_lifetime: %s}
access:
  - {name: everybody, tenants: [%[4]s], tools: ["*"]}
`, g.url, strings.Replace(g.url, "http://localhost", "127.0.0.1", 1), entrasim.DemoClientID, entrasim.DemoTenant, g.microsoft.URL, lifetime)
}

// start starts the process and waits until it is ready.
func (g *gateway) start(t *testing.T) {
	t.Helper()
	g.process = exec.Command(g.program, "serve", "--config", filepath.Join(g.dir, "gateway.yaml"))
	g.process.Env = []string{"SSL_CERT_FILE=" + g.trusted}
	g.process.Stdout, g.process.Stderr = &g.log, &g.log
	if err := g.process.Start(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for !g.ready(ctx) {
		if ctx.Err() != nil {
			t.Fatal("the gateway does not come up")
		}
		time.Sleep(10 * time.Millisecond) // a process tells nobody
	}
}

func (g *gateway) ready(ctx context.Context) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, g.url+"/readyz", nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// stop ends the process as a service manager does.
func (g *gateway) stop(t *testing.T) {
	t.Helper()
	process := g.process
	g.process = nil
	if err := errors.Join(process.Process.Signal(syscall.SIGTERM), process.Wait()); err != nil {
		t.Fatalf("the gateway did not stop as it should: %v", err)
	}
}
