package flight_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mcp-gateway/bridge/internal/flight"
)

const (
	helperEnv = "MCP_BRIDGE_TEST_LEADER"
	name      = "0123abcd"
	signIn    = "https://login.example/authorize?state=x"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(helperEnv); dir != "" {
		leader, err := flight.Login(context.Background(), dir, name, func(_ context.Context, publish func(string)) error {
			publish(signIn)
			fmt.Println("leading")
			// Until the test closes our input; the answer is the outcome.
			_, err := bufio.NewReader(os.Stdin).ReadString('\n')
			return err
		})
		fmt.Println("leader", leader, err)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// startLeader runs a process that leads until it is told to finish, or killed.
func startLeader(t *testing.T, dir string) (finish, kill func()) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), helperEnv+"="+dir)
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
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "leading\n" {
		t.Fatalf("leader said %q, %v", line, err)
	}
	finish = func() { _, _ = in.Write([]byte("\n")); _ = cmd.Wait() }
	kill = func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }
	t.Cleanup(kill)
	return finish, kill
}

// outcome is what a Login that ran beside the test returned.
type outcome struct {
	leader bool
	err    error
}

// waiting is a context that says when somebody first waits for its end: for a
// follower that is after it found the lock held.
type waiting struct {
	context.Context
	begun func()
}

func (w waiting) Done() <-chan struct{} {
	w.begun()
	return w.Context.Done()
}

// followWaiting is follow that returns when the follower has begun to wait.
func followWaiting(t *testing.T, dir string, run func(context.Context, func(string)) error) <-chan outcome {
	t.Helper()
	begun := make(chan struct{})
	ch := follow(waiting{t.Context(), sync.OnceFunc(func() { close(begun) })}, dir, run)
	select {
	case <-begun:
	case o := <-ch:
		t.Fatalf("a follower did not wait: %+v", o)
	}
	return ch
}

// follow calls Login beside the test and gives its outcome.
func follow(ctx context.Context, dir string, run func(context.Context, func(string)) error) <-chan outcome {
	ch := make(chan outcome, 1)
	go func() {
		leader, err := flight.Login(ctx, dir, name, run)
		ch <- outcome{leader, err}
	}()
	return ch
}

func mustNotRun(t *testing.T) func(context.Context, func(string)) error {
	return func(context.Context, func(string)) error {
		t.Error("a second login was started")
		return nil
	}
}

func newDir(t *testing.T) string { return filepath.Join(t.TempDir(), "bridge") }

func TestTheURLIsThereOnlyWhileALeaderRuns(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	if got := flight.URL(dir, name); got != "" {
		t.Errorf("URL before: %q", got)
	}
	leader, err := flight.Login(t.Context(), dir, name, func(_ context.Context, publish func(string)) error {
		if got := flight.URL(dir, name); got != "" {
			t.Errorf("URL before it was published: %q", got)
		}
		publish(signIn)
		if got := flight.URL(dir, name); got != signIn {
			t.Errorf("URL: %q, want %q", got, signIn)
		}
		return nil
	})
	if !leader || err != nil {
		t.Errorf("login: %v, %v", leader, err)
	}
	if got := flight.URL(dir, name); got != "" {
		t.Errorf("URL after: %q", got)
	}
	// A later login is a login of its own.
	if leader, err = flight.Login(t.Context(), dir, name, func(context.Context, func(string)) error { return nil }); !leader || err != nil {
		t.Errorf("second login: %v, %v", leader, err)
	}
}

func TestTheErrorOfTheLeaderIsItsOwn(t *testing.T) {
	t.Parallel()
	denied := errors.New("access denied")
	leader, err := flight.Login(t.Context(), newDir(t), name, func(context.Context, func(string)) error { return denied })
	if !leader || !errors.Is(err, denied) {
		t.Errorf("login: %v, %v, want the leader's error", leader, err)
	}
}

func TestOneOfManyLeads(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	started, finish := make(chan struct{}), make(chan struct{})
	var runs atomic.Int32
	run := func(context.Context, func(string)) error {
		if runs.Add(1) == 1 {
			close(started)
		}
		<-finish
		return errors.New("access denied") // a refusal, too, is an end for all
	}
	first := follow(t.Context(), dir, run)
	<-started
	var followers []<-chan outcome
	for range 5 {
		followers = append(followers, followWaiting(t, dir, mustNotRun(t)))
	}
	// One who gives up while the leader runs is in the way of nobody.
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Millisecond)
	defer cancel()
	if leader, err := flight.Login(ctx, dir, name, mustNotRun(t)); leader || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("impatient follower: %v, %v", leader, err)
	}
	close(finish)
	if o := <-first; !o.leader || o.err == nil {
		t.Errorf("leader: %+v", o)
	}
	for _, ch := range followers {
		if o := <-ch; o.leader || o.err != nil {
			t.Errorf("follower: %+v", o)
		}
	}
	if runs.Load() != 1 {
		t.Errorf("%d logins ran", runs.Load())
	}
}

func TestALeaderThatIsSentAwayIsReplaced(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	ctx, cancel := context.WithCancel(t.Context())
	started := make(chan struct{})
	first := follow(ctx, dir, func(ctx context.Context, _ func(string)) error {
		close(started)
		<-ctx.Done()
		return ctx.Err()
	})
	<-started
	second := followWaiting(t, dir, func(context.Context, func(string)) error { return nil })
	cancel()
	if o := <-first; !o.leader || !errors.Is(o.err, context.Canceled) {
		t.Errorf("first: %+v", o)
	}
	if o := <-second; !o.leader || o.err != nil {
		t.Errorf("second: %+v, want it to lead", o)
	}
}

func TestFollowersOfAnotherProcess(t *testing.T) {
	t.Parallel()
	t.Run("wait until it has finished", func(t *testing.T) {
		t.Parallel()
		dir := newDir(t)
		finish, _ := startLeader(t, dir)
		if got := flight.URL(dir, name); got != signIn {
			t.Errorf("URL of the other process: %q", got)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 60*time.Millisecond)
		defer cancel()
		if o := <-follow(ctx, dir, mustNotRun(t)); o.leader || !errors.Is(o.err, context.DeadlineExceeded) {
			t.Errorf("while it leads: %+v", o)
		}
		follower := followWaiting(t, dir, mustNotRun(t))
		finish()
		if o := <-follower; o.leader || o.err != nil {
			t.Errorf("follower: %+v", o)
		}
		if got := flight.URL(dir, name); got != "" {
			t.Errorf("URL after the end: %q", got)
		}
	})
	t.Run("take over when it is killed", func(t *testing.T) {
		t.Parallel()
		dir := newDir(t)
		_, kill := startLeader(t, dir)
		follower := followWaiting(t, dir, func(_ context.Context, publish func(string)) error {
			if got := flight.URL(dir, name); got != "" {
				t.Errorf("URL of the dead leader: %q", got)
			}
			publish(signIn + "2")
			return nil
		})
		kill()
		if o := <-follower; !o.leader || o.err != nil {
			t.Errorf("follower: %+v, want it to lead", o)
		}
	})
	t.Run("see no URL of a dead one", func(t *testing.T) {
		t.Parallel()
		dir := newDir(t)
		_, kill := startLeader(t, dir)
		kill()
		if got := flight.URL(dir, name); got != "" {
			t.Errorf("URL of the dead leader: %q", got)
		}
	})
}

func TestBadPlacesAreRefused(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ about, dir, name, reason string }{
		{about: "an empty name", dir: newDir(t), name: "", reason: "not a plain file name"},
		{about: "a name that leaves the folder", dir: newDir(t), name: "../x", reason: "not a plain file name"},
		{about: "the folder itself", dir: newDir(t), name: ".", reason: "not a plain file name"},
		{about: "the parent folder", dir: newDir(t), name: "..", reason: "not a plain file name"},
		{about: "a folder that cannot be made", dir: filepath.Join(file, "x"), name: name, reason: "file"},
	} {
		t.Run(tc.about, func(t *testing.T) {
			t.Parallel()
			leader, err := flight.Login(t.Context(), tc.dir, tc.name, mustNotRun(t))
			if leader || err == nil || !strings.Contains(err.Error(), tc.reason) {
				t.Errorf("login: %v, %v, want %q", leader, err, tc.reason)
			}
			if got := flight.URL(tc.dir, tc.name); got != "" {
				t.Errorf("URL: %q", got)
			}
		})
	}
}
