package keyring_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mcp-gateway/gateway/internal/keyring"
)

func create(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "new", "keys.json")
	if err := keyring.Create(path, time.Unix(1_800_000_000, 0)); err != nil {
		t.Fatal(err)
	}
	return path
}

func load(t testing.TB, path string) *keyring.Ring {
	t.Helper()
	ring, err := keyring.Load(path, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func TestSealAndOpen(t *testing.T) {
	t.Parallel()
	ring := load(t, create(t))
	plain, context := []byte("hello"), []byte("browser")
	sealed := ring.Seal(keyring.Session, plain, context)
	if len(sealed) != len(plain)+keyring.Overhead || bytes.Contains(sealed, plain) {
		t.Errorf("sealed = %x", sealed)
	}
	if bytes.Equal(sealed, ring.Seal(keyring.Session, plain, context)) {
		t.Error("the same text was sealed the same way twice")
	}
	if got, err := ring.Open(keyring.Session, sealed, context); err != nil || !bytes.Equal(got, plain) {
		t.Errorf("open = %q, %v", got, err)
	}
	for name, open := range map[string]func() ([]byte, error){
		"another purpose": func() ([]byte, error) { return ring.Open(keyring.ConsentForm, sealed, context) },
		"another context": func() ([]byte, error) { return ring.Open(keyring.Session, sealed, []byte("other")) },
		"no context":      func() ([]byte, error) { return ring.Open(keyring.Session, sealed, nil) },
		"another ring":    func() ([]byte, error) { return load(t, create(t)).Open(keyring.Session, sealed, context) },
		"nothing":         func() ([]byte, error) { return ring.Open(keyring.Session, nil, context) },
		"cut off":         func() ([]byte, error) { return ring.Open(keyring.Session, sealed[:len(sealed)-1], context) },
		"lengthened":      func() ([]byte, error) { return ring.Open(keyring.Session, append(slices.Clone(sealed), 0), context) },
	} {
		if _, err := open(); !errors.Is(err, keyring.ErrOpen) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for i := range sealed {
		changed := slices.Clone(sealed)
		changed[i] ^= 0x80
		if _, err := ring.Open(keyring.Session, changed, context); !errors.Is(err, keyring.ErrOpen) {
			t.Fatalf("byte %d changed: %v", i, err)
		}
	}
}

func TestASealedTextHasOneSpelling(t *testing.T) {
	t.Parallel()
	ring := load(t, create(t))
	text := ring.SealText(keyring.ClientRegistration, []byte("ab"), nil) // 34 bytes: the last digit has unused bits
	if got, err := ring.OpenText(keyring.ClientRegistration, text, nil); err != nil || string(got) != "ab" {
		t.Fatalf("open = %q, %v", got, err)
	}
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for _, other := range digits {
		spelling := text[:len(text)-1] + string(other)
		if _, err := ring.OpenText(keyring.ClientRegistration, spelling, nil); err == nil && spelling != text {
			t.Errorf("%q is another spelling of %q", spelling, text)
		}
	}
	for _, spelling := range []string{text + "=", text + "\n", "\n" + text, text[:5] + "\r\n" + text[5:]} {
		if _, err := ring.OpenText(keyring.ClientRegistration, spelling, nil); err == nil {
			t.Errorf("%q was accepted", spelling)
		}
	}
}

func TestKeysOverlap(t *testing.T) {
	t.Parallel()
	oldPath, newPath := create(t), create(t)
	sealed := load(t, oldPath).Seal(keyring.Session, []byte("old"), nil)
	var old, both map[string][]any
	for path, into := range map[string]*map[string][]any{oldPath: &old, newPath: &both} {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(data, into); err != nil {
			t.Fatal(err)
		}
	}
	both["keys"] = append(both["keys"], old["keys"]...)
	data, err := json.Marshal(both)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "keys.json")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	ring := load(t, path)
	if got, err := ring.Open(keyring.Session, sealed, nil); err != nil || string(got) != "old" {
		t.Errorf("the old key does not open any more: %q, %v", got, err)
	}
	if got, err := load(t, newPath).Open(keyring.Session, ring.Seal(keyring.Session, []byte("new"), nil), nil); err != nil || string(got) != "new" {
		t.Errorf("the first key does not seal: %q, %v", got, err)
	}
}

func TestCreateNeverOverwrites(t *testing.T) {
	t.Parallel()
	path := create(t)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := keyring.Create(path, time.Now()); !errors.Is(err, fs.ErrExist) {
		t.Errorf("err = %v", err)
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
		t.Error("the key ring was changed")
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 1 {
		t.Errorf("files are left over: %v, %v", left, err)
	}
}

func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	key := strings.Repeat("A", 43) + "="
	for name, tt := range map[string]struct{ content, says string }{
		"nothing":         {"", "not one that keys init wrote"},
		"no JSON":         {"keys", "not one that keys init wrote"},
		"no key":          {`{"keys":[]}`, "holds no key"},
		"a short key":     {`{"keys":[{"id":"01020304","key":"AAAA"}]}`, "not 32 bytes"},
		"no base64":       {`{"keys":[{"id":"01020304","key":"!"}]}`, "not 32 bytes"},
		"a long id":       {`{"keys":[{"id":"0102030405","key":"` + key + `"}]}`, "8 hex digits"},
		"an id twice":     {`{"keys":[{"id":"01020304","key":"` + key + `"},{"id":"01020304","key":"` + key + `"}]}`, "stands twice"},
		"an id of no hex": {`{"keys":[{"id":"zzzzzzzz","key":"` + key + `"}]}`, "8 hex digits"},
	} {
		path := filepath.Join(t.TempDir(), "keys.json")
		if err := os.WriteFile(path, []byte(tt.content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := keyring.Load(path, time.Now()); err == nil || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), key) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := keyring.Load(filepath.Join(t.TempDir(), "none.json"), time.Now()); err == nil || !strings.Contains(err.Error(), "keys init") {
		t.Errorf("a missing file: %v", err)
	}
}

func TestAKeyRingThatOthersCanReadIsRefused(t *testing.T) {
	t.Parallel()
	path := create(t)
	for _, mode := range []os.FileMode{0o640, 0o604, 0o660} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := keyring.Load(path, time.Now()); err == nil || !strings.Contains(err.Error(), "chmod 600") {
			t.Errorf("mode %o: %v", mode, err)
		}
	}
}

// FuzzOpenText: a value opens in the one spelling it was sealed in. Every fuzzing
// process has a key ring of its own, so inputs are edits of a value that this
// process sealed: whole values in the seeds would open in none.
func FuzzOpenText(f *testing.F) {
	ring := load(f, create(f))
	good := ring.SealText(keyring.Session, []byte("x"), nil)
	whole := uint16(len(good))
	f.Add(uint16(0), uint16(0), "", []byte(nil))
	f.Add(uint16(0), uint16(0), "", []byte("another context"))
	f.Add(uint16(0), whole, "AAAA", []byte(nil))
	f.Add(whole-1, whole, "_", []byte(nil))          // unused bits
	f.Add(uint16(9), uint16(9), "\r\n", []byte(nil)) // skipped by decoders
	f.Add(whole, whole, "==", []byte(nil))
	f.Add(uint16(0), uint16(8), "", []byte(nil))
	f.Fuzz(func(t *testing.T, from, to uint16, text string, context []byte) {
		start := min(int(from), len(good))
		sealed := good[:start] + text + good[max(start, min(int(to), len(good))):]
		plain, err := ring.OpenText(keyring.Session, sealed, context)
		if own := sealed == good && len(context) == 0; own != (err == nil) {
			t.Fatalf("%q with the context %q: %v", sealed, context, err)
		}
		if err == nil && string(plain) != "x" || err != nil && !errors.Is(err, keyring.ErrOpen) {
			t.Fatalf("%q opens as %q, %v", sealed, plain, err)
		}
	})
}
