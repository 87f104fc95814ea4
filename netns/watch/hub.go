package watch

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns"
)

// A hub is a network namespace of its own, in which the namespaces of groups have numbers. A socket
// there with NETLINK_LISTEN_ALL_NSID hears the namespaces that have a number there
// (do_one_broadcast in net/netlink/af_netlink.c), and no other. So it hears groups only, however
// busy the host's own routes are. A number does not keep a namespace alive: the kernel takes it
// back with the namespace (unhash_nsid in net/core/net_namespace.c). The hub goes with its sockets.
type hub struct {
	route, netfilter int
	requests         *netlink.Handle
}

// Multicast groups of linux/rtnetlink.h and linux/netfilter/nfnetlink.h.
var (
	hubGroups = []int{unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR, unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE,
		unix.RTNLGRP_TC, unix.RTNLGRP_NSID}
	hostGroups      = []int{unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR, unix.RTNLGRP_IPV4_NETCONF, unix.RTNLGRP_IPV6_NETCONF}
	netfilterGroups = []int{unix.NFNLGRP_NFTABLES}
)

func openHub() (*hub, error) {
	h := &hub{route: -1, netfilter: -1}
	err := netns.InPrivate(func() (err error) {
		if h.route, err = listenAll(unix.NETLINK_ROUTE, hubGroups, nil); err != nil {
			return err
		}
		if h.netfilter, err = listenAll(unix.NETLINK_NETFILTER, netfilterGroups, netfilterFilter()); err != nil {
			return err
		}
		h.requests, err = netlink.NewHandle(unix.NETLINK_ROUTE)
		return err
	})
	if err != nil {
		for _, fd := range []int{h.route, h.netfilter} {
			if fd >= 0 {
				unix.Close(fd)
			}
		}
		return nil, err
	}
	return h, nil
}

// number returns the number of a namespace, or -1.
func (h *hub) number(ns *os.File) (int32, error) {
	n, err := h.requests.GetNetNsIdByFd(int(ns.Fd()))
	return int32(n), err
}

func (h *hub) setNumber(ns *os.File, number int32) error {
	return h.requests.SetNetNsIdByFd(int(ns.Fd()), int(number))
}

// listenAll opens a socket that hears every namespace with a number in that of the calling thread.
func listenAll(protocol int, groups []int, filter []bpf.RawInstruction) (int, error) {
	fd, err := listen(protocol, groups, filter)
	if err != nil {
		return -1, err
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_LISTEN_ALL_NSID, 1); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("hear other namespaces: %w", err)
	}
	return fd, nil
}

// bufferSize bounds the messages that wait to be read, in bytes. The memory is used only by them.
const bufferSize = 4 << 20

// listen opens a socket that hears the namespace of the calling thread. A nil filter lets
// everything through.
func listen(protocol int, groups []int, filter []bpf.RawInstruction) (fd int, err error) {
	fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocol)
	if err != nil {
		return -1, fmt.Errorf("open netlink socket: %w", err)
	}
	defer func() {
		if err != nil {
			unix.Close(fd)
			fd, err = -1, fmt.Errorf("set up netlink socket: %w", err)
		}
	}()
	if filter != nil {
		// Before it is bound, so that nothing else is ever in the buffer.
		if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, program(filter)); err != nil {
			return fd, err
		}
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, bufferSize); err != nil {
		return fd, err
	}
	if err := bind(fd); err != nil {
		return fd, err
	}
	for _, g := range groups {
		if err := unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, g); err != nil {
			return fd, err
		}
	}
	return fd, nil
}

// bind gives a socket a port id that nothing else knows. The kernel does not send a message to a
// socket whose port id is that of the sender, if the sender asked for an echo (NLM_F_ECHO;
// do_one_broadcast compares port ids before namespaces). A sender in another namespace may have the
// id that the kernel would choose, the number of this process. It is too small a number here.
func bind(fd int) error {
	for {
		id := make([]byte, 4)
		_, _ = rand.Read(id) // never fails
		err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Pid: 1<<31 | binary.NativeEndian.Uint32(id)})
		if !errors.Is(err, unix.EADDRINUSE) {
			return err
		}
	}
}

func program(filter []bpf.RawInstruction) *unix.SockFprog {
	out := make([]unix.SockFilter, len(filter))
	for i, in := range filter {
		out[i] = unix.SockFilter{Code: in.Op, Jt: in.Jt, Jf: in.Jf, K: in.K}
	}
	return &unix.SockFprog{Len: uint16(len(out)), Filter: &out[0]}
}

// Types of messages of nf_tables.
const (
	newGeneration = unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_NEWGEN
	newObject     = unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_NEWOBJ
)

// netfilterFilter lets through the message that ends every batch, and those about objects. So a
// batch with ten thousand elements costs one message.
func netfilterFilter() []bpf.RawInstruction {
	raw, err := bpf.Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: 4, Size: 2}, // nlmsg_type
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: loaded(newGeneration), SkipTrue: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: loaded(newObject), SkipTrue: 1},
		bpf.RetConstant{Val: 0},
		bpf.RetConstant{Val: 1 << 31},
	})
	if err != nil {
		panic(err) // the instructions never change
	}
	return raw
}

// loaded returns what a filter loads for a number in the machine's order.
func loaded(n uint16) uint32 {
	return uint32(binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, n)))
}

// mostRead bounds how many messages one read of a socket takes. mostDropped is far more than a
// buffer holds: a sender that is faster than we read must not keep us here.
const (
	mostRead    = 1024
	mostDropped = 64 * mostRead
)

// receive hands out the messages of a socket, with the number of the namespace that they are from.
// The number is -1 in the socket's own namespace. It reports whether messages were lost. Then it
// reads on to the last one, and drops them: until the socket is empty, the kernel adds none, and
// does not report it again (netlink_overrun in net/netlink/af_netlink.c).
func receive(fd int, do func(number int32, message []byte)) (lost bool) {
	buf, oob := make([]byte, 64<<10), make([]byte, 64)
	for read := 0; read < mostRead || lost && read < mostDropped; read++ {
		n, oobn, flags, from, err := unix.Recvmsg(fd, buf, oob, unix.MSG_DONTWAIT)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.ENOBUFS):
			lost = true
			continue
		case err != nil: // EAGAIN: there is no more
			return lost
		case flags&unix.MSG_TRUNC != 0:
			lost = true
			continue
		}
		if a, ok := from.(*unix.SockaddrNetlink); !ok || a.Pid != 0 || lost {
			continue // not from the kernel, or all is looked at anyway
		}
		do(numberOf(oob[:oobn]), buf[:n])
	}
	return lost
}

func numberOf(oob []byte) int32 {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return -1
	}
	for _, m := range messages {
		if m.Header.Level == unix.SOL_NETLINK && m.Header.Type == unix.NETLINK_LISTEN_ALL_NSID && len(m.Data) >= 4 {
			return int32(binary.NativeEndian.Uint32(m.Data))
		}
	}
	return -1
}
