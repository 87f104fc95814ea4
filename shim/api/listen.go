package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim"
)

// maxSocketPath is what sockaddr_un holds, but for the byte that ends it.
const maxSocketPath = len(unix.RawSockaddrUnix{}.Path) - 1

// Listen opens the control socket at path, in a folder that exists. It takes the place of a socket
// that nobody answers on, and refuses to do so where somebody does. That two daemons which start at
// the same instant don't both find nobody is for the caller to see to.
//
// The socket is made with mode 0600, and who connects must be root all the same, or the user the
// daemon runs as: a mode is easily changed.
func Listen(path string) (net.Listener, error) {
	if len(path) > maxSocketPath {
		return nil, &shim.Problem{
			Err:  fmt.Errorf("the path of the control socket has %d bytes, the kernel takes %d: %s", len(path), maxSocketPath, path),
			Hint: "choose a shorter run folder",
		}
	}
	if err := clearSocket(path); err != nil {
		return nil, err
	}
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var chmod error
		// Linux gives the file the mode its socket has when it is bound: it is never wider, and the
		// umask, which belongs to the whole process, is left alone.
		err := c.Control(func(fd uintptr) { chmod = unix.Fchmod(int(fd), 0o600) })
		return errors.Join(err, chmod)
	}}
	l, err := config.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, fmt.Errorf("open the control socket: %w", err)
	}
	return &listener{Listener: l, admitted: []uint32{0, uint32(os.Geteuid())}}, nil
}

// clearSocket removes what a daemon that was killed left at path.
func clearSocket(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("open the control socket: %w", err)
	case info.Mode().Type() != fs.ModeSocket:
		return &shim.Problem{Err: fmt.Errorf("%s is in the way of the control socket, and is no socket", path), Hint: "move it away"}
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		_ = conn.Close()
	}
	if !errors.Is(err, unix.ECONNREFUSED) { // only this proves that nobody listens
		return &shim.Problem{
			Err:  fmt.Errorf("another daemon is running: it answers at %s", path),
			Hint: "stop that one first, or give this one a run folder of its own",
		}
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("replace the control socket of a daemon that is gone: %w", err)
	}
	return nil
}

// A listener accepts only connections of the admitted users.
type listener struct {
	net.Listener
	admitted []uint32
	refused  func(uid uint32) // nil: nobody wants to know. Set before the first Accept
}

func (l *listener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		uid, err := peer(conn.(*net.UnixConn))
		if err == nil && slices.Contains(l.admitted, uid) {
			return conn, nil
		}
		if err == nil && l.refused != nil {
			l.refused(uid)
		}
		refuse(conn, l.Addr().String())
	}
}

// refuse answers whatever may be asked, and hangs up. It doesn't wait: a connection that is new has
// room for so little.
func refuse(conn net.Conn, socket string) {
	body, _ := json.Marshal(errorBody{encodeError(onlyRoot(socket))}) // strings: it can't fail
	_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
	fmt.Fprintf(conn, "HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(body), body)
	_ = conn.Close()
}

// peer is the user who connected, as the kernel noted at that moment.
func peer(conn *net.UnixConn) (uid uint32, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	var sockopt error
	err = raw.Control(func(fd uintptr) {
		cred, sockopt = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err := errors.Join(err, sockopt); err != nil {
		return 0, err
	}
	return cred.Uid, nil
}
