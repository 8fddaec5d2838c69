package admin

import (
	"net"
	"syscall"
)

// peer names the user of the process at the other end, as the kernel knows it.
func peer(c net.Conn) string {
	unix, ok := c.(*net.UnixConn)
	if !ok {
		return unknownPeer
	}
	raw, err := unix.SyscallConn()
	if err != nil {
		return unknownPeer
	}
	name := unknownPeer
	err = raw.Control(func(fd uintptr) {
		if cred, err := syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED); err == nil {
			name = Operator(int(cred.Uid))
		}
	})
	if err != nil {
		return unknownPeer
	}
	return name
}
