package admin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// SocketName is the socket's name in the gateway's state folder.
const SocketName = "admin.sock"

// maxPath is how long a socket's path may be: 104 bytes with a zero on macOS, a
// few more on Linux.
const maxPath = 103

// errLive: somebody answers where a socket is to be made.
var errLive = errors.New("another process answers there")

// Listen makes the socket in a state folder. One that a dead process left is
// replaced, one that answers never. The caller holds the database of the folder,
// so that no two do this at once.
//
// There is no moment at which others could open it, whatever the rights of the
// folder and the umask: it is made inside a folder of its own that only the owner
// may enter (0700), given mode 0600 there, and then renamed to its place.
func Listen(ctx context.Context, dir string) (net.Listener, error) {
	path := filepath.Join(dir, SocketName)
	if err := checkStale(ctx, path); err != nil {
		return nil, fmt.Errorf("make the socket %s: %w", path, err)
	}
	l, err := listenPrivately(ctx, dir, path)
	if err != nil {
		return nil, fmt.Errorf("make the socket %s: %w", path, err)
	}
	return l, nil
}

// checkStale returns nil if nothing is at path, or a socket that nobody serves.
func checkStale(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode()&fs.ModeSocket == 0 {
		return errors.New("something that is no socket has its name: move it away")
	}
	conn, err := dial(ctx, path)
	if err == nil {
		return errors.Join(errLive, conn.Close())
	}
	if !refused(err) {
		return err
	}
	return nil
}

func listenPrivately(ctx context.Context, dir, path string) (_ net.Listener, err error) {
	private, err := os.MkdirTemp(dir, ".a") // mode 0700
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(private)) }()
	name := filepath.Join(private, "s")
	if len(name) > maxPath {
		return nil, fmt.Errorf("the path of state_dir is too long for a socket in it, by %d bytes", len(name)-maxPath)
	}
	l, err := new(net.ListenConfig).Listen(ctx, "unix", name)
	if err != nil {
		return nil, err
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // it has another name by then
	if err := errors.Join(os.Chmod(name, 0o600), os.Rename(name, path)); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	info, err := os.Lstat(path)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	own := &listener{Listener: l, path: path, info: info}
	own.close = sync.OnceValue(own.remove)
	return own, nil
}

// listener removes its socket when it is closed.
type listener struct {
	net.Listener
	path  string
	info  fs.FileInfo
	close func() error
}

// Close stops listening and removes the socket.
func (l *listener) Close() error { return l.close() }

// remove leaves alone what somebody else has put in the place of the socket.
func (l *listener) remove() error {
	err := l.Listener.Close()
	if info, statErr := os.Lstat(l.path); statErr == nil && os.SameFile(info, l.info) {
		err = errors.Join(err, os.Remove(l.path))
	}
	return err
}

func dial(ctx context.Context, path string) (net.Conn, error) {
	return (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "unix", path)
}

// refused reports whether nobody listens on a socket that is there. 10061 is how
// Windows says so.
func refused(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.Errno(10061))
}
