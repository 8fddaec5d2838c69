package sqlite_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"mcp-gateway/gateway/internal/store"
	"mcp-gateway/gateway/internal/store/sqlite"
	"mcp-gateway/gateway/internal/store/storetest"
)

// The test binary runs itself as a second process: what to do and with which
// database is in its environment.
const (
	childRole     = "GATEWAY_SQLITE_TEST_ROLE"
	childDatabase = "GATEWAY_SQLITE_TEST_DATABASE"
)

func child(role string) int {
	ctx := context.Background()
	s, err := sqlite.Open(ctx, os.Getenv(childDatabase))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	switch role {
	case "hold":
		fmt.Println("holding")
		_, _ = io.Copy(io.Discard, os.Stdin) // until the parent goes or kills
	case "write":
		go func() { _ = s.Run(ctx) }()
		if err := issueForEver(ctx, s); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return 0
}

// issueForEver signs people in from several goroutines and prints a line for
// each sign-in that the store acknowledged.
func issueForEver(ctx context.Context, s *sqlite.Store) error {
	var callers sync.WaitGroup
	failed := make(chan error, 8)
	for c := range 8 {
		callers.Go(func() {
			for n := 0; ; n++ {
				name := fmt.Sprintf("%d-%d", c, n)
				if err := issue(ctx, s, name); err != nil {
					failed <- err
					return
				}
				fmt.Println(name)
			}
		})
	}
	callers.Wait()
	return <-failed
}

func issue(ctx context.Context, s *sqlite.Store, name string) error {
	code := store.Code{
		Hash:      store.HashOf("code " + name),
		Grant:     store.Grant{ID: name, ClientID: "client", CreatedAt: start, ExpiresAt: start.Add(time.Hour)},
		CreatedAt: start, ExpiresAt: start.Add(time.Minute),
	}
	if err := s.CreateCode(ctx, code); err != nil {
		return err
	}
	access := store.AccessToken{Hash: store.HashOf("access " + name), IssuedAt: start, ExpiresAt: start.Add(time.Hour)}
	refresh := store.RefreshToken{Hash: store.HashOf("refresh " + name), IssuedAt: start, ExpiresAt: start.Add(time.Hour)}
	_, err := s.RedeemCode(ctx, store.Redemption{Code: code.Hash, Access: access, Refresh: &refresh}, start)
	return err
}

// process is a running child.
type process struct {
	*exec.Cmd
	lines *bufio.Scanner
	stdin io.Closer
}

func startChild(t *testing.T, role, path string) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), childRole+"="+role, childDatabase+"="+path)
	cmd.Stderr = t.Output()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return &process{cmd, bufio.NewScanner(stdout), stdin}
}

// kill is SIGKILL: the process has no time for anything. It returns what else
// it had printed.
func (p *process) kill(t *testing.T) []string {
	t.Helper()
	if err := p.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	var rest []string
	for p.lines.Scan() {
		rest = append(rest, p.lines.Text())
	}
	_ = p.Wait() // "signal: killed"
	return rest
}

func TestAKilledProcessLosesNothingAcknowledged(t *testing.T) {
	t.Parallel()
	for _, acknowledged := range []int{1, 50, 200} {
		t.Run(fmt.Sprintf("after %d sign-ins", acknowledged), func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "gateway.db")
			writer := startChild(t, "write", path)
			var names []string
			for len(names) < acknowledged && writer.lines.Scan() {
				names = append(names, writer.lines.Text())
			}
			names = append(names, writer.kill(t)...)
			if len(names) < acknowledged {
				t.Fatalf("the child acknowledged %d sign-ins only", len(names))
			}
			s := serve(t, path)
			var checks sync.WaitGroup
			for _, name := range names {
				checks.Go(func() { isThere(t, s, name) })
			}
			checks.Wait()
		})
	}
}

// isThere checks all that issue stored under a name.
func isThere(t *testing.T, s storetest.Store, name string) {
	t.Helper()
	code, err := s.Code(t.Context(), store.HashOf("code "+name))
	if err != nil || code.UsedAt.IsZero() {
		t.Errorf("code %s: used at %v, error %v", name, code.UsedAt, err)
	}
	if _, _, err := s.UseAccessToken(t.Context(), store.HashOf("access "+name), start); err != nil {
		t.Errorf("access token %s: %v", name, err)
	}
	rotation := store.Rotation{
		Presented: store.HashOf("refresh " + name), ClientID: "client",
		Successor: store.RefreshToken{Hash: store.HashOf("next " + name), ExpiresAt: start.Add(time.Hour)},
		Access:    store.AccessToken{Hash: store.HashOf("fresh " + name), ExpiresAt: start.Add(time.Hour)},
	}
	if _, err := s.RotateRefresh(t.Context(), rotation, start); err != nil {
		t.Errorf("refresh token %s: %v", name, err)
	}
}

func TestOneProcessAtATime(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "gateway.db")
	holder := startChild(t, "hold", path)
	if !holder.lines.Scan() {
		t.Fatal("the child did not open the database")
	}
	s, err := sqlite.Open(t.Context(), path)
	if err == nil {
		t.Fatal("a second process opened the database", s.Close())
	}
	for _, want := range []string{path, "gateway.db.lock", "another process is using it"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q: %v", want, err)
		}
	}
	holder.kill(t)
	if s, err = sqlite.Open(t.Context(), path); err != nil {
		t.Fatalf("after the holder was killed: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
