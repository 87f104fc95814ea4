package netns

import (
	"slices"
	"testing"
)

func TestPorts(t *testing.T) {
	for _, tt := range []struct {
		ports []uint16
		want  string
	}{
		{nil, ""},
		{[]uint16{443}, "443"},
		{[]uint16{8081, 443, 8080, 443, 8082}, "443,8080-8082"},
		{[]uint16{65535, 1, 65534}, "1,65534-65535"},
	} {
		p := PortsOf(tt.ports...)
		if got := p.String(); got != tt.want {
			t.Errorf("ports %v are %q, want %q", tt.ports, got, tt.want)
		}
		back, err := parsePorts(p.String())
		if err != nil || !slices.Equal(back, p) {
			t.Errorf("%q is read as %v, %v", p, back, err)
		}
	}
	for _, text := range []string{"x", "1-", "65536", "-1"} {
		if p, err := parsePorts(text); err == nil {
			t.Errorf("%q is read as %v", text, p)
		}
	}
}

func TestPortsUnion(t *testing.T) {
	for _, tt := range []struct{ a, b, want Ports }{
		{nil, nil, nil},
		{PortsOf(80), nil, PortsOf(80)},
		{PortsOf(80, 443), PortsOf(81), Ports{{80, 81}, {443, 443}}},
		{Ports{{1, 65535}}, PortsOf(443), Ports{{1, 65535}}},
		{Ports{{10, 20}}, Ports{{15, 30}, {31, 40}}, Ports{{10, 40}}},
	} {
		if got := tt.a.Union(tt.b); !slices.Equal(got, tt.want) {
			t.Errorf("%q and %q are %q, want %q", tt.a, tt.b, got, tt.want)
		}
	}
}
