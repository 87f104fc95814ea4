// Package netns makes one pinned network namespace match a Config: its sysctls and loopback, the
// link to the host, addresses and routes. The namespace belongs to no process. A mount of its file
// keeps it. It outlives every container in it and goes when it is unpinned.
//
// Pitfall: a thread moves into the namespace only to make it and to set and read its sysctls
// ([Apply], [ReflectMarks], [ReflectsMarks]), and to make the sockets of [DialLoopback]. Everything
// else uses netlink sockets opened there. Paths under /proc/sys/net show the namespace of the
// thread that opens them, never that of the file's owner.
package netns

import (
	"errors"
	"fmt"
	"hash/fnv"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"

	"github.com/sallyport/sallyport/netns/kernfile"
)

// A Config is the whole wanted state of one namespace.
type Config struct {
	Path string // required: absolute; where the namespace is pinned
	Link *Link  // optional: nil leaves an existing link alone
}

// A Link joins the namespace to the host: point to point, without a bridge.
type Link struct {
	Name      string       // required: of the host's end; see LinkName
	Alias     string       // optional: of the host's end
	Host      []netip.Addr // required: the host's address of each family wanted
	Group     []netip.Addr // required: the namespace's, as many
	Localhost bool         // the host's end accepts packets from the host's own 127.0.0.1 to the group
	RateOut   uint64       // optional: bits a second that the namespace may send; 0: any number
	RateIn    uint64       // optional: bits a second that it may receive; 0: any number
}

// PeerName is the link's name inside the namespace.
const PeerName = "eth0"

// LinkPrefix is the beginning of the name of the host's end of every link.
const LinkPrefix = "sp-"

// LinkName returns the name of the host's end for a namespace pinned at path. It has at most 15
// bytes, the kernel's limit. Each path has a name of its own.
func LinkName(path string) string {
	h := fnv.New64a()
	h.Write([]byte(filepath.Clean(path)))
	return fmt.Sprintf(LinkPrefix+"%011s", strconv.FormatUint(h.Sum64()&(1<<55-1), 36))
}

// bits returns the prefix length of a link's address. The prefix holds two addresses.
func bits(a netip.Addr) int { return a.BitLen() - 1 }

// Apply makes the namespace match c. It leaves alone what matches already.
func Apply(c Config) error {
	if !filepath.IsAbs(c.Path) {
		return fmt.Errorf("namespace path %q is not absolute", c.Path)
	}
	if err := pin(c.Path); err != nil {
		return fmt.Errorf("pin namespace %q: %w", c.Path, err)
	}
	if c.Link == nil {
		return nil
	}
	if err := c.Link.Validate(); err != nil {
		return err
	}
	ns, err := Open(c.Path)
	if err != nil {
		return err
	}
	defer ns.Close()
	if err := applyLink(ns, *c.Link); err != nil {
		return fmt.Errorf("link %q of namespace %q: %w", c.Link.Name, c.Path, err)
	}
	return nil
}

// Validate returns an error for a name that the kernel refuses and for addresses that are no pairs.
func (l Link) Validate() error {
	if l.Name == "" || len(l.Name) > 15 || len(l.Host) == 0 || len(l.Host) != len(l.Group) {
		return fmt.Errorf("link %q has no name, a name over 15 bytes, or no pair of addresses", l.Name)
	}
	return nil
}

// Open opens a pinned namespace. If none is pinned at path, the error is os.ErrNotExist, even if
// there is a file.
func Open(path string) (*os.File, error) {
	ok, err := Pinned(path)
	if err == nil && !ok {
		err = os.ErrNotExist
	}
	if err != nil {
		return nil, fmt.Errorf("open namespace %q: %w", path, err)
	}
	return kernfile.Open(path)
}

// Observe reports whether the namespace matches c. An error means that this is unknown.
func Observe(c Config) (bool, error) {
	ns, err := Open(c.Path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer ns.Close()
	if c.Link == nil {
		return true, nil
	}
	return HasLink(ns, *c.Link)
}

// HasLink reports whether both ends of the namespace's link match l. An error means that this is
// unknown.
func HasLink(ns *os.File, l Link) (bool, error) { return linkAsWanted(ns, l) }

// Remove removes the namespace at path with everything left in it. An absent or half-made one is no
// error.
func Remove(path string) error {
	if err := unpin(path); err != nil {
		return fmt.Errorf("remove namespace %q: %w", path, err)
	}
	return nil
}
