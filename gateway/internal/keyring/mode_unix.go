//go:build unix

package keyring

import (
	"fmt"
	"io/fs"
)

// checkMode refuses a key ring that group or others can open.
func checkMode(path string, info fs.FileInfo) error {
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("key ring %s can be opened by others (mode %04o); run: chmod 600 %s", path, mode, path)
	}
	return nil
}
