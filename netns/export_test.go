package netns

import (
	"net/netip"

	"github.com/vishvananda/netlink"
)

// An End is where one end of a link is asked about, for tests.
type End = end

// HostEnd opens the end in the calling thread's namespace.
var HostEnd = hostEnd

// Find returns the link of that name, and the kind of its queue. It has no Link if there is none.
func (e end) Find(name string) (netlink.Link, string, error) {
	l, err := e.find(name)
	return l.Link, l.queue, err
}

// Routes lists the routes of the main table.
func (e end) Routes() ([]netlink.Route, error) { return e.routes() }

// Listed returns the end as it is with a kernel that can't be asked for one link.
func (e end) Listed() End { return end{Handle: e.Handle} }

// Alone reports whether the kernel is asked for one link.
func (e end) Alone() bool { return e.alone != nil }

// Answers returns how many messages the kernel sends for the addresses and neighbours of a link.
func (e end) Answers(link netlink.Link) (addrs, neighbours int, err error) {
	a, err := e.askAddrs(link)
	if err != nil {
		return 0, 0, err
	}
	n, err := e.askNeighbours(link)
	return len(a), len(n), err
}

// Addrs lists the addresses of the link.
func (e end) Addrs(link netlink.Link) ([]netlink.Addr, error) { return e.addrs(link) }

// Enter enters neighbours of the link.
func (e end) Enter(link netlink.Link, addrs []netip.Addr) error {
	return ensureNeighbours(e, link, addrs, hardwareAddr("peer"))
}

// HasNeighbours reports whether they are entered.
func (e end) HasNeighbours(link netlink.Link, addrs ...netip.Addr) (bool, error) {
	return hasNeighbours(e, link, addrs, hardwareAddr("peer"))
}
