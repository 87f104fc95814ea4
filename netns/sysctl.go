package netns

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

const sysctls = "/proc/sys/net/"

// A sysctl is a file under /proc/sys/net and what to write into it.
type sysctl struct{ key, value string }

// A new namespace has the host's IPv4 settings and the kernel's IPv6 ones. These are what a group needs and a host might have
// otherwise.
var (
	groupIPv4 = []sysctl{
		{"ipv4/conf/all/forwarding", "0"}, // nobody routes through a group; also in the rules
		{"ipv4/conf/all/route_localnet", "0"},
		{"ipv4/conf/default/route_localnet", "0"},
		{"ipv4/ping_group_range", "1 0"}, // nobody: an echo reply finds no owner by cgroup, so none is let in
		// The ambassador binds 443 without root or a capability. So could a member, but nobody outside reaches it there.
		{"ipv4/ip_unprivileged_port_start", "0"},
	}
	groupIPv6 = []sysctl{
		{"ipv6/conf/all/disable_ipv6", "0"},
		{"ipv6/conf/default/disable_ipv6", "0"},
		{"ipv6/conf/all/forwarding", "0"},
		{"ipv6/conf/default/accept_ra", "0"},
		{"ipv6/conf/default/accept_redirects", "0"},
		{"ipv6/conf/default/accept_dad", "0"},    // an address of a link that has two is used at once
		{"ipv6/conf/default/addr_gen_mode", "1"}, // no link-local address: nothing is reached by one
	}
)

// HasIPv6 reports whether the host has IPv6 and lets new links use it. Without it groups have IPv4 alone.
func HasIPv6() bool {
	off, err := ReadSysctl("ipv6/conf/default/disable_ipv6")
	return err == nil && off == "0"
}

// ReadSysctl returns a value below /proc/sys/net in the calling thread's network namespace: "ipv4/ip_forward".
func ReadSysctl(key string) (string, error) {
	b, err := os.ReadFile(sysctls + key)
	return strings.TrimSpace(string(b)), err
}

// WriteSysctl sets a value below /proc/sys/net in the calling thread's network namespace: "ipv4/ip_forward".
func WriteSysctl(key, value string) error {
	f, err := os.OpenFile(sysctls+key, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.WriteString(value); err != nil {
		return fmt.Errorf("write %q: %w", value, err)
	}
	return nil
}

// hasSysctls reports whether all of them are set in the calling thread's namespace. What the kernel does not have counts as set.
func hasSysctls(want []sysctl) (bool, error) {
	for _, s := range want {
		got, err := ReadSysctl(s.key)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return false, err
		}
		if got != s.value {
			return false, nil
		}
	}
	return true, nil
}

// reflecting has the kernel's own answers, resets and the last ACKs of connections, carry the mark of the packet they answer.
var reflecting = []sysctl{{"ipv4/fwmark_reflect", "1"}, {"ipv6/fwmark_reflect", "1"}}

// ReflectMarks has the kernel's own answers in a namespace carry the mark of the packet they answer, as rules may need.
func ReflectMarks(ns *os.File) error {
	return inNamespace(ns, func() error {
		for _, s := range reflecting {
			if err := WriteSysctl(s.key, s.value); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("set net/%s: %w", s.key, err)
			}
		}
		return nil
	})
}

// ReflectsMarks reports whether [ReflectMarks] is in effect in a namespace.
func ReflectsMarks(ns *os.File) (ok bool, err error) {
	err = inNamespace(ns, func() error {
		ok, err = hasSysctls(reflecting)
		return err
	})
	return ok, err
}

// prepare sets up the namespace of the calling thread, which has just been made.
func prepare() error {
	for _, s := range groupIPv4 {
		if err := WriteSysctl(s.key, s.value); err != nil {
			return fmt.Errorf("set net/%s: %w", s.key, err)
		}
	}
	for _, s := range groupIPv6 {
		if err := WriteSysctl(s.key, s.value); errors.Is(err, fs.ErrNotExist) {
			break // a kernel without IPv6
		} else if err != nil {
			return fmt.Errorf("set net/%s: %w", s.key, err)
		}
	}
	return raiseLoopback()
}

// raiseLoopback sets lo up in the calling thread's namespace, where no netlink socket is open yet: two ioctls cost less.
func raiseLoopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	ifr, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	ifr.SetUint16(unix.IFF_UP | unix.IFF_RUNNING | unix.IFF_LOOPBACK)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, ifr); err != nil {
		return fmt.Errorf("raise loopback: %w", err)
	}
	return nil
}
