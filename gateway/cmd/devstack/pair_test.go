package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"golang.org/x/sync/errgroup"

	"mcp-gateway/gateway/internal/lab"
	"mcp-gateway/gateway/internal/token"
)

// patience is for one step of a pair on a busy machine.
const patience = time.Minute

// TestTheBridgeAndTheGateway is what a person does after make build and make
// run: it copies the JSON for Claude Desktop and signs in once. The hosts are
// the official SDKs.
func TestTheBridgeAndTheGateway(t *testing.T) {
	p := newPair(t)
	home := p.newHome(t)
	session := p.connect(t, home, "2025-11-25")
	p.add(t, session)
	p.signedIn(t, home)

	t.Run("another host finds the person signed in", func(t *testing.T) {
		p.add(t, p.connect(t, home, "2026-07-28"))
		p.signedIn(t, home)
	})
	for _, protocol := range []string{"2025-11-25", "2026-07-28"} {
		t.Run("a host in TypeScript speaks "+protocol, func(t *testing.T) { p.typeScript(t, home, protocol) })
	}
	t.Run("two hosts that start at once share one sign-in", p.twoAtOnce)
	t.Run("a server that has nothing but HTTP+SSE is no other", p.overSSE)

	// The gateway is stopped under the first session. A call that is made then is
	// answered when it is back. Only if it went into a connection that was just
	// being closed, nobody can know whether it was carried out, and the host is
	// told so. The next call is answered in either case.
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}
	meanwhile := make(chan error, 1)
	go func() { meanwhile <- tryAdd(t.Context(), session) }()
	p.start(t)
	if err := <-meanwhile; err != nil && !strings.Contains(err.Error(), "may have been carried out") {
		t.Error(err)
	}
	p.add(t, session)
	p.signedIn(t, home)

	if err := session.Close(); err != nil {
		t.Error(err)
	}
	p.logout(t, home)
	p.canary(t)
}

// pair is a running development stack and the entry that it prints for hosts.
type pair struct {
	dir    string // which the stack runs in
	port   string
	entry  entry
	stop   func() error
	homes  []string
	stderr *safeBuffer // of every bridge
	argv   *safeBuffer // of every bridge
	host   string      // stdio.mjs
}

// entry is one server in a host's configuration.
type entry struct {
	Command string            `json:"command"`
	Args    []string          `json:"args"`
	Env     map[string]string `json:"env,omitempty"`
}

func newPair(t *testing.T) *pair {
	t.Helper()
	if runtime.GOOS != "linux" {
		leftOut(t, "bridge and gateway (the scripted browser is an xdg-open)")
	}
	host, err := filepath.Abs("../../../testdata/clients/stdio.mjs")
	if err != nil {
		t.Fatal(err)
	}
	p := &pair{dir: t.TempDir(), stderr: &safeBuffer{}, argv: &safeBuffer{}, host: host, port: "0"}
	build := exec.CommandContext(t.Context(), "go", "build", "-C", "../../../bridge", "-o", filepath.Join(p.dir, "bin", "mcp-bridge"), "./cmd/mcp-bridge")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("the bridge does not build: %v\n%s", err, out)
	}
	browser := filepath.Join(p.dir, "browser")
	if err := os.Mkdir(browser, 0o700); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(browser, "xdg-open")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", browser+string(os.PathListSeparator)+os.Getenv("PATH"))
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "")
	t.Chdir(p.dir)
	p.start(t)
	t.Cleanup(func() {
		if err := p.stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("the bridges said:\n%s", p.stderr.String())
		}
	})
	return p
}

// start starts the stack and reads what it says: a later start is at the same
// address, with the state of the former.
func (p *pair) start(t *testing.T) {
	t.Helper()
	out, stop := devstackOn(t, map[string]string{"DISPLAY": ":0"}, p.port)
	text := readClients(t, out, stop)
	p.stop = sync.OnceValue(stop)
	p.port = regexp.MustCompile(`http://localhost:(\d+)/mcp`).FindStringSubmatch(text)[1]
	_, after, found := strings.Cut(text, "Claude Desktop ")
	_, after, brace := strings.Cut(after, "\n")
	var config struct {
		Servers map[string]entry `json:"mcpServers"`
	}
	if err := json.NewDecoder(strings.NewReader(after)).Decode(&config); err != nil || !found || !brace || len(config.Servers) != 1 {
		t.Fatalf("no JSON for Claude Desktop (%v) in:\n%s", err, text)
	}
	for _, p.entry = range config.Servers {
		line := p.entry.Command + " " + strings.Join(p.entry.Args, " ")
		if !strings.Contains(text, line+"\n") {
			t.Errorf("Cursor's command field is not %s in:\n%s", line, text)
		}
		if strings.Contains(line, "--token-store file") != strings.Contains(text, "No keychain answers here") {
			t.Errorf("it does not say why tokens go where they go:\n%s", text)
		}
		if _, err := os.Stat(fmt.Sprintf("/run/user/%d/bus", os.Getuid())); err != nil && !strings.Contains(line, "--token-store file") {
			t.Errorf("no keychain can answer here, and yet: %s", line)
		}
		// What the test's own desktop has must not count, and what is logged
		// must be harmless.
		p.entry.Args = append(p.entry.Args, "--token-store", "file", "--log-level", "debug")
	}
}

// readClients reads to the end of what the stack prints when it is up.
func readClients(t *testing.T, out *bufio.Reader, stop func() error) string {
	t.Helper()
	var text strings.Builder
	for last := false; !last; {
		last = strings.Contains(text.String(), "any other client that starts a program")
		line, err := out.ReadString('\n')
		if err != nil {
			t.Fatalf("%v, after:\n%s\n%v", err, text.String(), stop())
		}
		text.WriteString(line)
	}
	return text.String()
}

// newHome is the home of a person whose hosts know nobody yet.
func (p *pair) newHome(t *testing.T) string {
	t.Helper()
	home := filepath.Join(p.dir, fmt.Sprintf("home%d", len(p.homes)))
	if err := os.Mkdir(home, 0o700); err != nil {
		t.Fatal(err)
	}
	p.homes = append(p.homes, home)
	return home
}

// desktop is the environment that a desktop gives a host.
func desktop(home string) []string {
	env := slices.DeleteFunc(os.Environ(), func(entry string) bool {
		return strings.HasPrefix(entry, "XDG_") || strings.HasPrefix(entry, "DBUS_") || strings.HasPrefix(entry, "WAYLAND_") || strings.HasPrefix(entry, "BROWSER=")
	})
	return append(env, "HOME="+home, "DISPLAY=:0")
}

// connect starts the bridge as a host does and waits for the gateway's tools.
func (p *pair) connect(t *testing.T, home, protocol string) *mcp.ClientSession {
	t.Helper()
	session, err := p.tryConnect(t.Context(), home, protocol)
	if session != nil {
		t.Cleanup(func() { _ = session.Close() })
	}
	if err != nil {
		t.Fatal(err)
	}
	return session
}

func (p *pair) tryConnect(ctx context.Context, home, protocol string) (*mcp.ClientSession, error) {
	waiting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := exec.Command(p.entry.Command, p.entry.Args...) // closing the session ends it
	cmd.Env, cmd.Stderr = desktop(home), p.stderr
	changed := make(chan struct{}, 8)
	client := mcp.NewClient(&mcp.Implementation{Name: "go-sdk", Version: "1"}, &mcp.ClientOptions{
		ToolListChangedHandler: func(context.Context, *mcp.ToolListChangedRequest) {
			select {
			case changed <- struct{}{}:
			default:
			}
		},
	})
	session, err := client.Connect(waiting, &mcp.CommandTransport{Command: cmd}, &mcp.ClientSessionOptions{ProtocolVersion: protocol})
	if err != nil {
		return nil, fmt.Errorf("connect with %s: %w", protocol, err)
	}
	if got := session.InitializeResult().ProtocolVersion; got != protocol {
		return session, fmt.Errorf("asked for %s and speaks %s", protocol, got)
	}
	cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", cmd.Process.Pid))
	if err != nil {
		return session, err
	}
	_, _ = p.argv.Write(cmdline)
	return session, waitForTools(waiting, session, changed)
}

// waitForTools waits until a session lists more than a sign-in.
func waitForTools(ctx context.Context, session *mcp.ClientSession, changed <-chan struct{}) error {
	for {
		list, err := session.ListTools(ctx, nil)
		if err != nil {
			return fmt.Errorf("list the tools: %w", err)
		}
		var names []string
		for _, tool := range list.Tools {
			names = append(names, tool.Name)
		}
		if slices.Contains(names, "math_add") {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("the tools are %v, and no others came: %w", names, ctx.Err())
		}
	}
}

func (p *pair) add(t *testing.T, session *mcp.ClientSession) {
	t.Helper()
	if err := tryAdd(t.Context(), session); err != nil {
		t.Error(err)
	}
}

// tryAdd adds 23 and 19.
func tryAdd(ctx context.Context, session *mcp.ClientSession) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	res, err := session.CallTool(ctx, &mcp.CallToolParams{Name: "math_add", Arguments: map[string]any{"a": 23, "b": 19}})
	if err != nil {
		return err
	}
	said, err := json.Marshal(res)
	if err == nil && (res.IsError || !isSum(said)) {
		err = fmt.Errorf("math_add: %s", said)
	}
	return err
}

// isSum finds 42 in a result, which is no part of a longer number.
func isSum(result []byte) bool { return regexp.MustCompile(`\b42\b`).Match(result) }

// signedIn checks that a home's person has signed in once, whatever was started.
func (p *pair) signedIn(t *testing.T, home string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(home, lab.BrowserLog))
	if err != nil || strings.Count(string(data), "opened ") != 1 || strings.Contains(string(data), "failed") {
		t.Errorf("the browser was to be opened once: %v\n%s", err, data)
	}
}

// twoAtOnce is what a host does when it starts: for each window, a bridge.
func (p *pair) twoAtOnce(t *testing.T) {
	home := p.newHome(t)
	var group errgroup.Group
	for range 2 {
		group.Go(func() error {
			session, err := p.tryConnect(t.Context(), home, "2025-11-25")
			if session != nil {
				defer func() { _ = session.Close() }()
			}
			if err != nil {
				return err
			}
			return tryAdd(t.Context(), session)
		})
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
	p.signedIn(t, home)
}

// overSSE is the same at the address of the older transport.
func (p *pair) overSSE(t *testing.T) {
	mcp := p.entry.Args[0]
	p.entry.Args[0] = strings.TrimSuffix(mcp, "/mcp") + "/sse"
	defer func() { p.entry.Args[0] = mcp }()
	home := p.newHome(t)
	session := p.connect(t, home, "2025-11-25")
	p.add(t, session)
	p.signedIn(t, home)
	if err := session.Close(); err != nil {
		t.Error(err)
	}
}

// typeScript is the same with the SDK that most hosts are made of. It hands a
// server only some of its own environment: what finds the screen is in the
// configuration.
func (p *pair) typeScript(t *testing.T, home, protocol string) {
	node, err := exec.LookPath("node")
	_, missing := os.Stat(filepath.Join(filepath.Dir(p.host), "node_modules"))
	if err != nil || missing != nil {
		leftOut(t, "Node clients (run npm ci --prefix testdata/clients)")
	}
	if p.entry.Env["DISPLAY"] != ":0" {
		t.Fatalf("the printed configuration hands no screen on: %v", p.entry.Env)
	}
	config, err := json.Marshal(map[string]any{"mcpServers": map[string]entry{"gateway": p.entry}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, node, p.host, string(config), fmt.Sprintf(`{"protocol":%q}`, protocol))
	var stderr bytes.Buffer
	cmd.Env, cmd.Stderr = desktop(home), &stderr
	out, err := cmd.Output()
	_, _ = p.stderr.Write(stderr.Bytes())
	if err != nil {
		t.Fatalf("%v: %s", err, stderr.Bytes())
	}
	var said struct {
		Tools           []string
		Result          json.RawMessage
		ProtocolVersion string
	}
	if err := json.Unmarshal(out, &said); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if !slices.Contains(said.Tools, "math_add") || !isSum(said.Result) || said.ProtocolVersion != protocol {
		t.Errorf("it said %s", out)
	}
	p.signedIn(t, home)
}

// logout signs a home's person out, here and at the gateway, and again, when
// there is nothing left to end.
func (p *pair) logout(t *testing.T, home string) {
	t.Helper()
	server := p.entry.Args[0]
	for _, want := range []string{
		"Signed out of " + server + ", here and at the server.\n",
		"Signed out of " + server + " on this machine. There was nothing to end at the server, or it offers no way to.\n",
	} {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		cmd := exec.CommandContext(ctx, p.entry.Command, "logout", server, "--token-store", "file")
		cmd.Env, cmd.Stderr = desktop(home), p.stderr
		out, err := cmd.Output()
		cancel()
		if err != nil || string(out) != want {
			t.Errorf("logout said %q (%v), want %q", out, err, want)
		}
	}
}

// canary looks for tokens where they must not be, by what they begin with.
func (p *pair) canary(t *testing.T) {
	prefixes := []string{token.AccessPrefix, token.RefreshPrefix, token.DevicePrefix}
	look := func(place string, data []byte) {
		for _, prefix := range prefixes {
			if bytes.Contains(data, []byte(prefix)) {
				t.Errorf("there is a token (%s...) in %s", prefix, place)
			}
		}
	}
	look("the bridges' stderr", []byte(p.stderr.String()))
	look("the bridges' argv", []byte(p.argv.String()))
	files := 0
	for _, root := range append([]string{filepath.Join(p.dir, "state")}, p.homes...) {
		err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
			if err != nil || !entry.Type().IsRegular() {
				return err
			}
			data, err := os.ReadFile(name)
			look(name, data)
			files++
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
	// Where nothing is, nothing is found.
	if files < 3 || p.argv.String() == "" || p.stderr.String() == "" {
		t.Errorf("looked at %d files, argv %q and %d bytes of stderr", files, p.argv.String(), len(p.stderr.String()))
	}
}

// safeBuffer is a bytes.Buffer for several processes' output.
type safeBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *safeBuffer) Write(data []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(data)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// leftOut skips, or fails where every test has to run.
func leftOut(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("MCP_GATEWAY_TEST_COMPLETE") == "1" {
		t.Fatal("left out: " + what)
	}
	t.Skip("left out: " + what)
}
