package keychain_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	keyring "github.com/zalando/go-keyring"

	"mcp-gateway/bridge/internal/keychain"
)

// helperEnv names what the test binary does instead of testing, when a test needs
// another process.
const helperEnv = "MCP_BRIDGE_TEST_HELPER"

// helpers is filled also by files for one system.
var helpers = map[string]func(dir string) error{
	"hold":    holdLock,
	"creator": createAndSave,
}

func TestMain(m *testing.M) {
	if name := os.Getenv(helperEnv); name != "" {
		if err := helpers[name](os.Getenv("HELPER_DIR")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	// No test may reach the keychain of the person who runs it.
	keyring.MockInit()
	os.Exit(m.Run())
}

// helper is a command that runs the test binary as the named helper.
func helper(ctx context.Context, name, dir string, env ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(append(os.Environ(), helperEnv+"="+name, "HELPER_DIR="+dir), env...)
	return cmd
}

var testKey = keychain.Key{Server: "https://mcp.example/mcp"}

// holdLock holds the lock of testKey until its standard input ends.
func holdLock(dir string) error {
	s, err := keychain.Open(keychain.Options{Kind: keychain.KindFile, Dir: dir})
	if err != nil {
		return err
	}
	unlock, err := s.Lock(context.Background(), testKey)
	if err != nil {
		return err
	}
	defer unlock()
	fmt.Println("held")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// createAndSave opens a new store and saves one sign-in under its own account.
func createAndSave(dir string) error {
	s, err := keychain.Open(keychain.Options{
		Kind: keychain.Kind(os.Getenv("HELPER_KIND")), Dir: dir,
		SessionBus: os.Getenv("DBUS_SESSION_BUS_ADDRESS"), Timeout: 20 * time.Second,
	})
	if err != nil {
		return err
	}
	k := keychain.Key{Server: testKey.Server, Account: os.Getenv("HELPER_ACCOUNT")}
	return s.Save(context.Background(), k, keychain.Record{AccessToken: k.Account})
}

// createTogether starts several creators at once and then reads what each saved.
func createTogether(ctx context.Context, kind keychain.Kind, dir string) error {
	const n = 4
	cmds := make([]*exec.Cmd, n)
	for i := range cmds {
		cmds[i] = helper(ctx, "creator", dir, "HELPER_KIND="+string(kind), fmt.Sprintf("HELPER_ACCOUNT=a%d", i))
		cmds[i].Stderr = os.Stderr
		if err := cmds[i].Start(); err != nil {
			return err
		}
	}
	var errs []error
	for _, cmd := range cmds {
		errs = append(errs, cmd.Wait())
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	s, err := keychain.Open(keychain.Options{
		Kind: kind, Dir: dir, SessionBus: os.Getenv("DBUS_SESSION_BUS_ADDRESS"), Timeout: 20 * time.Second,
	})
	if err != nil {
		return err
	}
	keys, err := s.List(ctx)
	if err != nil || len(keys) != n {
		return fmt.Errorf("after %d creators List gives %v, %w", n, keys, err)
	}
	return nil
}

// startHolder runs a process that holds the lock, and returns its release and kill.
func startHolder(t *testing.T, dir string) (release, kill func()) {
	t.Helper()
	cmd := helper(t.Context(), "hold", dir)
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
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "held\n" {
		t.Fatalf("holder said %q, %v", line, err)
	}
	release = func() { _ = in.Close(); _ = cmd.Wait() }
	kill = func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }
	t.Cleanup(kill)
	return release, kill
}
