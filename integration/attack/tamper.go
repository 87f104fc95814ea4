package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// tampering are the ways to change the rules and their surroundings, class 4. Each returns nil if
// it could. The port of a target is the ambassador's process, in the host's numbers.
var tampering = map[string]func(target) error{
	"nft-flush":      func(target) error { return flushRules() },
	"link-down":      onEth0(netlink.LinkSetDown),
	"link-down-old":  func(target) error { return downByIoctl() },
	"link-add":       func(target) error { return netlink.LinkAdd(veth()) },
	"address-add":    onEth0(addAddress),
	"route-add":      onEth0(addRoute),
	"rule-add":       func(target) error { return addRule() },
	"sysctl":         func(target) error { return writeSysctls() },
	"capabilities":   func(target) error { return raiseCapabilities() },
	"bpf":            func(target) error { return loadProgram() },
	"tun":            func(target) error { return tun("/dev/net/tun") },
	"mknod":          makeTun,
	"new-userns":     newUserNamespace,
	"unshare":        func(target) error { return unix.Unshare(unix.CLONE_NEWNET) },
	"setns":          enterByFile,
	"setns-pidfd":    enterByPidfd,
	"ptrace":         seize,
	"pidfd-getfd":    stealDescriptor,
	"proc-fd":        readDescriptors,
	"process-memory": readMemory,
	"cgroup-move":    moveToCgroup,
	"cgroup-mount":   mountCgroup,
	"cgroup-fsopen":  openCgroup,
}

// thenConnect tampers and then tries to leave, from the same thread. The error is that of the
// tampering.
func thenConnect(act func(target) error) deed {
	return func(t target) (string, error) {
		err := act(t)
		for _, to := range []string{"198.51.100.66", "2001:db8:51::66"} {
			tcp(target{net.ParseIP(to), 80})
		}
		return "", err
	}
}

func flushRules() error {
	c := &nftables.Conn{}
	c.FlushRuleset()
	return c.Flush()
}

func onEth0(act func(netlink.Link) error) func(target) error {
	return func(target) error {
		link, err := netlink.LinkByName("eth0")
		if err != nil {
			return err
		}
		return act(link)
	}
}

// downByIoctl sets the link down as ifconfig does.
func downByIoctl() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	r, err := unix.NewIfreq("eth0")
	if err != nil {
		return err
	}
	r.SetUint16(0)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, r)
}

func veth() netlink.Link {
	return &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "other0"}, PeerName: "other1"}
}

func addAddress(link netlink.Link) error {
	return netlink.AddrAdd(link, &netlink.Addr{IPNet: &net.IPNet{IP: net.IPv4(203, 0, 113, 7), Mask: net.CIDRMask(32, 32)}})
}

func addRoute(link netlink.Link) error {
	return netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Scope: netlink.SCOPE_LINK,
		Dst: &net.IPNet{IP: net.IPv4(203, 0, 113, 0), Mask: net.CIDRMask(24, 32)}})
}

func addRule() error {
	r := netlink.NewRule()
	r.Table, r.Priority = 100, 100
	return netlink.RuleAdd(r)
}

// writeSysctls writes values that would open another way out. It succeeds if one could be written.
func writeSysctls() error {
	var errs []error
	for _, key := range []string{"ipv4/ip_forward", "ipv4/ping_group_range", "ipv4/conf/all/route_localnet", "ipv6/conf/all/forwarding"} {
		path := filepath.Join("/proc/sys/net", key)
		was, err := os.ReadFile(path)
		if err == nil {
			err = os.WriteFile(path, was, 0)
		}
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// raiseCapabilities asks for all capabilities.
func raiseCapabilities() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return err
	}
	for _, c := range []uint{unix.CAP_NET_ADMIN, unix.CAP_NET_RAW, unix.CAP_SYS_ADMIN} {
		data[0].Permitted |= 1 << c
		data[0].Effective |= 1 << c
	}
	return unix.Capset(&header, &data[0])
}

// tun makes a link of its own, whose packets a process writes.
func tun(path string) error {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	r, err := unix.NewIfreq("")
	if err != nil {
		return err
	}
	r.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	return unix.IoctlIfreq(fd, unix.TUNSETIFF, r)
}

// makeTun makes the device that its container doesn't have.
func makeTun(target) error { return makeTunIn("") }

func makeTunIn(dir string) error {
	return madeDevice(dir, unix.S_IFCHR, 10, 200, tun)
}

// makeAndOpen makes a device that its container doesn't have, and opens it.
func makeAndOpen(dir string, kind uint32, major, minor uint32) error {
	return madeDevice(dir, kind, major, minor, func(path string) error { return openDevice(path, unix.O_RDONLY) })
}

// madeDevice makes a node in a new folder, and acts on it. An empty dir is that of temporary files.
func madeDevice(dir string, kind, major, minor uint32, act func(path string) error) error {
	dir, err := os.MkdirTemp(dir, "attack")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "node")
	if err := unix.Mknod(path, kind|0o600, int(unix.Mkdev(major, minor))); err != nil {
		return fmt.Errorf("mknod: %w", err)
	}
	return act(path)
}
