package netns

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns/kernfile"
)

const sysctls = "/proc/sys/net/"

// A sysctl is a file under /proc/sys/net and what to write into it.
type sysctl struct{ key, value string }

// A new namespace has the host's IPv4 settings and the kernel's default IPv6 settings. These are
// the settings that a group needs and a host may have otherwise.
var (
	groupIPv4 = []sysctl{
		{"ipv4/conf/all/forwarding", "0"}, // no packet is routed through a group; the rules ensure it too
		{"ipv4/conf/all/route_localnet", "0"},
		{"ipv4/conf/default/route_localnet", "0"},
		{pingGroups, NoPingGroups}, // no group: it is the whole namespace's, members' too
		// The ambassador binds 443 without root or a capability. A member can too, but is not
		// reached there from outside.
		{"ipv4/ip_unprivileged_port_start", "0"},
	}
	groupIPv6 = []sysctl{
		{"ipv6/conf/all/disable_ipv6", "0"},
		{"ipv6/conf/default/disable_ipv6", "0"},
		{"ipv6/conf/all/forwarding", "0"},
		{"ipv6/conf/default/accept_ra", "0"},
		{"ipv6/conf/default/accept_redirects", "0"},
		{"ipv6/conf/default/accept_dad", "0"},    // addresses are usable at once
		{"ipv6/conf/default/addr_gen_mode", "1"}, // no link-local address: none is needed
	}
)

// HasIPv6 reports whether the host has IPv6 and enables it on new links. Otherwise groups have IPv4
// alone.
func HasIPv6() bool {
	off, err := ReadSysctl("ipv6/conf/default/disable_ipv6")
	return err == nil && off == "0"
}

// ReadSysctl returns a value below /proc/sys/net in the calling thread's network namespace:
// "ipv4/ip_forward".
func ReadSysctl(key string) (string, error) {
	b, err := kernfile.Read(sysctls + key)
	return strings.TrimSpace(string(b)), err
}

// WriteSysctl sets a value below /proc/sys/net in the calling thread's network namespace:
// "ipv4/ip_forward".
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

// hasSysctls reports whether all of them are set in the calling thread's namespace. A sysctl that
// the kernel lacks counts as set.
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

// SetSysctls sets values below /proc/sys/net in a namespace, by their keys: "core/somaxconn".
// Several numbers are separated by one space.
func SetSysctls(ns *os.File, values map[string]string) error {
	if len(values) == 0 {
		return nil
	}
	return Inside(ns, func() error {
		for _, key := range slices.Sorted(maps.Keys(values)) {
			if err := WriteSysctl(key, values[key]); err != nil {
				return fmt.Errorf("set net/%s: %w", key, err)
			}
		}
		return nil
	})
}

// HasSysctls reports whether [SetSysctls] is in effect in a namespace. A value that the kernel
// lacks is not.
func HasSysctls(ns *os.File, values map[string]string) (ok bool, err error) {
	if len(values) == 0 {
		return true, nil
	}
	err = Inside(ns, func() error {
		for key, value := range values {
			got, err := ReadSysctl(key)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			if strings.Join(strings.Fields(got), " ") != value {
				return nil
			}
		}
		ok = true
		return nil
	})
	return ok, err
}

// reflecting makes the kernel's own answers (resets and last ACKs of connections) carry the mark of
// the packet they answer.
var reflecting = []sysctl{{"ipv4/fwmark_reflect", "1"}, {"ipv6/fwmark_reflect", "1"}}

// ReflectMarks makes the kernel's own answers in a namespace carry the mark of the packet they
// answer. Rules may need that.
func ReflectMarks(ns *os.File) error {
	return Inside(ns, func() error {
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
	err = Inside(ns, func() error {
		ok, err = ReflectsMarksHere()
		return err
	})
	return ok, err
}

// ReflectsMarksHere is [ReflectsMarks] for the calling thread's namespace.
func ReflectsMarksHere() (bool, error) { return hasSysctls(reflecting) }

// prepare sets up the new namespace of the calling thread.
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

// raiseLoopback sets lo up in the calling thread's namespace. No netlink socket is open there yet,
// so two ioctls cost less.
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
