package netnstest

import (
	"encoding/hex"
	"net/netip"
	"testing"
)

func TestParseFrames(t *testing.T) {
	const macs = "020000000001" + "020000000002"
	tests := []struct {
		name, frame string
		protocol    uint8
		dst         string
	}{
		{"UDP", macs + "0800" + "4500001c000000004011" + "0000" + "0a000001" + "c0000201" + "d431" + "0035" + "00080000", 17, "192.0.2.1:53"},
		{"TCP behind IP options", macs + "0800" + "46000000000000004006" + "0000" + "0a000001" + "c0000201" + "01010101" + "d431" + "01bb", 6, "192.0.2.1:443"},
		{"UDP over IPv6", macs + "86dd" + "60000000" + "0008" + "11ff" + "fd000000000000000000000000000001" + "20010db8000000000000000000000001" + "d431" + "0035", 17, "[2001:db8::1]:53"},
		{"ICMP", macs + "0800" + "4500001c000000004001" + "0000" + "0a000001" + "c0000201" + "0800", 1, "192.0.2.1:0"},
		{"ARP", macs + "0806" + "0001", 0, ""},
		{"cut short in the header", macs + "0800" + "4500", 0, ""},
		{"cut short behind it", macs + "0800" + "4f00001c000000004011" + "0000" + "0a000001" + "c0000201", 17, "192.0.2.1:0"},
		{"empty", "", 0, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b, err := hex.DecodeString(tt.frame)
			if err != nil {
				t.Fatal(err)
			}
			f := parse(b, false)
			var dst netip.AddrPort
			if tt.dst != "" {
				dst = netip.MustParseAddrPort(tt.dst)
			}
			if f.Protocol != tt.protocol || f.Dst != dst {
				t.Errorf("protocol %d to %s, want %d to %s", f.Protocol, f.Dst, tt.protocol, dst)
			}
		})
	}
}
