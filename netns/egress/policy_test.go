package egress_test

import (
	"net/netip"
	"os"
	"testing"

	"github.com/sallyport/sallyport/netns/cgroup"
	"github.com/sallyport/sallyport/netns/egress"
	"github.com/sallyport/sallyport/netns/ruleset"
)

// An invalid policy is refused before the kernel is asked.
func TestPolicyRefused(t *testing.T) {
	c := cgroup.Cgroup{ID: 1, Level: 3}
	tests := []struct {
		name   string
		policy egress.Policy
		want   string
	}{
		{"no mode", egress.Policy{}, `unknown policy ""`},
		{"ambassador without cgroups", egress.Policy{Mode: egress.Ambassador}, `policy "ambassador" names no cgroups`},
		{"members without a cgroup", egress.Policy{Mode: egress.Ambassador, Ambassador: c}, `policy "ambassador" names no cgroups`},
		{"cgroups at different depths", egress.Policy{Mode: egress.Ambassador, Ambassador: c, Members: cgroup.Cgroup{ID: 2, Level: 4}},
			`policy "ambassador" names cgroups at different depths`},
		{"quota", egress.Policy{Mode: egress.Ambassador, Ambassador: c, Members: c, Quota: 1 << 63}, `quota of 9223372036854775808 bytes is more than the kernel counts`},
		{"published protocol", egress.Policy{Mode: egress.Ambassador, Ambassador: c, Members: c, Published: []egress.Port{{Protocol: "sctp", Port: 1}}},
			`published port 1: protocol "sctp" is neither tcp nor udp`},
		{"allowed protocol", egress.Policy{Mode: egress.Ambassador, Ambassador: c, Members: c,
			Allow: []egress.Endpoint{{Prefix: netip.MustParsePrefix("192.0.2.0/24"), Protocol: "sctp"}}},
			`allow 192.0.2.0/24: protocol "sctp" is neither tcp nor udp`},
		{"allowed port of a protocol without ports", egress.Policy{Mode: egress.Ambassador, Ambassador: c, Members: c,
			Allow: []egress.Endpoint{{Prefix: netip.MustParsePrefix("192.0.2.0/24"), Protocol: ruleset.ICMP, Port: 7}}},
			`allow 192.0.2.0/24: protocol "icmp" has no ports, and port 7 is asked for`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := egress.Apply(os.Stdin, tt.policy); err == nil || err.Error() != tt.want {
				t.Errorf("Apply = %v, want %s", err, tt.want)
			}
		})
	}
}
