package ctrd

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
)

// resolvConf has the servers that a host asks for names.
const resolvConf = "etc/resolv.conf"

// behindStubs have the servers that a resolver on the host's loopback asks itself.
var behindStubs = []string{
	"run/systemd/resolve/resolv.conf",
	"run/NetworkManager/no-stub-resolv.conf", // dnsmasq or systemd-resolved, started by NetworkManager
	"run/dnsmasq/resolv.conf",                // dnsmasq beside resolvconf
}

// Resolvers returns the host's resolvers that a group can reach. It returns none if the host asks
// only itself.
func Resolvers() ([]netip.Addr, error) {
	_, servers, err := hostResolvers("/")
	return servers, err
}

// hostResolvers returns the ambassador's resolv.conf, and the servers in it. It is the host's own
// without the servers that a group can't reach, or else the list behind a stub. Without either it
// is empty.
func hostResolvers(root string) (conf []byte, servers []netip.Addr, err error) {
	own, err := os.ReadFile(filepath.Join(root, resolvConf))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("the host's resolvers: %w", err)
	}
	if conf, servers = reachable(own); len(servers) > 0 {
		return conf, servers, nil
	}
	for _, path := range behindStubs {
		list, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			continue // this host has no such file
		}
		if conf, servers = reachable(list); len(servers) > 0 {
			return conf, servers, nil
		}
	}
	return nil, nil, nil
}

// reachable returns a resolv.conf without the servers that a group can't reach. Everything else in
// it stays: search, options.
func reachable(conf []byte) (kept []byte, servers []netip.Addr) {
	for line := range bytes.Lines(conf) {
		words := bytes.Fields(line)
		if len(words) == 0 || string(words[0]) != "nameserver" || line[0] != 'n' { // an indented line names no server
			kept = append(kept, line...)
			continue
		}
		if len(words) < 2 {
			continue
		}
		server, err := netip.ParseAddr(string(words[1]))
		if err != nil || onlyHere(server.Unmap()) {
			continue
		}
		kept = append(kept, line...)
		servers = append(servers, server.Unmap())
	}
	return kept, servers
}

// onlyHere reports whether an address means another machine in a group: loopback, the unspecified
// address, which means loopback too, and IPv6's link-local ones.
func onlyHere(a netip.Addr) bool {
	return a.IsLoopback() || a.IsUnspecified() || a.Zone() != "" || a.Is6() && a.IsLinkLocalUnicast()
}
