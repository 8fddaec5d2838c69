package main

import (
	"bufio"
	"context"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"mcp-gateway/gateway/internal/lab"
	"mcp-gateway/shared/entrasim"
)

// TestABridgeWithoutABrowser is one on a machine that a person reaches over SSH: they
// sign in elsewhere.
func TestABridgeWithoutABrowser(t *testing.T) {
	p := newPair(t)
	t.Run("by a code, in a terminal", func(t *testing.T) {
		home := p.newHome(t)
		login := p.login(t, home, "--device")
		if err := lab.SignIn(t.Context(), login.address(t, "/device?user_code="), entrasim.Ada); err != nil {
			t.Fatal(err)
		}
		login.succeeds(t)
		p.add(t, p.connect(t, home, "2025-11-25"))
	})
	t.Run("by pasting, in a terminal", func(t *testing.T) {
		home := p.newHome(t)
		login := p.login(t, home, "--paste")
		address := login.address(t, "/authorize?")
		answer, err := lab.SignInElsewhere(t.Context(), address, entrasim.Ada)
		if err != nil {
			t.Fatal(err)
		}
		login.paste(t, address, "another page", false)
		login.paste(t, strings.Replace(answer, "state=", "state=x", 1), "another sign-in", false)
		login.paste(t, answer[:strings.Index(answer, "&")], "missing or damaged", false)
		login.paste(t, answer, "", true)
		login.succeeds(t)
		code := regexp.MustCompile(`mcpac_[A-Za-z0-9_-]+`).FindString(answer)
		if said := strings.Join(login.said, "\n"); code == "" || strings.Contains(said, code) {
			t.Errorf("the code %.9s... is in what it said:\n%s", code, said)
		}
		p.add(t, p.connect(t, home, "2026-07-28"))
	})
	t.Run("by a code, under a host", func(t *testing.T) {
		home := p.newHome(t)
		own := p.entry.Args
		p.entry.Args = append(slices.Clone(own), "--sign-in", "device")
		defer func() { p.entry.Args = own }()
		signedIn := make(chan error, 1)
		go func() {
			address := p.awaitSaid(t.Context(), regexp.MustCompile(`url="?(http://localhost:\d+/device\?user_code=[B-Z]{4}-[B-Z]{4})"? code=`))
			signedIn <- lab.SignIn(t.Context(), address, entrasim.Ada)
		}()
		session := p.connect(t, home, "2025-11-25")
		if err := <-signedIn; err != nil {
			t.Fatal(err)
		}
		p.add(t, session)
	})
	p.canary(t)
}

// awaitSaid waits until the bridges have logged something, and returns its group.
func (p *pair) awaitSaid(ctx context.Context, what *regexp.Regexp) string {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if found := what.FindStringSubmatch(p.stderr.String()); found != nil {
			return found[1]
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ""
		}
	}
}

// login is a login that runs in a terminal without a display.
type login struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stderr *bufio.Reader
	said   []string
}

func (p *pair) login(t *testing.T, home, way string) *login {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	l := &login{cmd: exec.CommandContext(ctx, p.entry.Command, "login", p.entry.Args[0], "--token-store", "file", way)}
	l.cmd.Env = append(slices.DeleteFunc(desktop(home), func(entry string) bool { return strings.HasPrefix(entry, "DISPLAY=") }), "SSH_CONNECTION=192.0.2.1 1 192.0.2.2 22")
	var err error
	if l.stdin, err = l.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stderr, err := l.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	l.stderr = bufio.NewReader(stderr)
	if err := l.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return l
}

// line returns the next line with these words.
func (l *login) line(t *testing.T, words string) string {
	t.Helper()
	for {
		line, err := l.stderr.ReadString('\n')
		l.said = append(l.said, line)
		if strings.Contains(line, words) {
			return strings.TrimSpace(line)
		}
		if err != nil {
			t.Fatalf("%v before it said %q:\n%s", err, words, strings.Join(l.said, ""))
		}
	}
}

func (l *login) address(t *testing.T, part string) string {
	t.Helper()
	return l.line(t, part)
}

// paste types a line, and reads what is wrong with it unless it is the last.
func (l *login) paste(t *testing.T, text, wrong string, last bool) {
	t.Helper()
	if _, err := io.WriteString(l.stdin, text+"\n"); err != nil {
		t.Fatal(err)
	}
	if !last {
		l.line(t, wrong)
	}
}

func (l *login) succeeds(t *testing.T) {
	t.Helper()
	rest, err := io.ReadAll(l.stderr)
	l.said = append(l.said, string(rest))
	if err == nil {
		err = l.cmd.Wait()
	}
	if err != nil {
		t.Errorf("%s: %v\n%s", filepath.Base(l.cmd.Path), err, strings.Join(l.said, ""))
	}
	_ = l.stdin.Close()
}
