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

// Open returns a connection to the tables of a network namespace, or of the calling thread's own where ns is 0. The caller
// closes it.
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

// largestBatch is far more than an allow list of ten thousand lines takes, in bytes.
const largestBatch = 8 << 20

// identify finds out which namespace the socket is in. A kernel before 5.14 can't say.
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

// Commit sends the batch, which takes effect whole or not at all. Tables that the batch does not name stay known.
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

// Close ends the connection. The kernel has whoever closes a connection wait until all that was deleted in the namespace is
// freed, which takes it grace periods, some 10 ms; after a commit that is left to a goroutine, which ends by itself.
func (c *Conn) Close() {
	if c.committed {
		go func() { _ = c.CloseLasting() }()
		return
	}
	_ = c.CloseLasting()
}
