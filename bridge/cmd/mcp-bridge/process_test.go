package main

import (
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"mcp-gateway/bridge/internal/lab"
)

func TestStdoutIsTheProtocolOnly(t *testing.T) {
	t.Parallel()
	server := lab.NewAuthServer(t) // nobody has signed in
	p := startBridge(t, t.TempDir(), nil, server.Server(), "--token-store", "file", "--no-browser", "--log-level", "debug")
	p.open(t, `"name":"mcp-bridge"`)
	_, _ = p.in.Write([]byte("nonsense\n[]\n" + `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x"}}` + "\n"))
	_ = p.in.Close()
	lines := 0
	for ; p.out.Scan(); lines++ {
		if !json.Valid(p.out.Bytes()) || !strings.HasPrefix(p.out.Text(), `{"jsonrpc":"2.0"`) {
			t.Errorf("stdout has %q", p.out.Text())
		}
	}
	if lines < 2 {
		t.Errorf("%d lines", lines)
	}
}

func TestTheEndOfInputEndsTheProcess(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(serveMCP))
	t.Cleanup(server.Close)
	p := startBridge(t, t.TempDir(), nil, server.URL+"/mcp", "--token-store", "memory")
	p.open(t, `"name":"lab"`)
	if err := p.calls(1, 3); err != nil {
		t.Error(err)
	}
	_ = p.in.Close()
	if p.out.Scan() {
		t.Errorf("after the end: %s", p.out.Text())
	}
}

func TestSIGTERMLetsACallComeToItsEnd(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("left out: SIGTERM (there is none on Windows)")
	}
	called, release := make(chan struct{}), make(chan struct{})
	var deleted atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodDelete {
			deleted.Store(true)
			return
		}
		if r.Header.Get("Mcp-Protocol-Version") != "" && r.ContentLength > 70 { // the call
			close(called)
			<-release
		}
		w.Header().Set("Mcp-Session-Id", "s")
		serveMCP(w, r)
	}))
	t.Cleanup(server.Close)
	p := startBridge(t, t.TempDir(), nil, server.URL+"/mcp", "--token-store", "memory")
	p.open(t, `"name":"lab"`)
	_, _ = p.in.Write([]byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"` + strings.Repeat("x", 70) + `"}}` + "\n"))
	<-called
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(100*time.Millisecond, func() { close(release) })
	if err := p.answers(1, `"id":1,"result"`); err != nil {
		t.Error(err)
	}
	if p.out.Scan() || !deleted.Load() {
		t.Errorf("after the answer: %q, session ended: %v", p.out.Text(), deleted.Load())
	}
}

func TestAServerThatIsDownDoesNotEndTheProcess(t *testing.T) {
	t.Parallel()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	p := startBridge(t, t.TempDir(), nil, gone.URL+"/mcp", "--token-store", "memory")
	p.open(t, `"name":"mcp-bridge"`)
	_, _ = p.in.Write([]byte(`{"jsonrpc":"2.0","id":1,"method":"ping"}` + "\n"))
	if err := p.answers(1, `{"jsonrpc":"2.0","id":1,"result":{}}`); err != nil {
		t.Error(err)
	}
}

func TestTheProxyOfTheEnvironmentIsUsed(t *testing.T) {
	t.Parallel()
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Host != "mcp.invalid" { // a proxy is asked with the whole address
			t.Errorf("the proxy was asked for %s", r.URL)
		}
		serveMCP(w, r)
	}))
	t.Cleanup(proxy.Close)
	p := startBridge(t, t.TempDir(), []string{"HTTP_PROXY=" + proxy.URL}, "http://mcp.invalid/mcp", "--allow-http", "--token-store", "memory")
	// Nobody is signed in, so the first answer may come before the proxy's.
	p.open(t, `"serverInfo"`)
	if err := p.calls(1, 1); err != nil {
		t.Error(err)
	}
}

func TestPrivateCertificates(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(http.HandlerFunc(serveMCP))
	t.Cleanup(server.Close)
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct{ env, args []string }{
		"by option":   {nil, []string{"--ca-cert", file}},
		"by variable": {[]string{"NODE_EXTRA_CA_CERTS=" + file}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := startBridge(t, t.TempDir(), tc.env, append(tc.args, server.URL+"/mcp", "--token-store", "memory")...)
			p.open(t, `"serverInfo"`)
			if err := p.calls(1, 1); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("not at all", func(t *testing.T) {
		t.Parallel()
		got := runWith(t, noBrowser(t), nil, "login", server.URL+"/mcp", "--token-store", "file")
		if got.code != exitFailure || !strings.Contains(got.stderr, "--ca-cert") {
			t.Errorf("%+v", got)
		}
	})
}

func TestNoSecretIsInTheArguments(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("left out: arguments of a process (read from /proc)")
	}
	server := lab.NewAuthServer(t)
	server.Set(func(k *lab.Knobs) { k.Clients = map[string]string{"known": "hush-hush"}; k.Serve = serveMCP })
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("hush-hush\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := startBridge(t, t.TempDir(), nil, server.Server(), "--token-store", "memory", "--no-browser", "--client-id", "known", "--client-secret-file", file)
	p.open(t, `"serverInfo"`)
	for _, name := range []string{"cmdline", "environ"} {
		data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p.cmd.Process.Pid), name))
		if err != nil || strings.Contains(string(data), "hush") || len(data) == 0 {
			t.Errorf("%s: %v, %d bytes", name, err, len(data))
		}
	}
}
