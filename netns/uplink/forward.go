package uplink

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/sallyport/sallyport/netns"
)

const sysctls = "/proc/sys/net/"

// forward makes the host route. By default a host that routes IPv6 ignores router advertisements,
// so it would lose its own address and default route. Interfaces that accepted them before
// (accept_ra 1) get accept_ra 2, which accepts them in spite of forwarding.
func forward(ipv6 bool) error {
	if err := write("ipv4/ip_forward", "1"); err != nil {
		return err
	}
	if !ipv6 || read("ipv6/conf/all/forwarding") != "0" {
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
	return write("ipv6/conf/all/forwarding", "1")
}

// Forwards reports whether the host routes the groups' packets. It reads two files.
func (u *Uplink) Forwards() bool {
	return read("ipv4/ip_forward") == "1" && (!u.config.Prefix6.IsValid() || read("ipv6/conf/all/forwarding") != "0")
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
