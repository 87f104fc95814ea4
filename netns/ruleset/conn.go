package ruleset

import (
	"errors"
	"fmt"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// A Conn is a connection to the tables of one network namespace. It is not safe for concurrent use.
type Conn struct {
	*nftables.Conn
	raw       *netlink.Conn // the same socket
	namespace uint64
	committed bool
}

// Open returns a connection to the tables of a network namespace. An ns of 0 means the namespace of
// the calling thread. The caller closes the connection.
func Open(ns int) (*Conn, error) {
	c := &Conn{}
	conn, err := nftables.New(nftables.WithNetNSFd(ns), nftables.AsLasting(), nftables.WithSockOptions(c.identify))
	if err != nil {
		if c.raw != nil {
			c.raw.Close() // the library leaves it open
		}
		return nil, fmt.Errorf("open nftables: %w", err)
	}
	c.Conn = conn
	return c, nil
}

// largestBatch is in bytes. An allow list of ten thousand lines takes far less.
const largestBatch = 8 << 20

// identify reads the cookie of the socket's namespace. A kernel before 5.14 has none.
func (c *Conn) identify(conn *netlink.Conn) error {
	c.raw = conn
	// The batch is one write, and the kernel answers each of its messages.
	if err := errors.Join(conn.SetWriteBuffer(largestBatch), conn.SetReadBuffer(largestBatch)); err != nil {
		return err
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var got error
	if err := raw.Control(func(fd uintptr) {
		c.namespace, got = unix.GetsockoptUint64(int(fd), unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
	}); err != nil {
		return err
	}
	return got
}

// Commit sends the batch, which takes effect whole or not at all. The memory of tables that it does
// not name stays valid.
func (c *Conn) Commit() error {
	c.committed = true
	before, err := c.Generation()
	if err != nil {
		return err
	}
	if err := c.Flush(); err != nil {
		return err
	}
	if after, err := c.Generation(); err == nil && after.Follows(before) {
		carry(before, after)
	}
	return nil
}

// Close ends the connection. When a socket is closed, the kernel waits until everything deleted in
// the namespace is freed, which takes grace periods, some 10 ms (nft_rcv_nl_event). So after a
// commit a goroutine closes the socket and ends.
func (c *Conn) Close() {
	if c.committed {
		go func() { _ = c.CloseLasting() }()
		return
	}
	_ = c.CloseLasting()
}
