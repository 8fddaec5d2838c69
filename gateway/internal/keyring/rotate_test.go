package keyring_test

import (
	"bytes"
	"encoding/hex"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mcp-gateway/gateway/internal/keyring"
)

// sealingID is the id of the key that a ring seals with.
func sealingID(ring *keyring.Ring) string {
	return hex.EncodeToString(ring.Seal(keyring.Session, nil, nil)[:4])
}

func TestRotateWhileGatewaysRun(t *testing.T) {
	t.Parallel()
	path := create(t)
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		logger := slog.New(slog.NewTextHandler(&log, nil))
		rings := []*keyring.Ring{load(t, path), load(t, path)}
		var watches sync.WaitGroup
		ctx := t.Context()
		for _, ring := range rings {
			watches.Go(func() { ring.Watch(ctx, logger) })
		}
		// The gateways do not read at the same time: one is always ahead.
		first := sealingID(rings[0])
		old := rings[0].Seal(keyring.ClientRegistration, []byte("old"), nil)
		added, err := keyring.Rotate(path, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		late := load(t, path) // a gateway that starts now
		if sealingID(late) != first {
			t.Error("a new key seals before every gateway has it")
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		// Whoever seals with the new key first is understood by the others.
		early, err := keyring.Load(path, time.Now().Add(keyring.Overlap))
		if err != nil || sealingID(early) != added.ID {
			t.Fatalf("sealing with %s, %v, want %s", sealingID(early), err, added.ID)
		}
		sealed := early.Seal(keyring.Session, []byte("new"), nil)
		for _, ring := range rings {
			if sealingID(ring) != first {
				t.Error("a gateway seals with the new key too early")
			}
			if got, err := ring.Open(keyring.Session, sealed, nil); err != nil || string(got) != "new" {
				t.Errorf("a gateway does not know the new key: %q, %v", got, err)
			}
		}
		time.Sleep(keyring.Overlap)
		synctest.Wait() // for what happens at the same instant
		for _, ring := range rings {
			if sealingID(ring) != added.ID {
				t.Error("a gateway does not seal with the new key")
			}
			if got, err := ring.Open(keyring.ClientRegistration, old, nil); err != nil || string(got) != "old" {
				t.Errorf("the old key does not open any more: %q, %v", got, err)
			}
		}
		if n := strings.Count(log.String(), "another key"); n != 2 {
			t.Errorf("%d lines, want one for each gateway:\n%s", n, log.String())
		}
	})
}

func TestARingThatCannotBeReadAgainStays(t *testing.T) {
	t.Parallel()
	path := create(t)
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		ring := load(t, path)
		before := sealingID(ring)
		ctx := t.Context()
		go ring.Watch(ctx, slog.New(slog.NewTextHandler(&log, nil)))
		for _, content := range []string{"", "{", `{"keys":[]}`, `{"keys":[{"id":"zz","key":""}]}`} {
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			synctest.Wait()
			if sealingID(ring) != before {
				t.Errorf("%q: the keys are others", content)
			}
			if _, err := keyring.Rotate(path, time.Now()); err == nil {
				t.Errorf("%q was rotated", content)
			}
			if got, err := os.ReadFile(path); err != nil || string(got) != content {
				t.Errorf("%q became %q, %v", content, got, err)
			}
		}
		if n := strings.Count(log.String(), "cannot be read again"); n < 2 || n > 4 {
			t.Errorf("%d lines, want one for each reason:\n%s", n, log.String())
		}
	})
}

func TestRotateKeepsTheFileToItsOwner(t *testing.T) {
	t.Parallel()
	path := create(t)
	now := time.Unix(1_900_000_000, 0)
	for range 3 {
		if _, err := keyring.Rotate(path, now); err != nil {
			t.Fatal(err)
		}
		now = now.Add(time.Hour)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	list, err := keyring.List(path, now)
	if err != nil || len(list) != 4 || !list[3].Sealing || list[0].Sealing || !list[0].Seals.IsZero() {
		t.Errorf("%+v, %v", list, err)
	}
	if list, err := keyring.List(path, now.Add(-time.Hour)); err != nil || !list[2].Sealing {
		t.Errorf("at the moment of rotation: %+v, %v", list, err)
	}
	if _, err := keyring.Rotate(path+".none", now); err == nil || !strings.Contains(err.Error(), "keys init") {
		t.Errorf("no ring: %v", err)
	}
}

func TestARingThatRotatesKnowsAtOnce(t *testing.T) {
	t.Parallel()
	path := create(t)
	ring, before := load(t, path), load(t, path)
	key, err := ring.Rotate(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if ring.Path() != path || sealingID(ring) == key.ID {
		t.Errorf("the ring of %s seals with the new key before others have it", ring.Path())
	}
	later, err := keyring.Load(path, time.Now().Add(keyring.Overlap))
	if err != nil {
		t.Fatal(err)
	}
	sealed := later.Seal(keyring.Session, []byte("new"), nil)
	if got, err := ring.Open(keyring.Session, sealed, nil); err != nil || string(got) != "new" {
		t.Errorf("the ring that rotated: %q, %v", got, err)
	}
	if _, err := before.Open(keyring.Session, sealed, nil); err == nil {
		t.Error("a ring that was not told knows the new key: this test shows nothing")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := ring.Rotate(time.Now()); err == nil || !strings.Contains(err.Error(), "keys init") {
		t.Errorf("without a file: error is %v, want one that says how to make one", err)
	}
	if _, err := ring.Open(keyring.Session, sealed, nil); err != nil {
		t.Errorf("a rotation that failed took a key away: %v", err)
	}
}
