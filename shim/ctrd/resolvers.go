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

// resolvConf is where a host says whom it asks for names.
const resolvConf = "etc/resolv.conf"

// behindStubs is where those who answer on a host's loopback say whom they ask themselves.
var behindStubs = []string{
	"run/systemd/resolve/resolv.conf",
	"run/NetworkManager/no-stub-resolv.conf", // dnsmasq or systemd-resolved, started by NetworkManager
	"run/dnsmasq/resolv.conf",                // dnsmasq beside resolvconf
}

// Resolvers are the host's that a group can reach; none where the host asks only itself.
func Resolvers() ([]netip.Addr, error) {
	_, servers, err := hostResolvers("/")
	return servers, err
}

// hostResolvers is the ambassador's resolv.conf, and the servers in it: the host's own without what can't be reached from a
// group, or else the real list behind a stub. Empty where there is neither.
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
			continue // not that one
		}
		if conf, servers = reachable(list); len(servers) > 0 {
			return conf, servers, nil
		}
	}
	return nil, nil, nil
}

// reachable is a resolv.conf without the servers that a group can't reach, with all else that it says: search, options.
func reachable(conf []byte) (kept []byte, servers []netip.Addr) {
	for line := range bytes.Lines(conf) {
		words := bytes.Fields(line)
		if len(words) == 0 || string(words[0]) != "nameserver" || line[0] != 'n' { // indented it is none
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

// onlyHere says of an address that on another machine it is another one, and so in a group: loopback, which the unspecified
// address means too, and IPv6's link-local ones.
func onlyHere(a netip.Addr) bool {
	return a.IsLoopback() || a.IsUnspecified() || a.Zone() != "" || a.Is6() && a.IsLinkLocalUnicast()
}
