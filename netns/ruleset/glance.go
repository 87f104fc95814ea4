package ruleset

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Glance reads the generation of the tables in the namespace of the calling thread. It needs a
// fifth of the system calls that a [Conn] needs for this. As long as the generation is one at which
// a table is known, nothing else has to be read.
func Glance() (Generation, error) {
	at, err := glance()
	if err != nil {
		return at, fmt.Errorf("read generation of tables: %w", err)
	}
	return at, nil
}

func glance() (at Generation, err error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		return at, err
	}
	defer unix.Close(fd)
	if at.namespace, err = unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE); err != nil {
		return at, err
	}
	request := make([]byte, unix.SizeofNlMsghdr+4) // with a struct nfgenmsg: no family, version 0
	binary.NativeEndian.PutUint32(request, uint32(len(request)))
	binary.NativeEndian.PutUint16(request[4:], unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_GETGEN)
	binary.NativeEndian.PutUint16(request[6:], unix.NLM_F_REQUEST)
	if err := unix.Sendto(fd, request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return at, err
	}
	// The kernel has answered before the request is sent (netlink_unicast_kernel).
	answer := make([]byte, 4096)
	n, from, err := unix.Recvfrom(fd, answer, unix.MSG_DONTWAIT)
	if err != nil {
		return at, err
	}
	if a, ok := from.(*unix.SockaddrNetlink); !ok || a.Pid != 0 || n < unix.SizeofNlMsghdr {
		return at, errNotKernel
	}
	body := answer[unix.SizeofNlMsghdr:n]
	switch binary.NativeEndian.Uint16(answer[4:]) {
	case unix.NLMSG_ERROR:
		if len(body) >= 4 {
			return at, unix.Errno(-int32(binary.NativeEndian.Uint32(body)))
		}
	case unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_NEWGEN:
		number, ok := parseGeneration(body)
		if at.number = number; ok {
			return at, nil
		}
	}
	return at, errNoGeneration
}

var errNotKernel = errors.New("the answer is not the kernel's")

// Known reports whether a table is known at this generation: what it holds need not be read.
func (g Generation) Known(table string) bool {
	_, ok := recall(g, table)
	return ok
}

// Matches is [Matches] for a table that is known at this generation. It returns false if the table
// is not known, or if it differs: then only a [Conn] knows.
func (g Generation) Matches(t Table) bool {
	known, ok := recall(g, t.Name)
	if !ok {
		return false
	}
	f, _ := known.compare(t)
	return f.likeness == same
}

// MatchesFrom is [Generation.Matches] for the table of that name that a source makes. It makes the
// table only if it is not known to be that one.
func (g Generation) MatchesFrom(name string, from Source) bool {
	known, ok := recall(g, name)
	if !ok {
		return false
	}
	if known.madeFrom(from) {
		return true
	}
	f, _ := known.compare(from.Table())
	return f.likeness == same
}

// Holds is [Holds] for a table that is known at this generation. It returns false if the table is
// not known, or if it lacks a chain: then only a [Conn] knows.
func (g Generation) Holds(t Table) bool {
	known, ok := recall(g, t.Name)
	return ok && known.outlines(t)
}
