//go:build unix

package sqlite

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// takeLease locks path for this process. The system releases the lock when the
// process ends, however it ends.
func takeLease(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lease: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = fmt.Errorf("another mcp-gateway is using this state folder (%s is locked): stop it, or give this one a folder of its own", path)
		}
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
