package sqlite

import (
	"errors"
	"os"
	"syscall"
)

// lock opens path so that nobody else can open it (share mode 0), or returns
// ErrHeld. The system lets go of it when the process ends, however it ends.
func lock(path string) (*os.File, error) {
	// ERROR_SHARING_VIOLATION; the syscall package does not name it.
	const sharingViolation = syscall.Errno(32)
	name, err := syscall.UTF16PtrFromString(path)
	if err != nil {
		return nil, &os.PathError{Op: "lock", Path: path, Err: err}
	}
	handle, err := syscall.CreateFile(name, syscall.GENERIC_READ|syscall.GENERIC_WRITE, 0, nil,
		syscall.OPEN_ALWAYS, syscall.FILE_ATTRIBUTE_NORMAL, 0)
	if errors.Is(err, sharingViolation) {
		return nil, ErrHeld
	}
	if err != nil {
		return nil, &os.PathError{Op: "lock", Path: path, Err: err}
	}
	return os.NewFile(uintptr(handle), path), nil
}
