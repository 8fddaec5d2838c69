package main

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"mcp-gateway/shared/entrasim"
)

// TestTheCommandsOfTheDocuments does what README and docs/ say, word by word, in a
// copy of the repository, as somebody who has just got it. Only places are others:
// see newcomer.at.
func TestTheCommandsOfTheDocuments(t *testing.T) {
	for _, program := range []string{"make", "bash", "curl", "sqlite3"} {
		if _, err := exec.LookPath(program); err != nil {
			leftOut(t, "commands of the documents (no "+program+")")
		}
	}
	n := newNewcomer(t)
	for _, c := range documentedCommands {
		switch {
		case c.left != "":
		case c.serves:
			n.serve(t, c)
		default:
			n.run(t, c)
		}
	}
}

// newcomer is a person with a copy of the repository and a home of their own.
type newcomer struct {
	dir, home, state string
	env              []string
	// at says where the places of the documents are here.
	at map[string]string
	// stop ends what serves now.
	stop func()
}

// buildTime is for a command that compiles, on a busy machine with cold caches.
const buildTime = 10 * time.Minute

func newNewcomer(t *testing.T) *newcomer {
	t.Helper()
	dir, err := os.MkdirTemp("", "readme") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	n := &newcomer{stop: func() {}, dir: filepath.Join(dir, "copy"), home: filepath.Join(dir, "home"), state: filepath.Join(dir, "copy", ".devstack")}
	etc := filepath.Join(dir, "etc")
	copyRepository(t, n.dir)
	for _, folder := range []string{n.home, etc, filepath.Join(dir, "browser")} {
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	n.at = map[string]string{
		"/var/lib/mcp-gateway": n.state, "/etc/mcp-gateway": etc, "0.0.0.0:8443": "127.0.0.1:0",
		"ada@example.com": entrasim.Ada, " URL": " http://localhost:8788/mcp",
	}
	n.environment(t, filepath.Join(dir, "browser"))
	writeCertificate(t, etc)
	writeFile(t, filepath.Join(etc, "client-secret"), "not-a-real-secret-0123456789")
	writeFile(t, filepath.Join(n.dir, "gateway.yaml"), n.place(configurationOf(t)))
	return n
}

// environment has the newcomer's own home and browser, and the caches of whoever
// runs this test, so that nothing is built twice. It has no real application, and
// no proxy before what runs here.
func (n *newcomer) environment(t *testing.T, browser string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(browser, "xdg-open")); err != nil {
		t.Fatal(err)
	}
	inherited := slices.DeleteFunc(desktop(n.home), func(entry string) bool { return strings.HasPrefix(entry, "MICROSOFT_") })
	n.env = append(inherited, "NO_PROXY=localhost", "no_proxy=localhost", "PATH="+strings.Join([]string{browser, filepath.Join(n.dir, "bin"), os.Getenv("PATH")}, ":"))
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPATH"} {
		value, err := exec.CommandContext(t.Context(), "go", "env", name).Output()
		if err != nil {
			t.Fatal(err)
		}
		n.env = append(n.env, name+"="+strings.TrimSpace(string(value)))
	}
}

// copyRepository copies what git clone would bring, with what is not committed yet.
func copyRepository(t *testing.T, to string) {
	t.Helper()
	private := []string{".git", "bin", "node_modules", ".devstack", ".env", ".dev.vars"}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if slices.Contains(private, entry.Name()) {
			if entry.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), data, info.Mode().Perm())
	})
	if err != nil {
		t.Fatal(err)
	}
}

// configurationOf is the least configuration, as README has it.
func configurationOf(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)\n( *)```yaml\n(.*?)\n *```\n").FindStringSubmatch(string(text))
	if block == nil {
		t.Fatal("README has no configuration")
	}
	return regexp.MustCompile("(?m)^"+block[1]).ReplaceAllString(block[2], "") + "\n"
}

// writeCertificate makes the files of the configuration's tls section.
func writeCertificate(t *testing.T, folder string) {
	t.Helper()
	s := httptest.NewTLSServer(http.NotFoundHandler())
	defer s.Close()
	key, err := x509.MarshalPKCS8PrivateKey(s.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(folder, "tls.crt"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})))
	writeFile(t, filepath.Join(folder, "tls.key"), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})))
}

func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// place puts the places of this machine in place of those of the documents.
func (n *newcomer) place(text string) string {
	for there, here := range n.at {
		text = strings.ReplaceAll(text, there, here)
	}
	// The last one: others lead to it.
	return strings.ReplaceAll(text, "http://localhost:8788", n.base())
}

func (n *newcomer) base() string {
	if base, ok := n.at["https://mcp.example.com"]; ok {
		return base
	}
	return "http://localhost:8788"
}

// command is the command as this newcomer types it.
func (n *newcomer) command(ctx context.Context, c documentedCommand) *exec.Cmd {
	line, env := n.place(c.command), n.env
	switch {
	case c.command == "make test":
		// One package, and not the one that runs this.
		env = append(env, "PKG=./shared/buildinfo")
	case c.command == "make run":
		// Any port, and built with what make build has built.
		env = append(env, "ARGS=--port 0", "CGO_ENABLED=0", "GOFLAGS=-trimpath")
	case strings.Contains(line, "mcp-bridge log"), strings.Contains(line, "mcp-bridge status"):
		line += " --token-store file" // README: no keychain?
	}
	cmd := exec.CommandContext(ctx, "bash", "-c", line)
	cmd.Dir, cmd.Env = n.dir, env
	// What it starts ends with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = patience
	return cmd
}

func (n *newcomer) run(t *testing.T, c documentedCommand) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), buildTime)
	defer cancel()
	start := time.Now()
	out, err := n.command(ctx, c).CombinedOutput()
	t.Logf("%v: %s", time.Since(start).Round(time.Millisecond), c.command)
	if err != nil || !strings.Contains(string(out), c.want) {
		t.Fatalf("%s: %v; it does not say %q, but\n%s", n.place(c.command), err, c.want, out)
	}
	if grant := regexp.MustCompile(`(?m)^[A-Z2-7]{26}\b`).Find(out); grant != nil {
		n.at["grants revoke ID"] = "grants revoke " + string(grant)
	}
}

// serve starts what serves, until the test is over or the next one is started.
func (n *newcomer) serve(t *testing.T, c documentedCommand) {
	t.Helper()
	n.stop()
	start := time.Now()
	cmd := n.command(context.WithoutCancel(t.Context()), c)
	var out safeBuffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	n.stop = sync.OnceFunc(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) // Ctrl-C
		select {
		case <-ended:
		case <-time.After(patience):
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			t.Errorf("%s does not stop:\n%s", c.command, out.String())
			<-ended
		}
	})
	t.Cleanup(n.stop)
	for !strings.Contains(out.String(), c.want) {
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("%s: %v\n%s", c.command, err, out.String())
		case <-time.After(20 * time.Millisecond):
		}
		if time.Since(start) > buildTime {
			t.Fatalf("%s does not say %q, but\n%s", c.command, c.want, out.String())
		}
	}
	t.Logf("%v: %s", time.Since(start).Round(time.Millisecond), c.command)
	if base := regexp.MustCompile(`up on (http://localhost:\d+)`).FindStringSubmatch(out.String()); base != nil {
		n.at["https://mcp.example.com"] = base[1]
	}
}
