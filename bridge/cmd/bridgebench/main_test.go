package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
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

func TestOneRunMeasuresEverything(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "out.json")
	var out strings.Builder
	err := run(t.Context(), []string{"--bridge", os.Args[0], "--rounds", "1", "--calls", "3", "--json", file}, &out, t.Output(), withCertificates)
	// A test binary is no small program, so a gate may be missed.
	if err != nil && !strings.Contains(err.Error(), "over budget: ") {
		t.Fatal(err)
	}
	for _, want := range []string{"direct", "left out: Node", "NODE_EXTRA_CA_CERTS is set here", "start to first answer", "calls/s, 64 in flight", "size of the program", "at most 15.0 MiB"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("there is no %q in:\n%s", want, out.String())
		}
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var got report
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	f := got.Programs[bridge]
	if f == nil || f.StartLeast <= 0 || f.StartP50 < f.StartLeast || f.CallP50 <= 0 || f.PerSecond <= 0 || f.Exit <= 0 || f.Size <= 0 || len(got.Budgets) == 0 {
		t.Errorf("not everything was measured: %s", data)
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
		"no rounds":             {args: []string{"--rounds", "0"}, want: "1 or more"},
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

func TestBudgets(t *testing.T) {
	t.Parallel()
	good := figures{StartP50: 15 * time.Millisecond, StartLeast: 5 * time.Millisecond, Memory: 10 << 20, AddedP50: 100 * time.Microsecond, AddedP99: time.Millisecond, Size: 9e6}
	theirs := figures{StartP50: 410 * time.Millisecond, StartLeast: 400 * time.Millisecond, Memory: 100 << 20, AddedP50: time.Millisecond, AddedP99: 8 * time.Millisecond}
	for _, test := range []struct {
		name   string
		change func(ours, theirs *figures)
		alone  bool // mcp-remote is not there
		gate   bool
		want   string // the gate that is missed, if any
	}{
		{name: "all kept", gate: true},
		{name: "all kept, without Node", gate: true, alone: true},
		{name: "exactly", gate: true, change: func(o, _ *figures) { o.StartLeast, o.Memory, o.Size = 8*time.Millisecond, 14<<20, 10_000_000 }},
		{name: "a slow start on a busy machine", change: func(o, _ *figures) { o.StartLeast = 9 * time.Millisecond }},
		{name: "a slow start", gate: true, change: func(o, _ *figures) { o.StartLeast = 9 * time.Millisecond }, want: "start to first answer, least: 9.000 ms, at most 8.000 ms"},
		{name: "a start no better than theirs", change: func(_, t *figures) { t.StartLeast = 120 * time.Millisecond }, want: "at most 1/25 of 120.000 ms"},
		{name: "a start that is better on another machine", change: func(_, t *figures) { t.StartLeast = 150 * time.Millisecond }},
		{name: "too much memory", alone: true, change: func(o, _ *figures) { o.Memory = 16 << 20 }, want: "memory after 100 calls: 16.0 MiB"},
		{name: "memory no better than theirs", change: func(_, t *figures) { t.Memory = 60 << 20 }, want: "at most 1/7 of 60.0 MiB"},
		{name: "a byte too large", alone: true, change: func(o, _ *figures) { o.Size = 10_000_001 }, want: "size of the program"},
		{name: "slow calls are no gate", gate: true, change: func(o, _ *figures) { o.AddedP50, o.AddedP99 = time.Second, time.Second }},
		{name: "no memory to read", gate: true, change: func(o, t *figures) { o.Memory, t.Memory = 0, 0 }},
	} {
		ours, other := good, theirs
		if test.change != nil {
			test.change(&ours, &other)
		}
		r := &report{Programs: map[string]*figures{direct: {}, bridge: &ours, remote: &other}}
		if test.alone {
			delete(r.Programs, remote)
		}
		err := r.verdict(test.gate)
		if (err == nil) != (test.want == "") || (err != nil && !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

func TestWhatWasNotMeasuredIsNotPassed(t *testing.T) {
	t.Parallel()
	r := &report{Programs: map[string]*figures{direct: {}, bridge: {}}}
	for _, b := range r.budgets(true) {
		if b.Status == "passed" && !strings.HasPrefix(b.Name, "added") {
			t.Errorf("%v", b)
		}
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

func TestQuantile(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		values []float64
		q      float64
		want   float64
	}{
		{nil, 0.5, 0},
		{[]float64{3}, 0.99, 3},
		{[]float64{5, 1, 4, 2, 3}, 0.5, 3},
		{[]float64{5, 1, 4, 2, 3}, 1, 5},
		{[]float64{2, 1}, 0, 1},
	} {
		if got := quantile(test.values, test.q); got != test.want {
			t.Errorf("%v of %v: %v", test.q, test.values, got)
		}
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
