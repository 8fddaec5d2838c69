// Package flight lets one process at a time ask a person to sign in: hosts start
// several bridges for the same server at once, and a person wants one browser tab.
// Whoever comes first leads; the others wait and can show the leader's URL.
//
// It knows nothing of OAuth, opens no browser and carries no outcome: whoever
// waited looks in the token store.
package flight

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"mcp-gateway/bridge/internal/keychain"
)

// maxURL bounds what is read of a published URL.
const maxURL = 16 << 10

// files of one flight, in one folder.
type files struct{ lock, done, url string }

func filesOf(dir, name string) (files, error) {
	if name == "." || name != filepath.Base(name) || !filepath.IsLocal(name) {
		return files{}, fmt.Errorf("login name %q is not a plain file name", name)
	}
	base := filepath.Join(dir, name+".login")
	return files{lock: base + ".lock", done: base + ".done", url: base + ".url"}, nil
}

// Login runs run as the leader, or waits for the process that leads. A leader that
// finished, well or not, is enough for all who waited: they get (false, nil). When
// the leader died, or its ctx ended first, the next one in line leads.
//
// run gives publish the URL a person can open, and what else they need behind a
// space; it is readable through URL until run returns.
func Login(ctx context.Context, dir, name string, run func(ctx context.Context, publish func(url string)) error) (leader bool, err error) {
	f, err := filesOf(dir, name)
	if err != nil {
		return false, err
	}
	// The mark of the last finished login tells a leader that finished from one
	// that died: only the first changes it.
	before, err := readMark(f.done)
	if err != nil {
		return false, err
	}
	unlock, err := keychain.LockFile(ctx, f.lock)
	if err != nil {
		return false, fmt.Errorf("wait for the login of another process: %w", err)
	}
	defer unlock()
	after, err := readMark(f.done)
	if err != nil || after != before {
		return false, err
	}
	return true, lead(ctx, f, run)
}

// lead runs the login under the lock.
func lead(ctx context.Context, f files, run func(context.Context, func(string)) error) error {
	defer func() { _ = os.Remove(f.url) }()
	_ = os.Remove(f.url) // of a leader that died
	publish := func(url string) {
		// A URL that cannot be published costs the others a hint, not the login.
		_ = keychain.WriteFile(f.url, []byte(url))
	}
	err := run(ctx, publish)
	if ctx.Err() != nil && err != nil {
		return err // nobody was asked to the end: the next one in line may
	}
	if markErr := keychain.WriteFile(f.done, []byte(rand.Text())); markErr != nil {
		return errors.Join(err, fmt.Errorf("mark login as finished: %w", markErr))
	}
	return err
}

// URL returns the sign-in URL of the login that runs now, in whatever process, or
// "" when none runs or none is published yet.
func URL(dir, name string) string {
	f, err := filesOf(dir, name)
	if err != nil {
		return ""
	}
	data, err := os.ReadFile(f.url)
	if err != nil || len(data) > maxURL {
		return ""
	}
	// The URL of a leader that died leads to a callback nobody listens to.
	unlock, free, err := keychain.TryLockFile(f.lock)
	if err != nil {
		return ""
	}
	if free {
		unlock()
		return ""
	}
	return strings.TrimSpace(string(data))
}

// readMark returns the mark of the last finished login, "" before the first.
func readMark(path string) (string, error) {
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read login mark: %w", err)
	}
	return string(data), nil
}
