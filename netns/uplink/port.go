package uplink

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/netns/ruleset"
)

// PortHolder returns the process of the host that holds a port to be published: by listening on it
// for TCP, by a bound socket for UDP. An invalid addr means every address. It returns "" if the
// port is free, and "another process" if its holder can't be seen. It ignores ports published by
// groups: no process holds these.
func PortHolder(protocol string, addr netip.Addr, port uint16) (string, error) {
	number, err := ruleset.Protocol(protocol)
	if err != nil {
		return "", err
	}
	sockets, err := askSockets(number, port)
	if err != nil {
		sockets, err = readSockets(protocol)
	}
	if err != nil {
		return "", fmt.Errorf("find the holder of port %d/%s: %w", port, protocol, err)
	}
	for _, s := range sockets {
		if s.holds(addr, port) {
			return owner(s.inode), nil
		}
	}
	return "", nil
}

// readSockets reads the sockets of a protocol that take packets from any sender from /proc. The
// kernel has its files wherever it has the protocol, and goes through all connections for them.
func readSockets(protocol string) (all []socket, err error) {
	for _, file := range []string{"/proc/thread-self/net/" + protocol, "/proc/thread-self/net/" + protocol + "6"} {
		text, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		sockets, err := parseSockets(string(text))
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", file, err)
		}
		all = append(all, sockets...)
	}
	return all, nil
}

// A socket takes packets from any sender.
type socket struct {
	local netip.AddrPort
	inode uint64
}

func (s socket) holds(addr netip.Addr, port uint16) bool {
	if s.local.Port() != port {
		return false
	}
	own := s.local.Addr()
	switch {
	case own == netip.IPv6Unspecified(): // accepts IPv4 too, unless IPV6_V6ONLY is set
		return true
	case own.IsUnspecified():
		return !addr.IsValid() || addr.Is4()
	}
	return !addr.IsValid() || addr.IsUnspecified() || own.Unmap() == addr
}

// States (net/tcp_states.h): a listening TCP socket, and a UDP one that is not connected.
const (
	stateListen = 10
	stateClosed = 7
)

// parseSockets reads the lines of sockets that accept packets from any sender:
//
//	sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode ...
func parseSockets(text string) ([]socket, error) {
	var out []socket
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 10 || f[0] == "sl" {
			continue
		}
		if state, err := strconv.ParseUint(f[3], 16, 8); err != nil || state != stateListen && state != stateClosed {
			continue
		}
		local, err := parseAddrPort(f[1])
		if err != nil {
			return nil, err
		}
		inode, err := strconv.ParseUint(f[9], 10, 64)
		if err != nil {
			return nil, err
		}
		out = append(out, socket{local, inode})
	}
	return out, nil
}

// parseAddrPort reads "0100007F:1F90": an address as 32-bit words in the machine's byte order, and
// a port as a number.
func parseAddrPort(s string) (netip.AddrPort, error) {
	a, p, ok := strings.Cut(s, ":")
	b, err := hex.DecodeString(a)
	if !ok || err != nil || len(b)%4 != 0 {
		return netip.AddrPort{}, fmt.Errorf("%q is no address", s)
	}
	port, err := strconv.ParseUint(p, 16, 16)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("%q has no port: %w", s, err)
	}
	for i := 0; i < len(b); i += 4 {
		binary.NativeEndian.PutUint32(b[i:], binary.BigEndian.Uint32(b[i:]))
	}
	addr, ok := netip.AddrFromSlice(b)
	if !ok {
		return netip.AddrPort{}, fmt.Errorf("%q is no address", s)
	}
	return netip.AddrPortFrom(addr, uint16(port)), nil
}

// owner returns the process that has a socket open. It reads the descriptors of every process, so
// it is called only for a port that is held.
func owner(inode uint64) string {
	want := fmt.Sprintf("socket:[%d]", inode)
	fds, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, fd := range fds {
		if target, err := os.Readlink(fd); err != nil || target != want {
			continue
		}
		process := filepath.Dir(filepath.Dir(fd))
		name, err := os.ReadFile(filepath.Join(process, "comm"))
		if err != nil {
			continue
		}
		return fmt.Sprintf("%s (pid %s)", strings.TrimSpace(string(name)), filepath.Base(process))
	}
	return "another process"
}
