package ruleset

import (
	"cmp"

	"github.com/vishvananda/netlink"

	"github.com/sallyport/sallyport/netns"
)

// Read calls read, and calls it again when a batch of any process changed a table of the namespace
// meanwhile: the kernel's lists may then lack entries (NLM_F_DUMP_INTR, which the nftables library
// ignores). All that read returns belongs to the generation that it gets. See [netns.Dump] for how
// often.
func Read[T any](conn *Conn, read func(at Generation) (T, error)) (T, error) {
	return netns.Dump(func() (T, error) {
		var none T
		at, err := conn.Generation()
		if err != nil {
			return none, err
		}
		got, err := read(at)
		return got, cmp.Or(conn.changedSince(at), err)
	})
}

// changedSince returns [netlink.ErrDumpInterrupted] if a table of the namespace has changed since.
func (c *Conn) changedSince(at Generation) error {
	switch now, err := c.Generation(); {
	case err != nil:
		return err
	case now != at:
		return netlink.ErrDumpInterrupted
	}
	return nil
}
