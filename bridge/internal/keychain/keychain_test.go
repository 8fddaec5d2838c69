package keychain_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	keyring "github.com/zalando/go-keyring"

	"mcp-gateway/bridge/internal/keychain"
)

func open(t *testing.T, kind keychain.Kind, dir string) *keychain.Store {
	t.Helper()
	s, err := keychain.Open(keychain.Options{Kind: kind, Dir: dir, SessionBus: "mock", Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// newDir is a folder that does not exist yet: its mode is then the store's own.
func newDir(t *testing.T) string { return filepath.Join(t.TempDir(), "bridge") }

func record() keychain.Record {
	return keychain.Record{
		Issuer: "https://login.example", Resource: "https://mcp.example/mcp", Subject: "ada@example.com",
		ClientID: "client", ClientSecret: "canary-client-secret", Registration: json.RawMessage(`{"client_name":"x"}`),
		RedirectURIs: []string{"http://127.0.0.1/callback"}, TokenEndpoint: "https://login.example/token",
		RevocationEndpoint: "https://login.example/revoke", TokenEndpointAuthMethod: "none", Scopes: []string{"mcp"},
		AccessToken: "canary-access-token", RefreshToken: "canary-refresh-token",
		ExpiresAt: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC), UpdatedAt: time.Date(2030, 1, 2, 2, 4, 5, 0, time.UTC),
	}
}

func TestEveryKindKeepsSignIns(t *testing.T) {
	keyring.MockInit()
	for _, kind := range []keychain.Kind{keychain.KindKeychain, keychain.KindFile, keychain.KindMemory} {
		t.Run(string(kind), func(t *testing.T) {
			dir, ctx := newDir(t), t.Context()
			s := open(t, kind, dir)
			if _, err := s.Load(ctx, testKey); !errors.Is(err, keychain.ErrNotFound) {
				t.Fatalf("load from a new store: %v, want ErrNotFound", err)
			}
			if err := s.Ready(ctx); err != nil {
				t.Fatal(err)
			}
			other := keychain.Key{Server: testKey.Server, Account: "work"}
			for _, k := range []keychain.Key{other, testKey} {
				if err := s.Save(ctx, k, record()); err != nil {
					t.Fatal(err)
				}
			}
			if kind != keychain.KindMemory {
				s = open(t, kind, dir) // as the next process
			}
			got, err := s.Load(ctx, testKey)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := toJSON(t, got), toJSON(t, record()); got != want {
				t.Errorf("loaded record differs: %s", cmp.Diff(got, want))
			}
			keys, err := s.List(ctx)
			if want := []keychain.Key{testKey, other}; err != nil || !cmp.Equal(keys, want) {
				t.Errorf("list: %v, %v, want %v", keys, err, want)
			}
			if err := errors.Join(s.Delete(ctx, other), s.Delete(ctx, other)); err != nil {
				t.Errorf("delete twice: %v", err)
			}
			if _, err := s.Load(ctx, other); !errors.Is(err, keychain.ErrNotFound) {
				t.Errorf("load after delete: %v, want ErrNotFound", err)
			}
			if _, err := s.Load(ctx, testKey); err != nil {
				t.Errorf("delete of one account took another: %v", err)
			}
		})
	}
}

func toJSON(t *testing.T, r keychain.Record) string {
	t.Helper()
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestFilesAreSealedAndPrivate(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	s := open(t, keychain.KindFile, dir)
	if err := s.Save(t.Context(), testKey, record()); err != nil {
		t.Fatal(err)
	}
	if err := s.SetCache(testKey, []byte(`{}`)); err != nil {
		t.Fatal(err)
	}
	unlock, err := s.Lock(t.Context(), testKey)
	if err != nil {
		t.Fatal(err)
	}
	unlock()
	if info, err := os.Stat(dir); runtime.GOOS != "windows" && (err != nil || info.Mode().Perm() != 0o700) {
		t.Errorf("folder mode %v, %v, want 0700", info.Mode(), err)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 5 {
		t.Errorf("files: %v, %v, want key, its lock, sealed, cache, lock and no leftovers", files, err)
	}
	for _, f := range files {
		info, err := f.Info()
		if err != nil {
			t.Fatal(err)
		}
		if runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, want 0600", f.Name(), info.Mode())
		}
		data, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range []string{"canary", "example"} {
			if bytes.Contains(data, []byte(s)) || strings.Contains(f.Name(), s) {
				t.Errorf("%s shows %q", f.Name(), s)
			}
		}
	}
}

func TestRecordPrintsNoSecret(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	r := record()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
		fmt.Fprintf(&b, verb+verb, r, &r)
	}
	slog.New(slog.NewTextHandler(&b, nil)).Info("text", slog.Any("record", r))
	slog.New(slog.NewJSONHandler(&b, nil)).Info("json", slog.Any("record", &r))
	if strings.Contains(b.String(), "canary") {
		t.Errorf("a secret was printed: %s", b.String())
	}
	if !strings.Contains(b.String(), "https://login.example") {
		t.Errorf("the issuer was not printed: %s", b.String())
	}
}

func TestDamagedFilesAreRefused(t *testing.T) {
	t.Parallel()
	other := keychain.Key{Server: "https://other.example/mcp"}
	for _, tc := range []struct {
		name   string
		harm   func(mine, others []byte) []byte
		reason string
	}{
		{name: "one bit of the content changed", reason: "changed, renamed, or sealed with another key",
			harm: func(b, _ []byte) []byte { b[len(b)-20] ^= 1; return b }},
		{name: "one bit of the nonce changed", reason: "changed, renamed, or sealed with another key",
			harm: func(b, _ []byte) []byte { b[len("mcp-bridge sealed v1\n")] ^= 1; return b }},
		{name: "the end is missing", reason: "changed, renamed, or sealed with another key",
			harm: func(b, _ []byte) []byte { return b[:len(b)-1] }},
		{name: "nothing after the nonce", reason: "cut short",
			harm: func(b, _ []byte) []byte { return b[:len("mcp-bridge sealed v1\n")+12] }},
		{name: "empty", reason: "not in a format this version knows",
			harm: func([]byte, []byte) []byte { return nil }},
		{name: "of a later format", reason: "not in a format this version knows",
			harm: func(b, _ []byte) []byte { return bytes.Replace(b, []byte("v1"), []byte("v2"), 1) }},
		{name: "the sealed file of another server under this name", reason: "changed, renamed, or sealed with another key",
			harm: func(_, o []byte) []byte { return o }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			dir, ctx := newDir(t), t.Context()
			s := open(t, keychain.KindFile, dir)
			for _, k := range []keychain.Key{testKey, other} {
				if err := s.Save(ctx, k, record()); err != nil {
					t.Fatal(err)
				}
			}
			path := filepath.Join(dir, testKey.ID()+".file.sealed")
			mine, others := read(t, path), read(t, filepath.Join(dir, other.ID()+".file.sealed"))
			write(t, path, tc.harm(mine, others))
			_, err := s.Load(ctx, testKey)
			if !errors.Is(err, keychain.ErrDamaged) || !strings.Contains(err.Error(), tc.reason) {
				t.Errorf("load: %v, want ErrDamaged with %q", err, tc.reason)
			}
			keys, err := s.List(ctx)
			if !errors.Is(err, keychain.ErrDamaged) || !cmp.Equal(keys, []keychain.Key{other}) {
				t.Errorf("list: %v, %v, want the other key and ErrDamaged", keys, err)
			}
			if err := s.Save(ctx, testKey, record()); err != nil {
				t.Errorf("save over a damaged file: %v", err)
			}
			if _, err := s.Load(ctx, testKey); err != nil {
				t.Errorf("load after the save: %v", err)
			}
		})
	}
}

func TestUnusableStoresSayWhatToDo(t *testing.T) {
	for _, tc := range []struct {
		name   string
		kind   keychain.Kind
		before func(t *testing.T, dir string) // after one sign-in was saved
		reason string
	}{
		{name: "the keychain lost the key", kind: keychain.KindKeychain, reason: "delete",
			before: func(*testing.T, string) { keyring.MockInit() }},
		{name: "the keychain is locked", kind: keychain.KindKeychain, reason: "--token-store file",
			before: func(*testing.T, string) { keyring.MockInitWithError(errors.New("prompt dismissed")) }},
		{name: "the socket of the keychain is missing", kind: keychain.KindKeychain, reason: "--token-store file",
			before: func(*testing.T, string) { keyring.MockInitWithError(fs.ErrNotExist) }},
		{name: "the platform has no keychain", kind: keychain.KindKeychain, reason: "--token-store file",
			before: func(*testing.T, string) { keyring.MockInitWithError(keyring.ErrUnsupportedPlatform) }},
		{name: "the key in the keychain is not a key", kind: keychain.KindKeychain, reason: "the store key in the OS keychain is damaged",
			before: func(t *testing.T, _ string) {
				if err := keyring.Set("mcp-bridge", "store-key-v1", "c2hvcnQ="); err != nil {
					t.Fatal(err)
				}
			}},
		{name: "the key file is gone", kind: keychain.KindFile, reason: "no longer has the key",
			before: func(t *testing.T, dir string) {
				if err := os.Remove(filepath.Join(dir, "store-key")); err != nil {
					t.Fatal(err)
				}
			}},
		{name: "the key file is cut short", kind: keychain.KindFile, reason: "is damaged",
			before: func(t *testing.T, dir string) { write(t, filepath.Join(dir, "store-key"), []byte("c2hv")) }},
		{name: "others can read the key file", kind: keychain.KindFile, reason: "chmod 600",
			before: func(t *testing.T, dir string) {
				if runtime.GOOS == "windows" {
					t.Skip("left out: file modes (Windows has none)")
				}
				if err := os.Chmod(filepath.Join(dir, "store-key"), 0o640); err != nil {
					t.Fatal(err)
				}
			}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			keyring.MockInit()
			defer keyring.MockInit()
			dir, ctx := newDir(t), t.Context()
			if err := open(t, tc.kind, dir).Save(ctx, testKey, record()); err != nil {
				t.Fatal(err)
			}
			sealed := filepath.Join(dir, testKey.ID()+"."+string(tc.kind)+".sealed")
			old := read(t, sealed)
			tc.before(t, dir)

			s := open(t, tc.kind, dir)
			_, loadErr := s.Load(ctx, testKey)
			_, listErr := s.List(ctx)
			for verb, err := range map[string]error{
				"load": loadErr, "list": listErr, "ready": s.Ready(ctx),
				"save": s.Save(ctx, testKey, keychain.Record{}), "save another": s.Save(ctx, keychain.Key{Server: "x"}, keychain.Record{}),
			} {
				if !errors.Is(err, keychain.ErrLocked) || !strings.Contains(err.Error(), tc.reason) {
					t.Errorf("%s: %v, want ErrLocked with %q", verb, err, tc.reason)
				}
			}
			if !bytes.Equal(read(t, sealed), old) {
				t.Error("the sealed file was changed")
			}
			if err := s.Delete(ctx, testKey); err != nil {
				t.Errorf("delete without a key: %v", err)
			}
		})
	}
}

func TestOpenRefusesAnUnknownKind(t *testing.T) {
	t.Parallel()
	if _, err := keychain.Open(keychain.Options{Kind: "plaintext", Dir: "x"}); err == nil || !strings.Contains(err.Error(), "unknown token store") {
		t.Errorf("open: %v", err)
	}
}

func TestWhereNamesThePlace(t *testing.T) {
	t.Parallel()
	for kind, want := range map[keychain.Kind]string{
		"": "OS keychain (", keychain.KindFile: "file (not protected by the operating system): ", keychain.KindMemory: "memory (gone at exit)",
	} {
		s, err := keychain.Open(keychain.Options{Kind: kind})
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Where(); !strings.HasPrefix(got, want) {
			t.Errorf("Where of %q: %q, want %q", kind, got, want)
		}
	}
}

func TestFoldersOthersCanWriteAreRefused(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("left out: file modes (Windows has none)")
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	err := open(t, keychain.KindFile, dir).Save(t.Context(), testKey, record())
	if err == nil || !strings.Contains(err.Error(), "run chmod 700 on it") {
		t.Errorf("save: %v", err)
	}
}

func TestAFolderThatCannotBeMadeIsAnError(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, nil)
	s := open(t, keychain.KindFile, filepath.Join(file, "bridge"))
	if err := s.Save(t.Context(), testKey, record()); err == nil {
		t.Error("save under a regular file: no error")
	}
	if _, err := s.Lock(t.Context(), testKey); err == nil {
		t.Error("lock under a regular file: no error")
	}
	if err := s.SetCache(testKey, []byte(`{}`)); err == nil {
		t.Error("cache under a regular file: no error")
	}
}

func TestCacheGivesBackJSONOrNothing(t *testing.T) {
	t.Parallel()
	for _, kind := range []keychain.Kind{keychain.KindFile, keychain.KindMemory} {
		dir := newDir(t)
		s := open(t, kind, dir)
		if got := s.Cache(testKey); got != nil {
			t.Errorf("%s: new cache: %s", kind, got)
		}
		if err := s.SetCache(testKey, []byte(`{"era":"mod`)); err == nil {
			t.Errorf("%s: half a JSON value was taken", kind)
		}
		if err := s.SetCache(testKey, []byte(`{"era":"modern"}`)); err != nil {
			t.Fatal(err)
		}
		if got := string(s.Cache(testKey)); got != `{"era":"modern"}` {
			t.Errorf("%s: cache %q", kind, got)
		}
		if kind == keychain.KindFile {
			write(t, filepath.Join(dir, testKey.ID()+".cache"), []byte(`{"era":"mod`))
			if got := s.Cache(testKey); got != nil {
				t.Errorf("a cut cache was given back: %s", got)
			}
		}
		if err := s.Delete(t.Context(), testKey); err != nil || s.Cache(testKey) != nil {
			t.Errorf("%s: the cache outlived delete (%v)", kind, err)
		}
	}
}

func TestLockHoldsOneAtATimeInAProcess(t *testing.T) {
	t.Parallel()
	for _, kind := range []keychain.Kind{keychain.KindFile, keychain.KindMemory} {
		s := open(t, kind, newDir(t))
		var wg sync.WaitGroup
		// Atomic, because the race detector does not see the system's lock.
		var inside, entered atomic.Int32
		for range 8 {
			wg.Go(func() {
				unlock, err := s.Lock(t.Context(), testKey)
				if err != nil {
					t.Error(err)
					return
				}
				if inside.Add(1) != 1 {
					t.Error("two holders at once")
				}
				entered.Add(1)
				inside.Add(-1)
				unlock()
				unlock() // a second call is harmless
			})
		}
		wg.Wait()
		unlock, err := s.Lock(t.Context(), testKey)
		if err != nil || entered.Load() != 8 {
			t.Fatalf("%s: %d entered, %v", kind, entered.Load(), err)
		}
		defer unlock()
		ctx, cancel := context.WithTimeout(t.Context(), 60*time.Millisecond)
		defer cancel()
		if _, err := s.Lock(ctx, testKey); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: lock while held: %v", kind, err)
		}
		other, err := s.Lock(t.Context(), keychain.Key{Server: "https://other.example"})
		if err != nil {
			t.Fatal(err)
		}
		other()
	}
}

func TestLockHoldsAcrossProcesses(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"released", "killed"} {
		t.Run("until the holder is "+how, func(t *testing.T) {
			t.Parallel()
			dir := newDir(t)
			release, kill := startHolder(t, dir)
			s := open(t, keychain.KindFile, dir)
			ctx, cancel := context.WithTimeout(t.Context(), 60*time.Millisecond)
			defer cancel()
			if _, err := s.Lock(ctx, testKey); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("lock while another process holds it: %v", err)
			}
			if how == "killed" {
				kill()
			} else {
				release()
			}
			unlock, err := s.Lock(t.Context(), testKey)
			if err != nil {
				t.Fatal(err)
			}
			unlock()
		})
	}
}

func TestCreatorsAtTheSameTimeEndWithOneKey(t *testing.T) {
	t.Parallel()
	if err := createTogether(t.Context(), keychain.KindFile, newDir(t)); err != nil {
		t.Error(err)
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestCheckLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	s := open(t, keychain.KindFile, dir)
	if err := s.Check(t.Context()); err != nil {
		t.Errorf("a new store: %v", err)
	}
	if files, _ := os.ReadDir(dir); len(files) != 0 {
		t.Errorf("left behind: %v", files)
	}
	if err := s.Save(t.Context(), testKey, record()); err != nil {
		t.Fatal(err)
	}
	if err := open(t, keychain.KindFile, dir).Check(t.Context()); err != nil {
		t.Errorf("a store in use: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, "store-key")); err != nil {
		t.Fatal(err)
	}
	if err := open(t, keychain.KindFile, dir).Check(t.Context()); !errors.Is(err, keychain.ErrLocked) {
		t.Errorf("sealed files without their key: %v, want ErrLocked", err)
	}
	if err := open(t, keychain.KindMemory, "").Check(t.Context()); err != nil {
		t.Errorf("memory: %v", err)
	}
}
