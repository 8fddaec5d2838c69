package keychain_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	keyring "github.com/zalando/go-keyring"

	"mcp-gateway/bridge/internal/keychain"
)

const secretsName = "org.freedesktop.secrets"

func init() {
	helpers["full"] = saveOnFullDisk
	helpers["real"] = useRealKeychain
	helpers["locked"] = useLockedKeychain
	helpers["silent"] = useSilentKeychain
}

// inSession runs a helper on a D-Bus session of its own, with an empty home.
func inSession(t *testing.T, name string, programs ...string) {
	t.Helper()
	for _, p := range append([]string{"dbus-run-session"}, programs...) {
		if _, err := exec.LookPath(p); err != nil {
			leftOut(t, "OS keychain ("+p+" is not installed)")
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	home := t.TempDir()
	if err := os.Mkdir(filepath.Join(home, "run"), 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, "dbus-run-session", "--", os.Args[0])
	cmd.Env = append(os.Environ(), helperEnv+"="+name, "HELPER_DIR="+filepath.Join(home, "bridge"), "HOME="+home,
		"XDG_RUNTIME_DIR="+filepath.Join(home, "run"), "XDG_DATA_HOME="+filepath.Join(home, "data"),
		"XDG_CONFIG_HOME="+filepath.Join(home, "config"), "XDG_CACHE_HOME="+filepath.Join(home, "cache"),
		"DBUS_SESSION_BUS_ADDRESS=", "DISPLAY=", "WAYLAND_DISPLAY=")
	cmd.WaitDelay = time.Second // a daemon left on the bus may hold our pipe
	if out, err := cmd.CombinedOutput(); err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		t.Errorf("%v\n%s", err, out)
	}
}

// leftOut skips, or fails where every test has to run.
func leftOut(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("MCP_GATEWAY_TEST_COMPLETE") == "1" {
		t.Fatal("left out: " + what)
	}
	t.Skip("left out: " + what)
}

func TestRealSecretService(t *testing.T) {
	t.Parallel()
	inSession(t, "real", "gnome-keyring-daemon")
}

func TestLockedSecretService(t *testing.T) {
	t.Parallel()
	inSession(t, "locked", "gnome-keyring-daemon")
}

func TestSilentSecretService(t *testing.T) {
	t.Parallel()
	inSession(t, "silent")
}

func TestWithoutABusTheKeychainIsNotAsked(t *testing.T) {
	t.Parallel()
	s, err := keychain.Open(keychain.Options{Dir: newDir(t)})
	if err != nil {
		t.Fatal(err)
	}
	if checkErr := s.Check(t.Context()); (checkErr == nil) != (s.Ready(t.Context()) == nil) {
		t.Errorf("check says %v, and then ready does not", checkErr)
	}
	err = s.Ready(t.Context())
	if _, statErr := os.Stat(fmt.Sprintf("/run/user/%d/bus", os.Getuid())); statErr == nil {
		if err != nil { // the mock answers
			t.Errorf("with the user's bus socket: %v", err)
		}
		return
	}
	if !errors.Is(err, keychain.ErrLocked) || !strings.Contains(err.Error(), "no D-Bus session") || !strings.Contains(err.Error(), "--token-store file") {
		t.Errorf("without a bus: %v, want ErrLocked with a next step", err)
	}
}

func TestAFullDiskKeepsTheOldSignIn(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	s := open(t, keychain.KindFile, dir)
	if err := s.Save(t.Context(), testKey, record()); err != nil {
		t.Fatal(err)
	}
	before := read(t, filepath.Join(dir, testKey.ID()+".file.sealed"))
	if out, err := helper(t.Context(), "full", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if string(read(t, filepath.Join(dir, testKey.ID()+".file.sealed"))) != string(before) {
		t.Error("the sealed file was changed")
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 3 {
		t.Errorf("files after the failed save: %v, %v, want no leftover", files, err)
	}
}

// saveOnFullDisk saves while no file may grow past 100 bytes.
func saveOnFullDisk(dir string) error {
	signal.Ignore(syscall.SIGXFSZ)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 100, Max: 100}); err != nil {
		return err
	}
	s, err := keychain.Open(keychain.Options{Kind: keychain.KindFile, Dir: dir})
	if err != nil {
		return err
	}
	if err := s.Save(context.Background(), testKey, record()); !errors.Is(err, syscall.EFBIG) {
		return fmt.Errorf("save: %w, want EFBIG", err)
	}
	return nil
}

func openOnBus(dir string, timeout time.Duration) (*keychain.Store, error) {
	return keychain.Open(keychain.Options{Dir: dir, Timeout: timeout, SessionBus: os.Getenv("DBUS_SESSION_BUS_ADDRESS")})
}

// useRealKeychain starts gnome-keyring with an unlocked login keyring and lets
// several processes create the key at once.
func useRealKeychain(dir string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Second)
	defer cancel()
	daemon := exec.CommandContext(ctx, "gnome-keyring-daemon", "--foreground", "--unlock", "--components=secrets")
	daemon.Stdin, daemon.Stderr = strings.NewReader("pw\n"), os.Stderr
	if err := daemon.Start(); err != nil {
		return err
	}
	defer func() { _ = daemon.Process.Kill(); _ = daemon.Wait() }()
	if err := awaitSecrets(ctx); err != nil {
		return err
	}
	// It works, and asking so has left nothing: the key is yet to be made.
	s, err := openOnBus(dir, 20*time.Second)
	if err != nil {
		return err
	}
	for range 2 {
		if err := s.Check(ctx); err != nil {
			return fmt.Errorf("check: %w", err)
		}
	}
	for _, account := range []string{"trial", "store-key-v1"} {
		if _, err := keyring.Get("mcp-bridge", account); !errors.Is(err, keyring.ErrNotFound) {
			return fmt.Errorf("check left %s behind: %w", account, err)
		}
	}
	if err := createTogether(ctx, keychain.KindKeychain, dir); err != nil {
		return err
	}
	if err := s.Check(ctx); err != nil {
		return fmt.Errorf("check of a store in use: %w", err)
	}
	if out, err := exec.CommandContext(ctx, "grep", "-rl", "store-key", dir).Output(); err == nil {
		return fmt.Errorf("the key's name is in %s", out)
	}
	return nil
}

// awaitSecrets waits until the Secret Service has the login keyring.
func awaitSecrets(ctx context.Context) error {
	conn, err := dbus.ConnectSessionBus()
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		var owned bool
		if err := conn.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.NameHasOwner", 0, secretsName).Store(&owned); err != nil {
			return err
		}
		if owned {
			v, err := conn.Object(secretsName, "/org/freedesktop/secrets").GetProperty("org.freedesktop.Secret.Service.Collections")
			if err == nil && strings.Contains(v.String(), "/collection/login") {
				return nil
			}
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("secret service did not come up: %w", ctx.Err())
		}
	}
}

// useLockedKeychain finds the service, which the bus starts, with no keyring that
// could be unlocked without a screen.
func useLockedKeychain(dir string) error {
	s, err := openOnBus(dir, 20*time.Second)
	if err != nil {
		return err
	}
	if err := s.Check(context.Background()); !errors.Is(err, keychain.ErrLocked) {
		return fmt.Errorf("check: %w, want ErrLocked", err)
	}
	err = s.Save(context.Background(), testKey, record())
	if !errors.Is(err, keychain.ErrLocked) || !strings.Contains(err.Error(), "failed to unlock") || !strings.Contains(err.Error(), "--token-store file") {
		return fmt.Errorf("save: %w, want ErrLocked with a next step", err)
	}
	return nil
}

// silent is a Secret Service whose unlock prompt nobody answers.
type silent struct{}

func (silent) Unlock([]dbus.ObjectPath) ([]dbus.ObjectPath, dbus.ObjectPath, *dbus.Error) {
	return nil, "/org/freedesktop/secrets/prompt/1", nil
}

func (silent) Prompt(string) *dbus.Error { return nil }

// Get is org.freedesktop.DBus.Properties.Get, asked for the collections.
func (silent) Get(_, _ string) (dbus.Variant, *dbus.Error) {
	return dbus.MakeVariant([]dbus.ObjectPath{"/org/freedesktop/secrets/collection/login"}), nil
}

func useSilentKeychain(dir string) error {
	conn, err := dbus.ConnectSessionBus()
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	const path = "/org/freedesktop/secrets"
	err = errors.Join(
		conn.Export(silent{}, path, "org.freedesktop.Secret.Service"),
		conn.Export(silent{}, path, "org.freedesktop.DBus.Properties"),
		conn.Export(silent{}, path+"/prompt/1", "org.freedesktop.Secret.Prompt"))
	if err != nil {
		return err
	}
	if reply, err := conn.RequestName(secretsName, dbus.NameFlagDoNotQueue); err != nil || reply != dbus.RequestNameReplyPrimaryOwner {
		return fmt.Errorf("own %s: %v, %w", secretsName, reply, err)
	}
	const timeout = 300 * time.Millisecond
	for i, limit := range []time.Duration{timeout + 5*time.Second, timeout} {
		s, err := openOnBus(dir, timeout)
		if err != nil {
			return err
		}
		start := time.Now()
		err = s.Ready(context.Background())
		took := time.Since(start)
		if !errors.Is(err, keychain.ErrLocked) || !strings.Contains(err.Error(), "it does not answer") || !strings.Contains(err.Error(), "--token-store file") {
			return fmt.Errorf("call %d: %w, want ErrLocked", i, err)
		}
		// The first call waits its time out; the next ones do not wait again.
		if took > limit || i == 0 && took < timeout {
			return fmt.Errorf("call %d took %v", i, took)
		}
	}
	return nil
}
