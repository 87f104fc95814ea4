package api

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
)

// An Access admits users to the control socket besides root, by unix groups. The zero value admits
// none.
type Access struct {
	Operators *uint32 // optional: gid; may do everything, and so is root
	Readers   *uint32 // optional: gid; may see the groups and change nothing
}

// rights are no rights, those of readers, or all.
type rights int

const (
	noRights rights = iota
	readRights
	fullRights
)

// of returns the rights of a peer. The daemon's own user counts as root.
func (a Access) of(p *peerConn) rights {
	in := func(gid *uint32) bool { return gid != nil && slices.Contains(p.gids, *gid) }
	switch {
	case p.uid == 0 || p.uid == uint32(os.Geteuid()) || in(a.Operators):
		return fullRights
	case in(a.Readers):
		return readRights
	}
	return noRights
}

// grant lets those connect whom the access admits. A file has one group. For two groups the mode
// lets everyone connect, and the listener refuses those that it does not admit.
func (a Access) grant(path string) error {
	gid, mode := uint32(os.Getegid()), os.FileMode(0o600)
	for _, admitted := range []*uint32{a.Operators, a.Readers} {
		switch {
		case admitted == nil:
		case mode == 0o600:
			gid, mode = *admitted, 0o660
		case gid != *admitted:
			gid, mode = uint32(os.Getegid()), 0o666
		}
	}
	file, err := openSocket(path)
	if err != nil {
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(file)
	chmod := func(mode os.FileMode) error {
		if err := unix.Chmod(fmt.Sprintf("/proc/self/fd/%d", file), uint32(mode)); err != nil {
			return &os.PathError{Op: "chmod", Path: path, Err: err}
		}
		return nil
	}
	// While the group changes, only root connects.
	if err := chmod(0o600); err != nil {
		return err
	}
	if err := unix.Fchownat(file, "", -1, int(gid), unix.AT_EMPTY_PATH); err != nil {
		return &os.PathError{Op: "chown", Path: path, Err: err}
	}
	return chmod(mode)
}

// openSocket returns a descriptor of a socket's file. The folder of the metrics socket may be
// another user's, who can put a link in its place. A link is not followed.
func openSocket(path string) (int, error) {
	file, err := unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	var st unix.Stat_t
	if err = unix.Fstat(file, &st); err == nil && st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		err = errors.New("it is not a socket")
	}
	if err != nil {
		_ = unix.Close(file)
		return -1, err
	}
	return file, nil
}

// Admit replaces the access. It applies to the next request of each connection. A request that is
// being answered goes on.
func (l *Listener) Admit(access Access) error {
	there, err := l.atPath()
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if there { // else Keep opens another socket with it
		if err := access.grant(l.path); err != nil {
			return fmt.Errorf("admit to the %s: %w", l.name, err)
		}
	}
	l.access = access
	return nil
}

func (l *Listener) rights(p *peerConn) rights {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.access.of(p)
}

// A peerConn is a connection with the credentials of the process that opened it. The kernel
// recorded them at connect.
type peerConn struct {
	*net.UnixConn
	uid  uint32
	gids []uint32 // the primary group first
}

func newPeer(conn *net.UnixConn) (*peerConn, error) {
	p := &peerConn{UnixConn: conn}
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	var sockopt error
	err = raw.Control(func(fd uintptr) {
		var cred *unix.Ucred
		if cred, sockopt = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); sockopt != nil {
			return
		}
		var more []uint32
		more, sockopt = peerGroups(fd)
		p.uid, p.gids = cred.Uid, append([]uint32{cred.Gid}, more...)
	})
	return p, errors.Join(err, sockopt)
}

// peerGroups returns the supplementary groups of the process that connected. SO_PEERCRED has only
// its primary group; SO_PEERGROUPS is in Linux since 4.13.
func peerGroups(fd uintptr) ([]uint32, error) {
	gids := make([]uint32, 64)
	for {
		size := uint32(len(gids) * 4)
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_PEERGROUPS,
			uintptr(unsafe.Pointer(&gids[0])), uintptr(unsafe.Pointer(&size)), 0)
		switch {
		case errno == unix.ERANGE && int(size/4) > len(gids): // size has the bytes that it needs
			gids = make([]uint32, size/4)
		case errno != 0:
			return nil, errno
		default:
			return gids[:size/4], nil
		}
	}
}

// rightsKey is the key of the function that returns the rights of a request's connection.
type rightsKey struct{}

// withRights is an [http.Server.ConnContext].
func withRights(ctx context.Context, conn net.Conn, l *Listener) context.Context {
	p, ok := conn.(*peerConn)
	if !ok {
		return ctx
	}
	ctx = context.WithValue(ctx, callerKey{}, Caller{UID: p.uid, Known: true})
	return context.WithValue(ctx, rightsKey{}, func() rights { return l.rights(p) })
}

// callerKey is the key of the user of a request's connection.
type callerKey struct{}

// callerOf returns the user of a request. Without a [Listener] it is unknown.
func callerOf(r *http.Request) Caller {
	caller, _ := r.Context().Value(callerKey{}).(Caller)
	return caller
}

// rightsOf returns what the caller may do at this time. Without a [Listener] it is nothing.
func rightsOf(r *http.Request) rights {
	if now, ok := r.Context().Value(rightsKey{}).(func() rights); ok {
		return now()
	}
	return noRights
}

// only lets those pass to the handler that have the rights, or more.
func (s *Server) only(needed rights, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if has := rightsOf(r); has < needed {
			s.Log.Warn("control socket: refused for lack of rights", "request", r.Method+" "+r.URL.Path)
			writeError(w, &badRequest{&hint.Error{
				Err:  errors.New("readers may see the groups, and not their output or definitions, and change nothing"),
				Hint: "run it again with sudo, or as a user of the operators' group (access block of the configuration)",
			}, http.StatusForbidden})
			return
		}
		h.ServeHTTP(w, r)
	})
}

// forReaders takes out what a container printed, which may hold secrets, and the digest: with the
// rest of a definition at hand, a short secret could be tried out against it.
func forReaders(all []group.Status) []group.Status {
	all = slices.Clone(all)
	for i := range all {
		all[i].Digest = ""
		all[i].Containers = slices.Clone(all[i].Containers)
		for j := range all[i].Containers {
			all[i].Containers[j].LastOutput = nil
		}
	}
	return all
}
