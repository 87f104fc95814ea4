package uplink

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns"
	"github.com/sallyport/sallyport/netns/kernfile"
	"github.com/sallyport/sallyport/netns/ruleset"
)

const sysctls = "/proc/sys/net/"

// A family is an IP version with its switch for forwarding.
type family struct {
	name, key string
	number    byte
}

var (
	ipv4 = family{"ipv4", "ipv4/ip_forward", unix.NFPROTO_IPV4}
	ipv6 = family{"ipv6", "ipv6/conf/all/forwarding", unix.NFPROTO_IPV6}
)

// Strangers are the links that could not reach each other before this table's owner turned
// forwarding on, by family: "ipv4" or "ipv6". A family that the host forwarded by itself has none.
type Strangers map[string][]string

// ReadStrangers reads [Config].Forwarding. Without the file there are none. The file has a line for
// each family, with the family and the links: "ipv4 eth0 eth1".
func ReadStrangers(path string) (Strangers, error) {
	out := Strangers{}
	if path == "" {
		return out, nil
	}
	text, err := kernfile.Read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return out, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read which links may not reach each other: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		if words := strings.Fields(line); len(words) > 0 {
			out[words[0]] = words[1:]
		}
	}
	return out, nil
}

func (s Strangers) write(path string) error {
	var text strings.Builder
	for _, f := range []family{ipv4, ipv6} {
		if links, ok := s[f.name]; ok {
			fmt.Fprintln(&text, strings.Join(append([]string{f.name}, links...), " "))
		}
	}
	return writeFile(path, text.String())
}

func (s Strangers) equal(o Strangers) bool {
	return slices.Equal(s[ipv4.name], o[ipv4.name]) && slices.Equal(s[ipv6.name], o[ipv6.name])
}

// chains drop what is forwarded from one of the links to one of them. Links that are made later are
// not among them. Programs that make links and forward between them, such as Docker and libvirt,
// turn forwarding on by themselves, but only if it is off. There are no chains without links.
func (s Strangers) chains(base *ruleset.Base) []ruleset.Chain {
	forward := ruleset.Chain{Name: "forward", Base: base}
	var out []ruleset.Chain
	for _, f := range []family{ipv4, ipv6} {
		links := s[f.name]
		if len(links) == 0 {
			continue
		}
		between := ruleset.Chain{Name: "strangers_" + f.name}
		for _, link := range links {
			forward.Rules = append(forward.Rules, ruleset.NewRule("", ruleset.Family(f.number), ruleset.IIFName(link), ruleset.Goto(between.Name)))
			between.Rules = append(between.Rules, ruleset.NewRule("", ruleset.OIFName(link), ruleset.Count(chainStray), ruleset.Drop()))
		}
		out = append(out, between)
	}
	if len(out) == 0 {
		return nil
	}
	return append(out, forward)
}

// families returns those that groups have.
func (u *Uplink) families() []family {
	if u.config.Prefix6.IsValid() {
		return []family{ipv4, ipv6}
	}
	return []family{ipv4}
}

// findStrangers records the host's links for each family that does not forward yet. It keeps what
// was recorded before, and a family that forwarded when this process saw it first: then it is
// turned on again for the host, too.
func (u *Uplink) findStrangers() error {
	if u.config.Forwarding == "" {
		return nil
	}
	recorded, err := ReadStrangers(u.config.Forwarding)
	if err != nil {
		return err
	}
	found := false
	for _, f := range u.families() {
		_, known := recorded[f.name]
		if on := read(f.key); known || on == "" || u.forwarded[f.name] {
			continue
		} else if on != "0" {
			u.forwarded[f.name] = true
			continue
		}
		if recorded[f.name], err = hostLinks(); err != nil {
			return err
		}
		found = true
	}
	if !found {
		return nil
	}
	if err := recorded.write(u.config.Forwarding); err != nil {
		return fmt.Errorf("record which links may not reach each other: %w", err)
	}
	return nil
}

// stopForwarding turns forwarding off again, for a family that this table's owner turned on, if
// every link is one of its strangers. Nothing is forwarded between them anyway. It reports whether
// a family is left whose strangers have to be kept apart.
func (u *Uplink) stopForwarding() (left bool, err error) {
	links, err := netns.Dump(netlink.LinkList)
	if err != nil || len(u.strangers) == 0 {
		return len(u.strangers) > 0, err
	}
	rest := Strangers{}
	for _, f := range []family{ipv4, ipv6} {
		recorded, ok := u.strangers[f.name]
		if !ok {
			continue
		}
		others := func(l netlink.Link) bool { return l.Attrs().Name != "lo" && !slices.Contains(recorded, l.Attrs().Name) }
		if slices.ContainsFunc(links, others) {
			rest[f.name] = recorded
		} else if err := f.stop(); err != nil {
			return true, err
		}
	}
	if len(rest) > 0 {
		return true, rest.write(u.config.Forwarding)
	}
	return false, os.Remove(u.config.Forwarding)
}

// stop turns forwarding off. The kernel then accepts redirects (inet_forward_change in
// net/ipv4/devinet.c), also on a host that did not before: that is put back.
func (f family) stop() error {
	const redirects = "ipv4/conf/all/accept_redirects"
	before := read(redirects)
	if err := write(f.key, "0"); err != nil || f != ipv4 {
		return err
	}
	return write(redirects, before)
}

// hostLinks returns the names of all links but lo and those of groups, of any daemon.
func hostLinks() ([]string, error) {
	links, err := netns.Dump(netlink.LinkList)
	if err != nil {
		return nil, fmt.Errorf("list the host's links: %w", err)
	}
	names := []string{}
	for _, l := range links {
		if name := l.Attrs().Name; name != "lo" && !strings.HasPrefix(name, netns.LinkPrefix) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// forward makes the host route. By default a host that routes IPv6 ignores router advertisements,
// so it would lose its own address and default route. Interfaces that accepted them before
// (accept_ra 1) get accept_ra 2, which accepts them in spite of forwarding.
func forward(families []family) error {
	if err := write(ipv4.key, "1"); err != nil {
		return err
	}
	if !slices.Contains(families, ipv6) || read(ipv6.key) != "0" {
		return nil
	}
	interfaces, err := filepath.Glob(sysctls + "ipv6/conf/*/accept_ra")
	if err != nil {
		return err
	}
	for _, path := range interfaces {
		key := strings.TrimPrefix(path, sysctls)
		if read(key) != "1" {
			continue
		}
		if err := write(key, "2"); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return write(ipv6.key, "1")
}

// Forwards reports whether the host routes the groups' packets. It reads two files.
func (u *Uplink) Forwards() bool {
	on4, _ := u.forwards4.Read()
	if string(on4) != "1\n" || !u.config.Prefix6.IsValid() {
		return string(on4) == "1\n"
	}
	on6, _ := u.forwards6.Read()
	return string(on6) != "0\n"
}

// read returns a sysctl, or "" where the kernel does not have it.
func read(key string) string {
	value, _ := netns.ReadSysctl(key)
	return value
}

// write sets a sysctl, unless it is so already.
func write(key, value string) error {
	if read(key) == value {
		return nil
	}
	if err := netns.WriteSysctl(key, value); err != nil {
		return fmt.Errorf("set net/%s: %w", key, err)
	}
	return nil
}
