package network

import (
	"net/netip"
	"testing"

	"github.com/sallyport/sallyport/netns/netnstest"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// What the host refuses, which the rules of the namespace let pass, is told as the ambassador's, also when that has gone.
func TestRootDenialsOfTheHost(t *testing.T) {
	s := newHarness(t, nil)
	h, metadata := netip.AddrPortFrom(s.out.Host4, 22), netip.MustParseAddrPort("[fd00:ec2::254]:80")
	tryToSend(t, s.ambassador, netip.AddrPortFrom(s.out.Addr4, 443)) // control: outside
	s.expectDenials()

	tryToSend(t, s.ambassador, h, metadata)
	tryToSend(t, s.member, h)
	want := []host.Denial{
		denial("proxy", "tcp", h, 1), denial("proxy", "tcp", metadata, 1),
		denial("proxy", "udp", h, 1), denial("proxy", "udp", metadata, 1),
		denial("web", "tcp", h, 1), denial("web", "udp", h, 1),
	}
	s.expectDenials(want...)
	s.ambassador.Kill()
	cgroup := s.net.layout.CgroupParent(s.group.Name, spec.Ambassador) + "/proxy"
	netnstest.Eventually(t, "the ambassador's cgroup is gone", func() bool { return s.net.cgroups.Remove(cgroup) == nil })
	s.expectDenials(want...)
}
