package netns

import (
	"bytes"
	"errors"
	"sync"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// An asker is a socket for questions about links in one namespace. A question takes two or three
// system calls. The netlink library prepares its sockets for waiting, and asks for their address
// with each question. There is nothing to wait for: the kernel has answered before a question is
// sent, and goes on with a longer answer while the first part is received (netlink_recvmsg).
type asker struct {
	fd  int
	buf *[32 << 10]byte // the kernel makes no part of an answer longer than that
}

// askBuffers has the buffers of askers that are closed.
var askBuffers = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// errNotStrict means that the kernel can't be asked for one link alone.
var errNotStrict = errors.New("the kernel lists all links")

// openAsker opens the socket in the calling thread's namespace. The caller closes it. The kernel
// checks the questions, so that it answers them for one link (NETLINK_GET_STRICT_CHK, Linux 4.20).
func openAsker() (*asker, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	if unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_GET_STRICT_CHK, 1) != nil {
		unix.Close(fd)
		return nil, errNotStrict
	}
	return &asker{fd: fd, buf: askBuffers.Get().(*[32 << 10]byte)}, nil
}

// ask sends a question and returns the messages of the answer that are of one type. If the list has
// changed meanwhile, the error is [netlink.ErrDumpInterrupted].
func (a *asker) ask(req *nl.NetlinkRequest, answer uint16) (out [][]byte, err error) {
	if err := unix.Sendto(a.fd, req.Serialize(), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, err
	}
	for {
		// With MSG_TRUNC it returns how long the part is, and not how much of it there is room for.
		n, from, recvErr := unix.Recvfrom(a.fd, a.buf[:], unix.MSG_DONTWAIT|unix.MSG_TRUNC)
		if errors.Is(recvErr, unix.EINTR) {
			continue
		}
		if recvErr != nil {
			return nil, recvErr
		}
		if n > len(a.buf) {
			return nil, errors.New("an answer of the kernel is cut off")
		}
		if sender, ok := from.(*unix.SockaddrNetlink); !ok || sender.Pid != 0 {
			continue // a process, and not the kernel
		}
		messages, parseErr := syscall.ParseNetlinkMessage(a.buf[:n])
		if parseErr != nil {
			return nil, parseErr
		}
		for _, m := range messages {
			if m.Header.Seq != req.Seq {
				continue // of an earlier question that was given up
			}
			if m.Header.Flags&unix.NLM_F_DUMP_INTR != 0 {
				err = netlink.ErrDumpInterrupted
			}
			switch m.Header.Type {
			case unix.NLMSG_DONE, unix.NLMSG_ERROR:
				if len(m.Data) >= 4 {
					if errno := -int32(nl.NativeEndian().Uint32(m.Data)); errno != 0 {
						return nil, unix.Errno(errno)
					}
				}
				return out, err
			case answer:
				out = append(out, bytes.Clone(m.Data))
			}
			if m.Header.Flags&unix.NLM_F_MULTI == 0 {
				return out, err
			}
		}
	}
}

// close ends the asker. It is called once.
func (a *asker) close() {
	unix.Close(a.fd)
	askBuffers.Put(a.buf)
}
