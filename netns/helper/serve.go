package helper

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A Request is one line to the process, a [Reply] one line back.
type Request struct {
	Name    string // of the call
	Socket  int    `json:",omitempty"` // descriptor of the socket it is made on
	Ints    []int
	Addr    netip.AddrPort
	Unix    *string `json:",omitempty"` // name of a unix socket, in place of Addr; "@name" is abstract
	Data    []byte  `json:",omitempty"` // any bytes: a string would lose those that are no UTF-8
	Timeout time.Duration
}

// A Reply is the result of a call.
type Reply struct {
	Errno  syscall.Errno
	Socket int // descriptor of a new socket
	Addr   netip.AddrPort
	Data   []byte
	Took   int64 // nanoseconds
}

// A Call runs in the process, on a thread that is in the namespace.
type Call func(Request) (Reply, error)

// The calls that the self-test needs. Their names are part of errors.
const (
	callHello   = "hello"
	callSocket  = "socket"
	callBind    = "bind"
	callListen  = "listen"
	callConnect = "connect"
	callSendTo  = "sendto"
	callClose   = "close"
)

var calls = map[string]Call{
	callHello: func(Request) (Reply, error) { return Reply{}, nil },
	callSocket: func(r Request) (Reply, error) {
		fd, err := unix.Socket(r.Ints[0], r.Ints[1]|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, r.Ints[2])
		return Reply{Socket: fd}, err
	},
	callBind: func(r Request) (Reply, error) {
		return Reply{}, unix.Bind(r.Socket, r.sockaddr())
	},
	callListen: func(r Request) (Reply, error) { return Reply{}, unix.Listen(r.Socket, 128) },
	callConnect: func(r Request) (Reply, error) {
		return Reply{}, connect(r.Socket, r.sockaddr(), r.Timeout)
	},
	callSendTo: func(r Request) (Reply, error) {
		return Reply{}, unix.Sendto(r.Socket, r.Data, unix.MSG_NOSIGNAL, r.sockaddr())
	},
	callClose: func(r Request) (Reply, error) { return Reply{}, unix.Close(r.Socket) },
}

// Register adds a call by name. Tests add those that only they make, before they call [Main].
func Register(name string, c Call) { calls[name] = c }

// serve is the life of a helper's process. All of it happens on one thread, which is in the
// namespace given as file 3.
func serve(in io.Reader, out io.Writer) error {
	runtime.LockOSThread()
	if err := unix.Setns(3, unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter network namespace: %w", err)
	}
	unix.Close(3)
	dec, enc := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var r Request
		if err := dec.Decode(&r); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if err := enc.Encode(do(r)); err != nil {
			return err
		}
	}
}

func do(r Request) Reply {
	call, ok := calls[r.Name]
	if !ok {
		return Reply{Errno: unix.ENOSYS}
	}
	start := time.Now()
	got, err := call(r)
	got.Took = time.Since(start).Nanoseconds()
	if err != nil && !errors.As(err, &got.Errno) {
		got.Errno = unix.EINVAL
	}
	return got
}

func connect(fd int, sa unix.Sockaddr, timeout time.Duration) error {
	err := unix.Connect(fd, sa)
	if !errors.Is(err, unix.EINPROGRESS) {
		return err
	}
	if err := Poll(fd, unix.POLLOUT, timeout); err != nil {
		return err
	}
	errno, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && errno != 0 {
		err = syscall.Errno(errno)
	}
	return err
}

// Poll waits for an event on a descriptor. None within the timeout is unix.ETIMEDOUT.
func Poll(fd int, events int16, timeout time.Duration) error {
	deadline := time.Now().Add(timeout)
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: events}}, int(max(0, time.Until(deadline).Milliseconds())))
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return err
		case n == 0:
			return unix.ETIMEDOUT
		default:
			return nil
		}
	}
}

func (r Request) sockaddr() unix.Sockaddr {
	if r.Unix != nil {
		return &unix.SockaddrUnix{Name: *r.Unix}
	}
	return Sockaddr(r.Socket, r.Addr)
}

// Sockaddr fits an address to the socket's family: an IPv4 one on an IPv6 socket is mapped.
func Sockaddr(fd int, a netip.AddrPort) unix.Sockaddr {
	domain, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	if domain == unix.AF_INET6 {
		return &unix.SockaddrInet6{Addr: a.Addr().As16(), Port: int(a.Port())}
	}
	return &unix.SockaddrInet4{Addr: a.Addr().As4(), Port: int(a.Port())}
}
