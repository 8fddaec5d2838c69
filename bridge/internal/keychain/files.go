package keychain

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"
)

const (
	cacheSuffix = ".cache"
	maxCache    = 4 << 20
	// lockPoll is how often a waiting lock is tried: the lock of another process
	// sends no signal when it is released.
	lockPoll = 25 * time.Millisecond
)

// Cache returns the JSON last given to SetCache for k, or nil. It is one read and
// no keychain call, because the first answer to the host waits for it.
func (s *Store) Cache(k Key) []byte {
	if s.kind == KindMemory {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.cache[k]
	}
	data, err := readFile(filepath.Join(s.dir, k.ID()+cacheSuffix), maxCache)
	if err != nil || !json.Valid(data) {
		return nil
	}
	return data
}

// SetCache keeps data, which is JSON and no secret, for the next start.
func (s *Store) SetCache(k Key, data []byte) error {
	if !json.Valid(data) || len(data) > maxCache {
		return errors.New("cache is not JSON, or too large")
	}
	if s.kind == KindMemory {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.cache[k] = append([]byte(nil), data...)
		return nil
	}
	return WriteFile(filepath.Join(s.dir, k.ID()+cacheSuffix), data)
}

// WriteFile puts data in place of the file at path, with mode 0600, in a folder
// with mode 0700. A reader sees the old content or the new; so does everyone after
// a crash or a full disk.
func WriteFile(path string, data []byte) (err error) {
	dir := filepath.Dir(path)
	if err := makeDir(dir); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	if _, err := f.Write(data); err != nil {
		return err
	}
	// Without it a rename can reach the disk before the content it names.
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return replace(f.Name(), path)
}

// makeDir makes the folder of the store, or checks the one that is there.
func makeDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the folder of the token store: %w", err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("check the folder of the token store: %w", err)
	}
	// Whoever can write here can put their own key and sign-in in place of ours.
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("other users can write to %s: run chmod 700 on it", dir)
	}
	return nil
}

// readFile reads a file of at most limit bytes.
func readFile(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%s is over %d bytes: %w", path, limit, fs.ErrInvalid)
	}
	return data, err
}

// LockFile locks the file at path, made when absent, against every other holder in
// this process and others. The operating system releases the lock of a process
// that ends in any way. It waits until ctx ends.
func LockFile(ctx context.Context, path string) (unlock func(), err error) {
	ticker := time.NewTicker(lockPoll)
	defer ticker.Stop()
	for {
		unlock, ok, err := TryLockFile(path)
		if err != nil || ok {
			return unlock, err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for another process: %w", context.Cause(ctx))
		}
	}
}

// TryLockFile is LockFile without the wait: ok is false while another holds it.
func TryLockFile(path string) (unlock func(), ok bool, err error) {
	if err := makeDir(filepath.Dir(path)); err != nil {
		return nil, false, err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, false, fmt.Errorf("open lock file: %w", err)
	}
	ok, err = tryLock(f)
	if err != nil || !ok {
		_ = f.Close()
		if err != nil {
			err = fmt.Errorf("lock %s: %w", path, err)
		}
		return nil, false, err
	}
	// Closing the file releases the lock.
	return sync.OnceFunc(func() { _ = f.Close() }), true, nil
}
