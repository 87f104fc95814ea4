package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/pathwatch"
)

const controlSocket = "control socket"

// maxSocketPath is the length of sockaddr_un's path without the zero byte at its end.
const maxSocketPath = len(unix.RawSockaddrUnix{}.Path) - 1

// Listen opens the control socket at path. The folder must exist. Listen replaces a socket on which
// no daemon answers, and refuses if one answers. It does not prevent two daemons that start at the
// same instant from both finding none: the caller must.
//
// The socket's group and mode let only those connect whom access admits, if one group can express
// that. Since a mode is easily changed, the listener also checks each peer: it must be root, the
// daemon's own user, or in a group of access.
func Listen(path string, access Access) (*Listener, error) {
	return ListenFor(controlSocket, path, access)
}

// ListenFor is [Listen] for a socket of another name, which errors and the log have.
func ListenFor(name, path string, access Access) (*Listener, error) {
	if len(path) > maxSocketPath {
		return nil, &hint.Error{
			Err:  fmt.Errorf("the path of the %s has %d bytes, the kernel allows %d: %s", name, len(path), maxSocketPath, path),
			Hint: "choose a shorter run folder",
		}
	}
	l := &Listener{name: name, path: path, access: access, every: lookEvery}
	if err := l.open(); err != nil {
		return nil, err
	}
	return l, nil
}

// bind opens a socket at path.
func bind(name, path string) (*net.UnixListener, error) {
	if err := clearSocket(name, path); err != nil {
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
		return nil, fmt.Errorf("open the %s: %w", name, err)
	}
	unixListener := l.(*net.UnixListener)
	unixListener.SetUnlinkOnClose(false) // the path may be another's by then
	return unixListener, nil
}

// clearSocket removes the socket of a daemon that was killed.
func clearSocket(name, path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("open the %s: %w", name, err)
	case info.Mode().Type() != fs.ModeSocket:
		return &hint.Error{Err: fmt.Errorf("%s is not a socket, so the %s can't replace it", path, name), Hint: "move it away"}
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		_ = conn.Close()
	}
	if !errors.Is(err, unix.ECONNREFUSED) && name != controlSocket {
		return &hint.Error{Err: fmt.Errorf("another program answers at %s, so the %s can't replace it", path, name), Hint: "choose another path"}
	}
	if !errors.Is(err, unix.ECONNREFUSED) { // only this error proves that no process listens
		return &hint.Error{
			Err:  fmt.Errorf("another daemon is running: it answers at %s", path),
			Hint: "stop that one first, or give this one a run folder of its own",
		}
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the %s of a daemon that has ended: %w", name, err)
	}
	return nil
}

const (
	// lookEvery is the longest pause between two looks at the socket's path. Most of what happens
	// to it is an event.
	lookEvery = 30 * time.Second
	// lookAgain is the longest pause after a look at which it could not be opened.
	lookAgain = time.Second
)

// A Listener accepts only connections of admitted users. While [Listener.Keep] runs, it opens its
// socket anew when the path is gone, or is another file: a script may empty /run.
type Listener struct {
	name    string // of the socket, for errors and the log
	path    string
	refused func(uid uint32) // optional; set before the first Accept
	every   time.Duration

	mu     sync.Mutex
	access Access
	socket *net.UnixListener
	file   fs.FileInfo // the socket's at path
	closed bool
}

var _ net.Listener = (*Listener)(nil)

// open opens a socket at the path, and closes the one before.
func (l *Listener) open() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return net.ErrClosed
	}
	socket, err := bind(l.name, l.path)
	if err != nil {
		return err
	}
	var file fs.FileInfo
	if err = l.access.grant(l.path); err == nil {
		file, err = os.Lstat(l.path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("open the %s: %w", l.name, err), socket.Close())
	}
	before := l.socket
	l.socket, l.file = socket, file
	if before != nil {
		_ = before.Close() // Accept goes on with the new one
	}
	return nil
}

// atPath reports whether the path is the open socket's. An error means that this is unknown.
func (l *Listener) atPath() (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, err := os.Lstat(l.path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(now, l.file), err
}

// Keep watches the path until ctx ends, and opens the socket anew when it is not there any more.
func (l *Listener) Keep(ctx context.Context, log *slog.Logger) {
	watch := pathwatch.New(l.path)
	defer watch.Close()
	last := ""
	for {
		longest := l.every
		if last != "" {
			longest = min(longest, lookAgain)
		}
		if watch.Wait(ctx, longest); ctx.Err() != nil {
			return
		}
		there, err := l.atPath()
		if err == nil && !there {
			if err = os.MkdirAll(filepath.Dir(l.path), 0o711); err == nil {
				err = l.open()
			}
			if err == nil {
				log.Warn("the "+l.name+" was gone, it is open again", "socket", l.path)
			}
		}
		if text := hint.Text(err); err != nil && text != last && ctx.Err() == nil {
			log.Error("the "+l.name+" is gone", "socket", l.path, "error", text)
		}
		last = hint.Text(err)
	}
}

func (l *Listener) Addr() net.Addr { return &net.UnixAddr{Name: l.path, Net: "unix"} }

// Close removes the socket from its path, if it is still there.
func (l *Listener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return net.ErrClosed
	}
	l.closed = true
	if now, err := os.Lstat(l.path); err == nil && os.SameFile(now, l.file) {
		_ = os.Remove(l.path)
	}
	return l.socket.Close()
}

// current returns the open socket. It is nil after Close.
func (l *Listener) current() *net.UnixListener {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	return l.socket
}

func (l *Listener) Accept() (net.Conn, error) {
	for {
		socket := l.current()
		if socket == nil {
			return nil, net.ErrClosed
		}
		conn, err := socket.Accept()
		if err != nil && socket != l.current() { // another was opened, or this one closed
			continue
		}
		if err != nil {
			return nil, err
		}
		peer, err := newPeer(conn.(*net.UnixConn))
		if err == nil && l.rights(peer) != noRights {
			return peer, nil
		}
		if err == nil && l.refused != nil {
			l.refused(peer.uid)
		}
		refuse(conn, l.Addr().String())
	}
}

// refuse answers any request with an error and closes the connection. It does not wait for the
// client: the buffer of a new connection has room for this answer.
func refuse(conn net.Conn, socket string) {
	body, _ := json.Marshal(errorBody{encodeError(notAdmitted(socket))}) // marshalling strings can't fail
	_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
	fmt.Fprintf(conn, "HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(body), body)
	_ = conn.Close()
}
