package sqlite

import (
	"fmt"
	"os"
	"syscall"
)

// takeLease opens path so that no other process can open it. Windows closes
// it when the process ends, however it ends.
func takeLease(path string) (*os.File, error) {
	name, err := syscall.UTF16PtrFromString(path)
	if err != nil {
		return nil, fmt.Errorf("open lease: %w", err)
	}
	h, err := syscall.CreateFile(name, syscall.GENERIC_READ|syscall.GENERIC_WRITE, 0, nil,
		syscall.OPEN_ALWAYS, syscall.FILE_ATTRIBUTE_NORMAL, 0)
	if err != nil {
		return nil, fmt.Errorf("another mcp-gateway may be using this state folder (%s cannot be opened alone): %w", path, err)
	}
	return os.NewFile(uintptr(h), path), nil
}
