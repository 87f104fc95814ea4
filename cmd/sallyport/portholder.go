package main

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/spec"
)

// portHolder names the process of the host that listens on a port a group wants to publish; "" where nobody does. The
// kernel doesn't say it by itself: a published port is redirected before a listener could see it, so both would seem to work
// and one be silent.
func portHolder(p spec.Publish) (string, error) {
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		sockets, err := listeners(p.Protocol, family)
		if err != nil {
			return "", err
		}
		for _, s := range sockets {
			if s.ID.SourcePort == p.Host && sameAddress(p.Address, s.ID.Source) {
				return cmp.Or(processOf(s.INode), "another process"), nil
			}
		}
	}
	return "", nil
}

// listeners are the sockets that wait for a peer: listening ones of TCP, those without a peer of UDP.
func listeners(protocol string, family uint8) ([]*netlink.Socket, error) {
	list, state := netlink.SocketDiagTCP, uint8(netlink.TCP_LISTEN)
	if protocol == "udp" {
		list, state = netlink.SocketDiagUDP, netlink.TCP_CLOSE
	}
	all, err := list(family)
	if err != nil {
		return nil, fmt.Errorf("list the host's %s sockets: %w", protocol, err)
	}
	var waiting []*netlink.Socket
	for _, s := range all {
		if s.State == state {
			waiting = append(waiting, s)
		}
	}
	return waiting, nil
}

// sameAddress says whether a port published on one address of the host, or on all when it is "", meets a listener. One on
// loopback meets none: what is published is reached from elsewhere.
func sameAddress(published string, listens net.IP) bool {
	addr, ok := netip.AddrFromSlice(listens)
	if !ok {
		return true
	}
	if addr = addr.Unmap(); addr.IsUnspecified() || published == "" {
		return !addr.IsLoopback()
	}
	want, err := netip.ParseAddr(published)
	return err != nil || want.Unmap() == addr
}

// processOf finds the process that holds a socket, as "nginx (pid 812)"; "" when there is none to be found.
func processOf(inode uint32) string {
	want := fmt.Sprintf("socket:[%d]", inode)
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, link := range links {
		if to, err := os.Readlink(link); err != nil || to != want {
			continue
		}
		dir := filepath.Dir(filepath.Dir(link))
		name, err := os.ReadFile(filepath.Join(dir, "comm"))
		if err != nil {
			continue
		}
		return strings.TrimSpace(string(name)) + " (pid " + filepath.Base(dir) + ")"
	}
	return ""
}
