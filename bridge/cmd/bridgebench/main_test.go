package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestMain is also the program that is measured: it is told by its flags.
func TestMain(m *testing.M) {
	if slices.Contains(os.Args, "--token-store") {
		standIn(os.Args[1])
		return
	}
	os.Exit(m.Run())
}

// standIn relays line by line, and is as wrong as its address asks for.
func standIn(url string) {
	for in := bufio.NewReader(os.Stdin); ; {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return
		}
		resp, err := http.Post(url, "application/json", bytes.NewReader(line))
		if err != nil {
			_, _ = fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err == nil && len(body) > 0 {
			_, _ = fmt.Printf("%s\n", bytes.TrimSpace(body))
		}
	}
}

// withCertificates is the environment of a machine that sets more than needed.
func withCertificates(key string) (string, bool) {
	return "extra.pem", key == "NODE_EXTRA_CA_CERTS"
}

func TestOneRoundMeasuresEverything(t *testing.T) {
	t.Parallel()
	var out, said strings.Builder
	if err := run(t.Context(), []string{"--bridge", os.Args[0], "--calls", "3"}, &out, &said, withCertificates); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(said.String(), "NODE_EXTRA_CA_CERTS is set here and kept from the programs") {
		t.Errorf("it says %q", said.String())
	}
	var got map[string]sample
	if err := json.Unmarshal([]byte(out.String()), &got); err != nil {
		t.Fatal(err)
	}
	f := got[bridge]
	if len(f.Starts) != startsPerRound || slices.Min(f.Starts) <= 0 || len(f.Latencies) != 3 || f.PerSecond <= 0 || f.Exit <= 0 || f.Size <= 0 {
		t.Errorf("not everything was measured: %s", out.String())
	}
	if plain := got[direct]; len(plain.Starts) != startsPerRound || len(plain.Latencies) != 3 || plain.PerSecond <= 0 || len(got) != 2 {
		t.Errorf("not everything was measured: %s", out.String())
	}
}

func TestWhatIsRefused(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args []string
		env  map[string]string
		want string
	}{
		"no bridge":             {args: []string{"--bridge", "nowhere"}, want: "make build"},
		"no calls":              {args: []string{"--calls", "0"}, want: "1 or more"},
		"an argument":           {args: []string{"fast"}, want: "nothing stands behind"},
		"an unknown flag":       {args: []string{"--fast"}, want: "not defined"},
		"a script that is gone": {args: []string{"--bridge", os.Args[0]}, env: map[string]string{"MCP_REMOTE": "nowhere.js"}, want: "MCP_REMOTE"},
		"a bridge that cannot":  {args: []string{"--bridge", "main.go"}, want: "permission denied"},
	} {
		err := run(t.Context(), test.args, io.Discard, io.Discard, func(key string) (string, bool) { v, ok := test.env[key]; return v, ok })
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAWrongAnswerIsNotMeasured: a program that fails quickly is not fast.
func TestAWrongAnswerIsNotMeasured(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		line string
		mine bool
		ok   bool
	}{
		"an answer":          {`{"jsonrpc":"2.0","id":7,"result":{}}`, true, true},
		"another's answer":   {`{"jsonrpc":"2.0","id":8,"result":{}}`, false, true},
		"a notification":     {`{"jsonrpc":"2.0","method":"notifications/message"}`, false, true},
		"an error":           {`{"jsonrpc":"2.0","id":7,"error":{"code":-32603,"message":"no"}}`, true, false},
		"nothing in it":      {`{"jsonrpc":"2.0","id":7}`, true, false},
		"an id of text":      {`{"jsonrpc":"2.0","id":"7","result":{}}`, false, true},
		"a log line":         {`listening`, false, false},
		"an end in the line": {`{"jsonrpc":"2.0","id":7,"result":`, false, false},
	} {
		if mine, err := accept([]byte(test.line), 7); mine != test.mine || (err == nil) != test.ok {
			t.Errorf("%s: %v, %v", name, mine, err)
		}
	}
}

func TestTheServerAnswersOnlyWhatItKnows(t *testing.T) {
	t.Parallel()
	srv, err := serve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := srv.close(); err != nil {
			t.Error(err)
		}
	}()
	plain := newStraight(srv.url, 1)
	defer plain.close()
	if err := plain.call(t.Context(), 1, "tools/call", callParams); err != nil {
		t.Error(err)
	}
	if err := plain.call(t.Context(), 2, "server/discover", "{}"); err == nil || !strings.Contains(err.Error(), "-32601") {
		t.Errorf("server/discover: %v", err)
	}
	gone := newStraight(strings.TrimSuffix(srv.url, "mcp"), 1)
	defer gone.close()
	if err := gone.flood(t.Context(), 10, 3); err == nil {
		t.Error("a flood of refusals counts as calls")
	}
}

func TestProgramsSeeLittleOfTheEnvironment(t *testing.T) {
	t.Setenv("NODE_EXTRA_CA_CERTS", "extra.pem")
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=nowhere")
	t.Setenv("DISPLAY", ":0")
	env := environment("home")
	for _, entry := range env {
		for _, name := range []string{"NODE_EXTRA_CA_CERTS=", "DBUS_SESSION_BUS_ADDRESS=", "DISPLAY="} {
			if strings.HasPrefix(entry, name) {
				t.Errorf("the programs see %s", entry)
			}
		}
	}
	if !slices.Contains(env, "HOME=home") || !slices.Contains(env, "PATH="+os.Getenv("PATH")) {
		t.Errorf("the programs see only %v", env)
	}
}

func TestMemoryIsOfTheWholeTree(t *testing.T) {
	t.Parallel()
	parents := map[int]int{10: 1, 11: 10, 12: 11, 20: 1, 21: 20}
	for id, want := range map[int]bool{10: true, 11: true, 12: true, 20: false, 21: false, 1: false, 0: false, 99: false} {
		if got := inTree(parents, id, 10); got != want {
			t.Errorf("%d: %v", id, got)
		}
	}
	status := []byte("Name:\tx\nPPid:\t12\nVmRSS:\t    2048 kB\n")
	if got := statusField(status, "VmRSS:"); got != 2048 {
		t.Errorf("VmRSS %d", got)
	}
	if got := statusField(status, "VmSwap:"); got != 0 {
		t.Errorf("VmSwap %d", got)
	}
}
