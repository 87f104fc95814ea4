package uplink

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

const procNetTCP = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0000000000000000 100 0 0 10 0
   1: 0100007F:1F91 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0000000000000000 20 4 30 10 -1
   2: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1 0000000000000000 100 0 0 10 0
   3: B80D0120000000000000000001000000:01BB 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 4714 1 0 100 0 0 10 0
`

func TestParseSockets(t *testing.T) {
	got, err := parseSockets(procNetTCP)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, s := range got {
		lines = append(lines, s.local.String())
	}
	want := []string{"127.0.0.1:8080", "0.0.0.0:22", "[2001:db8::1]:443"}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("listening sockets, on a little-endian machine (-want +got):\n%s", diff)
	}
}

func TestParseSocketsRefuses(t *testing.T) {
	for _, line := range []string{
		"0: 0100007F 00000000:0000 0A 0 0 0 0 0 4711",
		"0: 01007F:1F90 00000000:0000 0A 0 0 0 0 0 4711",
		"0: 0100007F:XXXX 00000000:0000 0A 0 0 0 0 0 4711",
		"0: 0100007F:1F90 00000000:0000 0A 0 0 0 0 0 none",
		"0: 0100007F0100007F:1F90 00000000:0000 0A 0 0 0 0 0 4711",
	} {
		if got, err := parseSockets(line); err == nil {
			t.Errorf("%q was read as %v", line, got)
		}
	}
}

func FuzzParseSockets(f *testing.F) {
	f.Add(procNetTCP)
	f.Fuzz(func(t *testing.T, text string) { _, _ = parseSockets(text) })
}

func TestHolds(t *testing.T) {
	tests := []struct {
		local, publish string // publish "": every address
		port           uint16
		want           bool
	}{
		{"127.0.0.1:80", "", 80, true},
		{"127.0.0.1:80", "", 81, false},
		{"127.0.0.1:80", "127.0.0.1", 80, true},
		{"127.0.0.1:80", "192.0.2.1", 80, false},
		{"127.0.0.1:80", "0.0.0.0", 80, true},
		{"0.0.0.0:80", "192.0.2.1", 80, true},
		{"0.0.0.0:80", "2001:db8::1", 80, false},
		{"[::]:80", "192.0.2.1", 80, true},
		{"[::]:80", "2001:db8::1", 80, true},
		{"[::ffff:192.0.2.1]:80", "192.0.2.1", 80, true},
	}
	for _, tt := range tests {
		var addr netip.Addr
		if tt.publish != "" {
			addr = netip.MustParseAddr(tt.publish)
		}
		if got := (socket{local: netip.MustParseAddrPort(tt.local)}).holds(addr, tt.port); got != tt.want {
			t.Errorf("a socket at %s holds %q port %d: %v, want %v", tt.local, tt.publish, tt.port, got, tt.want)
		}
	}
}

func TestPortHolderRefusesAProtocol(t *testing.T) {
	if _, err := PortHolder("sctp", netip.Addr{}, 80); err == nil {
		t.Error("sctp was looked up")
	}
}

// Both ways find the same sockets at a port: listening TCP, UDP that is not connected, and no
// connection.
func TestSocketsBothWays(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0", "0.0.0.0:0", "[::]:0"} {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		packets, err := net.ListenPacket("udp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer packets.Close()
		port := netip.MustParseAddrPort(listener.Addr().String()).Port()
		own, err := net.Dial("tcp", fmt.Sprint("localhost:", port))
		if err != nil {
			if own, err = net.Dial("tcp", fmt.Sprintf("[::1]:%d", port)); err != nil {
				t.Fatal(err)
			}
		}
		defer own.Close()
		connected := netip.MustParseAddrPort(own.LocalAddr().String()).Port()
		for _, tt := range []struct {
			protocol string
			number   byte
			port     uint16
			want     int
		}{
			{"tcp", unix.IPPROTO_TCP, port, 1},
			{"tcp", unix.IPPROTO_TCP, connected, 0},
			{"udp", unix.IPPROTO_UDP, netip.MustParseAddrPort(packets.LocalAddr().String()).Port(), 1},
		} {
			asked, err := askSockets(tt.number, tt.port)
			if errors.Is(err, unix.ENOENT) {
				t.Skip("this kernel lists sockets in /proc alone")
			}
			if err != nil {
				t.Fatal(err)
			}
			all, err := readSockets(tt.protocol)
			if err != nil {
				t.Fatal(err)
			}
			read := slices.DeleteFunc(all, func(s socket) bool { return s.local.Port() != tt.port })
			if len(asked) != tt.want || !slices.Equal(asked, read) {
				t.Errorf("%s of %s, port %d: asked for %v, and read %v, want %d", tt.protocol, address, tt.port, asked, read, tt.want)
			}
		}
	}
}
