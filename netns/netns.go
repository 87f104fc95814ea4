// Package netns makes one pinned network namespace look like a Config: its sysctls and loopback, the link to the host, addresses
// and routes. The namespace belongs to no process: it is kept by a mount of its file, outlives every container in it, and goes
// when it is unpinned.
//
// What bites: a thread is moved into the namespace only to make it, to set its sysctls and to read them, in [Apply],
// [ReflectMarks] and [ReflectsMarks], and to make the sockets of [DialLoopback]; everything else goes through netlink sockets
// opened there. Paths under /proc/sys/net show the namespace of the thread that opens them, never that of the file's owner.
package netns

import (
	"errors"
	"fmt"
	"hash/fnv"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
)

// A Config is the whole wanted state of one namespace.
type Config struct {
	Path string // required: absolute; where the namespace is pinned
	Link *Link  // optional: nil leaves a link that is there alone
}

// A Link joins the namespace to the host: point to point, without a bridge.
type Link struct {
	Name      string       // required: of the host's end; see LinkName
	Alias     string       // optional: of the host's end
	Host      []netip.Addr // required: the host's address of each family wanted
	Group     []netip.Addr // required: the namespace's, as many
	Localhost bool         // the host's end may carry what the host's own 127.0.0.1 sends to the group
	RateOut   uint64       // optional: bits a second that the namespace may send; 0: any number
	RateIn    uint64       // optional: bits a second that it may be sent
}

// PeerName is the link's name inside the namespace.
const PeerName = "eth0"

// LinkPrefix begins the name of the host's end of every link.
const LinkPrefix = "sp-"

// LinkName returns the name of the host's end for a namespace pinned at path: at most 15 bytes, as the kernel wants, and another
// one for another path.
func LinkName(path string) string {
	h := fnv.New64a()
	h.Write([]byte(filepath.Clean(path)))
	return fmt.Sprintf(LinkPrefix+"%011s", strconv.FormatUint(h.Sum64()&(1<<55-1), 36))
}

// bits is the prefix length of a link's addresses: two addresses and nothing else.
func bits(a netip.Addr) int { return a.BitLen() - 1 }

// Apply makes the namespace as c says. What is as wanted already is left alone.
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

// Validate reports what no link can be: a name that the kernel refuses, addresses that are no pairs.
func (l Link) Validate() error {
	if l.Name == "" || len(l.Name) > 15 || len(l.Host) == 0 || len(l.Host) != len(l.Group) {
		return fmt.Errorf("link %q has no name, a name over 15 bytes, or no pair of addresses", l.Name)
	}
	return nil
}

// Open opens a pinned namespace. One that is not pinned is os.ErrNotExist, whatever file lies at its path.
func Open(path string) (*os.File, error) {
	ok, err := Pinned(path)
	if err == nil && !ok {
		err = os.ErrNotExist
	}
	if err != nil {
		return nil, fmt.Errorf("open namespace %q: %w", path, err)
	}
	return os.Open(path)
}

// Observe reports whether the wanted state of c is there. An error means that it could not be told.
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
	return linkAsWanted(ns, *c.Link)
}

// Remove takes away the namespace at path with all that is left in it. What is absent, or half made, is no error.
func Remove(path string) error {
	if err := unpin(path); err != nil {
		return fmt.Errorf("remove namespace %q: %w", path, err)
	}
	return nil
}
