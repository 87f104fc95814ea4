package netns

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"strings"

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

// Answers returns how many messages the kernel sends for the addresses of a link.
func (e end) Answers(link netlink.Link) (int, error) {
	msgs, err := e.askAddrs(link)
	return len(msgs), err
}

// HostEndAsWanted compares the sysctls of a host's end with l, from the link and from their files.
// It is the same if any of them had not come with the link.
func (e end) HostEndAsWanted(l Link) (fromLink, fromFiles bool, err error) {
	found, err := e.find(l.Name)
	if err != nil {
		return false, false, err
	}
	want := hostEndSysctls(l)
	if len(found.sysctls) < len(want) {
		return false, false, fmt.Errorf("the link came with these sysctls alone: %v", found.sysctls)
	}
	if fromLink, err = found.hasSysctls(want); err != nil {
		return false, false, err
	}
	for _, s := range want {
		part := found
		part.sysctls = maps.Clone(found.sysctls)
		delete(part.sysctls, s.key)
		if ok, err := part.hasSysctls(want); err != nil || ok != fromLink {
			return false, false, errors.Join(err, fmt.Errorf("as wanted without %s: %v", s.key, ok))
		}
	}
	fromFiles, err = hasSysctls(want)
	return fromLink, fromFiles, err
}

// SetHostEnd sets the sysctls of a host's end but the one that is named.
func SetHostEnd(l Link, but string) error {
	for _, s := range hostEndSysctls(l) {
		value := s.value
		if strings.HasSuffix(s.key, "/"+but) {
			value = map[string]string{"0": "1", "1": "0"}[value]
		}
		if err := WriteSysctl(s.key, value); err != nil {
			return err
		}
	}
	return nil
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
