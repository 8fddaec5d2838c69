package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"mcp-gateway/bridge/internal/lab"
	"mcp-gateway/shared/wire"
)

// asBridge makes the test binary the bridge: the tests need other processes.
const asBridge = "MCP_BRIDGE_TEST_AS_BRIDGE"

func TestMain(m *testing.M) {
	if os.Getenv(asBridge) != "" {
		main()
	}
	os.Exit(m.Run())
}

// serveMCP answers every request with its own method.
func serveMCP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	m, parseErr := wire.Parse(body)
	switch {
	case r.Method != http.MethodPost:
		w.WriteHeader(http.StatusMethodNotAllowed)
	case err != nil || parseErr != nil || m.Kind != wire.KindRequest:
		w.WriteHeader(http.StatusAccepted)
	default:
		result := json.RawMessage(`{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"lab","version":"1"}}`)
		if m.Method != "initialize" {
			result = wire.AppendString(nil, m.Method)
			result = append(append([]byte(`{"method":`), result...), '}')
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(wire.AppendResult(nil, m.ID, result))
	}
}

// process is a bridge that the test is the host of.
type process struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

// startBridge starts one with variables of its own; stderr also gets its log.
func startBridge(t *testing.T, home string, env []string, args ...string) *process {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...) // it ends with its input
	cmd.Env = append(os.Environ(), asBridge+"=1", "HOME="+home, "XDG_CONFIG_HOME="+filepath.Join(home, ".config"),
		"DISPLAY=", "WAYLAND_DISPLAY=", "DBUS_SESSION_BUS_ADDRESS=", "NODE_EXTRA_CA_CERTS=", "SSL_CERT_FILE=", "HTTP_PROXY=", "http_proxy=")
	cmd.Env = append(cmd.Env, env...)
	cmd.Stderr = t.Output()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: cmd, in: in, out: bufio.NewScanner(out)}
	t.Cleanup(func() {
		_ = in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the bridge ended with %v", err)
		}
	})
	return p
}

// open does a host's handshake; the answer must have that part.
func (p *process) open(t *testing.T, part string) {
	t.Helper()
	const hello = `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}` + "\n" +
		`{"jsonrpc":"2.0","method":"notifications/initialized"}` + "\n"
	if _, err := io.WriteString(p.in, hello); err != nil {
		t.Fatal(err)
	}
	if err := p.answers(1, part); err != nil {
		t.Fatal(err)
	}
}

// calls sends requests at once and returns an error unless each gets its answer.
func (p *process) calls(first, n int) error {
	for i := range n {
		if _, err := fmt.Fprintf(p.in, `{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"x"}}`+"\n", first+i); err != nil {
			return err
		}
	}
	return p.answers(n, `"result":{"method":"tools/call"}`)
}

// answers reads n lines, each with that part.
func (p *process) answers(n int, part string) error {
	for range n {
		if !p.out.Scan() {
			return fmt.Errorf("no more lines: %w", p.out.Err())
		}
		if !strings.Contains(p.out.Text(), part) {
			return fmt.Errorf("got %s", p.out.Text())
		}
	}
	return nil
}

// Two hosts start a bridge each, and a token that both use ends: one of them renews
// it, and nobody has to sign in again. The server takes a second use of a refresh
// token for a theft.
func TestTwoBridgesRenewTogether(t *testing.T) {
	server := lab.NewAuthServer(t)
	server.Set(func(k *lab.Knobs) { k.Serve = serveMCP })
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(home, ".config"))
	login := command{stdin: strings.NewReader(""), stdout: t.Output(), stderr: t.Output(), getenv: func(string) string { return "" }, open: lab.Browser(t)}
	if code := login.run(t.Context(), []string{"login", server.Server(), "--token-store", "file"}); code != exitOK {
		t.Fatalf("login: %d", code)
	}
	bridges := []*process{
		startBridge(t, home, nil, server.Server(), "--token-store", "file"),
		startBridge(t, home, nil, server.Server(), "--token-store", "file"),
	}
	for _, p := range bridges {
		p.open(t, `"name":"lab"`)
	}
	for round := range 3 {
		server.ExpireAccess()
		var together sync.WaitGroup
		for _, p := range bridges {
			together.Go(func() {
				if err := p.calls(100*round+1, 20); err != nil {
					t.Error(err)
				}
			})
		}
		if together.Wait(); t.Failed() {
			return
		}
		if got := server.Counts(); got.Refreshes != round+1 || got.Authorizations != 1 {
			t.Errorf("round %d: %d refreshes and %d sign-ins, want %d and 1", round, got.Refreshes, got.Authorizations, round+1)
		}
	}
}
