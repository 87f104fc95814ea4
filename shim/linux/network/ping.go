package network

import (
	"fmt"
	"os"

	"github.com/sallyport/sallyport/netns"
	"github.com/sallyport/sallyport/netns/egress"
	"github.com/sallyport/sallyport/netns/ruleset"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/spec"
)

// pings reports whether the group's ambassador may ping.
func pings(want *spec.Group) bool { return pingGroups(want) != netns.NoPingGroups }

// pingGroups returns who can make ping sockets in the group's namespace; see [netns.SetPingGroups].
func pingGroups(want *spec.Group) string {
	if groups := want.Door().PingGroups; groups != "" && want.Egress == spec.EgressAmbassador {
		return groups
	}
	return netns.NoPingGroups
}

// beginPings keeps members from ping sockets before the rules change. If the ambassador may ping,
// they are refused such sockets by a program. A kernel that can't do that is an error, before
// anything is opened. If the ambassador may not, the namespace is closed to such sockets.
func (n *Network) beginPings(ns *os.File, want *spec.Group) error {
	if !pings(want) {
		return netns.SetPingGroups(ns, netns.NoPingGroups)
	}
	if err := egress.RefusePingSockets(n.cgroups, n.members(want)); err != nil {
		return &hint.Error{Err: err, Hint: fmt.Sprintf("members can't be kept from pinging here: take %s out of the ambassador's sysctls", spec.PingSysctl)}
	}
	return nil
}

// finishPings opens the namespace to ping sockets when all that binds them is in force, or takes
// the program away when none can be made any more.
func (n *Network) finishPings(ns *os.File, want *spec.Group) error {
	if !pings(want) {
		return egress.LeavePingSockets(n.cgroups, n.members(want))
	}
	if err := netns.SetPingGroups(ns, pingGroups(want)); err != nil {
		return explainSettings(err)
	}
	return nil
}

// pingsAsWanted reports whether exactly the wanted groups of users can make ping sockets, and no
// member.
func (n *Network) pingsAsWanted(groups string, want *spec.Group) (bool, error) {
	if groups != pingGroups(want) {
		return false, nil
	}
	if !pings(want) {
		return true, nil
	}
	return egress.PingSocketsRefused(n.cgroups, n.members(want))
}

// members returns the cgroup of the group's members.
func (n *Network) members(want *spec.Group) string {
	return n.layout.CgroupParent(want.Name, spec.App)
}

// withEchoes returns the endpoints and, for each, one by which its addresses can be pinged.
func withEchoes(allow []egress.Endpoint) []egress.Endpoint {
	out := allow
	for _, e := range allow {
		out = append(out, egress.Endpoint{Prefix: e.Prefix, Protocol: ruleset.ICMP})
	}
	return out
}
