//go:build !windows

package keychain

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// tryLock takes an flock, which belongs to the opened file and so also holds
// against another opening in the same process.
func tryLock(f *os.File) (bool, error) {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return true, nil
		case errors.Is(err, syscall.EWOULDBLOCK):
			return false, nil
		case !errors.Is(err, syscall.EINTR):
			return false, err
		}
	}
}

// replace renames from to to and makes the new name last through a power cut.
func replace(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(to))
	if err != nil {
		return nil // the rename is done; its order on the disk is a bonus
	}
	defer func() { _ = dir.Close() }()
	_ = dir.Sync() // some file systems refuse this for folders
	return nil
}
