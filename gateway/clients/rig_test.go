package clients_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"mcp-gateway/gateway/internal/audit"
	"mcp-gateway/gateway/internal/lab"
	"mcp-gateway/gateway/internal/store/sqlite"
)

// TestMain is also the desktop's browser: whoever calls the test binary
// xdg-open gets a person who signs in as Ada.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) != "xdg-open" {
		os.Exit(m.Run())
	}
	if err := lab.Desktop(context.Background(), os.Getenv("HOME"), os.Args[1:]); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// rig is the gateway and all that the clients need.
type rig struct {
	dir     string
	gateway *gateway
	bridge  string // the program
	opener  string // xdg-open
	nodes   nodes
	browser context.Context // of Chromium
	log     io.Writer       // of every client
}

func newRig(t *testing.T) *rig {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("left out: real clients (the scripted browser is an xdg-open)")
	}
	r := &rig{dir: t.TempDir(), nodes: findNodes(t), log: t.Output()}
	r.bridge = filepath.Join(r.dir, "mcp-bridge")
	build(t, "../../bridge", r.bridge)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r.opener = filepath.Join(r.dir, "browser", "xdg-open")
	if err := errors.Join(os.Mkdir(filepath.Dir(r.opener), 0o700), os.Symlink(self, r.opener)); err != nil {
		t.Fatal(err)
	}
	r.gateway = newGateway(t)
	r.browser = lab.Chromium(t, r.gateway.microsoft.Certificate())
	return r
}

// build builds one of our programs as make build does.
func build(t *testing.T, module, program string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "build", "-C", module, "-o", program, "./cmd/"+filepath.Base(program))
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s does not build: %v\n%s", filepath.Base(program), err, out)
	}
}

// desktop is where one client runs: a person's home, and a browser that opens by
// itself and signs Ada in.
type desktop struct {
	*rig
	home string
	// ports are for programs that must be told one.
	ports [2]string
}

func (r *rig) newDesktop(t *testing.T, name string) *desktop {
	t.Helper()
	d := &desktop{rig: r, home: filepath.Join(r.dir, "home"+name), ports: [2]string{freePort(t), freePort(t)}}
	// What an xdg-open that is not ours asks for the default browser.
	for name, text := range map[string]string{
		".local/share/applications/browser.desktop": "[Desktop Entry]\nType=Application\nName=Browser\nExec=" + r.opener + " %u\n",
		".config/mimeapps.list":                     "[Default Applications]\nx-scheme-handler/http=browser.desktop\n",
	} {
		name = filepath.Join(d.home, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o700), os.WriteFile(name, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// command is a program that the person starts. It is ended by whoever started it.
func (d *desktop) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Stderr = d.home, d.log
	cmd.Env = slices.DeleteFunc(os.Environ(), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return strings.HasPrefix(name, "XDG_") || strings.HasPrefix(name, "DBUS_") || strings.HasPrefix(name, "WAYLAND_") ||
			strings.HasPrefix(name, "MCP_") || strings.HasSuffix(strings.ToLower(name), "_proxy")
	})
	cmd.Env = append(cmd.Env, "HOME="+d.home, "DISPLAY=:0", "BROWSER="+d.opener, "SSL_CERT_FILE="+d.gateway.trusted,
		"PATH="+filepath.Dir(d.opener)+string(os.PathListSeparator)+os.Getenv("PATH"))
	return cmd
}

// check holds what the gateway wrote down against what the clients did: each
// signed in once and renewed its token, or signed in anew, and no call is counted that did not reach
// a tool. The gateway has stopped.
func (r *rig) check(t *testing.T, runs []*run) {
	t.Helper()
	db, err := sqlite.Open(t.Context(), filepath.Join(r.gateway.dir, "gateway.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	events, err := db.Events(t.Context(), 0, 10_000)
	if err != nil {
		t.Fatal(err)
	}
	logins, calls, grants := 0, 0, map[string]bool{}
	for _, e := range events {
		switch {
		case e.Outcome != audit.OutcomeOK:
			t.Errorf("in the trail: %s %s %s %s", e.Kind, e.Outcome, e.Reason, e.Client)
		case e.Kind == audit.KindLogin:
			logins++
		case e.Kind == audit.KindGrant:
			grants[e.GrantID] = false
		case e.Kind == audit.KindCall && e.Tool == "math_add":
			calls++
		}
	}
	for _, found := range regexp.MustCompile(`grant_type=refresh_token grant=(\w+)`).FindAllSubmatch(r.gateway.log.Bytes(), -1) {
		grants[string(found[1])] = true
	}
	signed, called, unanswered, renewed := 0, 0, 0, 0
	for _, one := range runs {
		for step, n := range map[string]*int{signsIn: &signed, adds: &called, expired: &called, restarts: &called} {
			if one.passed[step] {
				*n++
			}
		}
		if one.passed[expired] {
			renewed++
		}
		if one.anew {
			signed++
		}
		unanswered += one.unanswered
	}
	kept := 0
	for _, refreshed := range grants {
		if refreshed {
			kept++
		}
	}
	if logins != signed || len(grants) != signed || calls < called || calls > called+unanswered || kept < renewed {
		t.Errorf("%d logins and %d grants for %d sign-ins; %d calls for %d answers and %d that were lost; %d grants renewed of %d",
			logins, len(grants), signed, calls, called, unanswered, kept, renewed)
	}
	if violations := r.gateway.sim.Violations(); len(violations) > 0 {
		t.Errorf("Microsoft was asked what it would refuse: %v", violations)
	}
}

// nextPort counts up from below what the kernel gives to whoever asks for any
// port, so that nobody else comes by it between the choice and its use.
var nextPort = 20000 + os.Getpid()%10000

func freePort(t *testing.T) string {
	t.Helper()
	for range 100 {
		nextPort++
		port := fmt.Sprint(nextPort)
		if l, err := net.Listen("tcp", "127.0.0.1:"+port); err == nil {
			_ = l.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return ""
}
