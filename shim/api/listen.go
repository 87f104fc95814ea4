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

	"github.com/sallyport/sallyport/shim/hint"
)

// maxSocketPath is the length of sockaddr_un's path without the zero byte at its end.
const maxSocketPath = len(unix.RawSockaddrUnix{}.Path) - 1

// Listen opens the control socket at path. The folder must exist. Listen replaces a socket on which
// no daemon answers, and refuses if one answers. It does not prevent two daemons that start at the
// same instant from both finding none: the caller must.
//
// The socket has mode 0600. Since a mode is easily changed, the listener also checks each peer: it
// must be root or the daemon's own user.
func Listen(path string) (net.Listener, error) {
	if len(path) > maxSocketPath {
		return nil, &hint.Error{
			Err:  fmt.Errorf("the path of the control socket has %d bytes, the kernel allows %d: %s", len(path), maxSocketPath, path),
			Hint: "choose a shorter run folder",
		}
	}
	if err := clearSocket(path); err != nil {
		return nil, err
	}
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var chmod error
		// Linux gives the file the mode that its socket has when it is bound. So the mode is never
		// wider, and the umask, which belongs to the whole process, stays unchanged.
		err := c.Control(func(fd uintptr) { chmod = unix.Fchmod(int(fd), 0o600) })
		return errors.Join(err, chmod)
	}}
	l, err := config.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, fmt.Errorf("open the control socket: %w", err)
	}
	return &listener{Listener: l, admitted: []uint32{0, uint32(os.Geteuid())}}, nil
}

// clearSocket removes the socket of a daemon that was killed.
func clearSocket(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("open the control socket: %w", err)
	case info.Mode().Type() != fs.ModeSocket:
		return &hint.Error{Err: fmt.Errorf("%s is not a socket, so the control socket can't replace it", path), Hint: "move it away"}
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		_ = conn.Close()
	}
	if !errors.Is(err, unix.ECONNREFUSED) { // only this error proves that no process listens
		return &hint.Error{
			Err:  fmt.Errorf("another daemon is running: it answers at %s", path),
			Hint: "stop that one first, or give this one a run folder of its own",
		}
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the control socket of a daemon that has ended: %w", err)
	}
	return nil
}

// A listener accepts only connections of the admitted users.
type listener struct {
	net.Listener
	admitted []uint32
	refused  func(uid uint32) // optional; set before the first Accept
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

// refuse answers any request with an error and closes the connection. It does not wait for the
// client: the buffer of a new connection has room for this answer.
func refuse(conn net.Conn, socket string) {
	body, _ := json.Marshal(errorBody{encodeError(onlyRoot(socket))}) // marshalling strings can't fail
	_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
	fmt.Fprintf(conn, "HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(body), body)
	_ = conn.Close()
}

// peer returns the user that connected. The kernel recorded it at connect.
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
