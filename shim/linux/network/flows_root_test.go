package network

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/netns/conntrack"
	"github.com/sallyport/sallyport/netns/egress"
	"github.com/sallyport/sallyport/netns/netnstest"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// An end is a socket of an open flow. An invalid address means that the socket is connected.
type end struct {
	*netnstest.Socket
	to netip.AddrPort
}

// A flow is open between two ends.
type flow struct {
	name           string
	caller, callee end
}

var lastWord int

// delivers reports whether a word from one end reaches the other within the time.
func delivers(from, to end, within time.Duration) bool {
	lastWord++
	word := fmt.Sprintf("<%d>", lastWord)
	var err error
	if from.to.IsValid() {
		err = from.SendTo(from.to, word)
	} else {
		err = from.Send(word)
	}
	for deadline := time.Now().Add(within); err == nil; {
		var got string
		if got, _, err = to.Receive(time.Until(deadline)); strings.Contains(got, word) {
			return true
		}
		if err == nil && got == "" { // the end of a stream
			return false
		}
	}
	return false
}

// expect checks that the flow goes on in both directions, or in neither.
func (f flow) expect(t *testing.T, goesOn bool) {
	t.Helper()
	wait := longWait
	if !goesOn {
		wait = shortWait
	}
	// What the group sends comes first: it would open the flow again.
	if got := delivers(f.callee, f.caller, wait); got != goesOn {
		t.Errorf("%s: what the callee sends arrives: %v, want %v", f.name, got, goesOn)
	}
	if got := delivers(f.caller, f.callee, wait); got != goesOn {
		t.Errorf("%s: what the caller sends arrives: %v, want %v", f.name, got, goesOn)
	}
	if !goesOn {
		if delivers(f.callee, f.caller, wait) {
			t.Errorf("%s: the flow has come back", f.name)
		}
	}
}

// openTCP connects from one helper to another.
func (h *harness) openTCP(name string, from *netnstest.Helper, to netip.AddrPort, at *netnstest.Helper, listens netip.AddrPort) flow {
	h.t.Helper()
	l := listen(h.t, at, listens)
	defer l.Close()
	c := must(from.TCP(to.Addr()))(h.t)
	if err := c.Connect(to, longWait); err != nil {
		h.t.Fatalf("%s: connect: %v", name, err)
	}
	return flow{name, end{Socket: c}, end{Socket: must(l.Accept(longWait))(h.t)}}
}

// openUDP sends a datagram from one helper to another, and one back.
func (h *harness) openUDP(name string, from *netnstest.Helper, to netip.AddrPort, at *netnstest.Helper, listens netip.AddrPort) flow {
	h.t.Helper()
	l, c := must(at.UDP(to.Addr()))(h.t), must(from.UDP(to.Addr()))(h.t)
	if err := errors.Join(l.Bind(listens), c.Connect(to, longWait), c.Send("hello")); err != nil {
		h.t.Fatalf("%s: %v", name, err)
	}
	_, caller, err := l.Receive(longWait)
	if err != nil {
		h.t.Fatalf("%s: %v", name, err)
	}
	f := flow{name, end{Socket: c}, end{l, caller}}
	f.expect(h.t, true)
	return f
}

// openFlows opens flows of both protocols and families, in and out. The ports 9001 and 444 are
// those that a change closes.
func (h *harness) openFlows() []flow {
	h.t.Helper()
	var out []flow
	for family, outside := range h.families() {
		front, own := h.out.Host4, h.groupAddr(outside)
		if outside.Is6() {
			front = h.out.Host6
		}
		at := netip.AddrPortFrom
		out = append(out,
			h.openTCP(family+" in tcp 8443", h.remote, at(front, 8443), h.ambassador, at(own, 443)),
			h.openTCP(family+" in tcp 9001", h.remote, at(front, 9001), h.ambassador, at(own, 9001)),
			h.openTCP(family+" here tcp 8443", h.host, at(front, 8443), h.ambassador, at(own, 443)),
			h.openTCP(family+" here tcp 9001", h.host, at(front, 9001), h.ambassador, at(own, 9001)),
			h.openTCP(family+" out tcp 443", h.ambassador, at(outside, 443), h.remote, at(outside, 443)),
			h.openTCP(family+" out tcp 444", h.ambassador, at(outside, 444), h.remote, at(outside, 444)),
			h.openUDP(family+" in udp 8443", h.remote, at(front, 8443), h.ambassador, at(own, 443)),
			h.openUDP(family+" in udp 9001", h.remote, at(front, 9001), h.ambassador, at(own, 9000)),
			h.openUDP(family+" out udp 443", h.ambassador, at(outside, 443), h.remote, at(outside, 443)),
			h.openUDP(family+" out udp 444", h.ambassador, at(outside, 444), h.remote, at(outside, 444)),
		)
	}
	return append(out,
		h.openTCP("localhost tcp 8443", h.host, netip.MustParseAddrPort("127.0.0.1:8443"), h.ambassador, netip.AddrPortFrom(h.groupAddr(h.out.Addr4), 443)),
		h.openTCP("localhost tcp 9001", h.host, netip.MustParseAddrPort("127.0.0.1:9001"), h.ambassador, netip.AddrPortFrom(h.groupAddr(h.out.Addr4), 9001)))
}

// twice publishes a port of both protocols.
func twice(host, port uint16) []spec.Publish { return published(host, port, port) }

// closing publishes the port that a change closes. The TCP port of the ambassador has the same
// number: what it sends after the change would leave with the address and the port that it had.
func closing(tcp, udp uint16) []spec.Publish { return published(9001, tcp, udp) }

func published(host, tcp, udp uint16) []spec.Publish {
	name := fmt.Sprint("p", host)
	return []spec.Publish{{Name: name, Host: host, Port: tcp, Protocol: "tcp"}, {Name: name + "u", Host: host, Port: udp, Protocol: "udp"}}
}

func (h *harness) allowOnly443() (out []spec.Allow) {
	for _, a := range h.families() {
		for _, protocol := range []string{"tcp", "udp"} {
			out = append(out, spec.Allow{Prefix: netip.PrefixFrom(a, a.BitLen()).String(), Port: 443, Protocol: protocol})
		}
	}
	return out
}

// hostFlows lists what the host tracks of the group.
func (h *harness) hostFlows() []conntrack.Flow {
	h.t.Helper()
	return must(conntrack.With(h.groupAddr(h.out.Addr4), h.groupAddr(h.out.Addr6)))(h.t)
}

// What a change of the definition allows goes on, and what it does not allow ends: over both
// families and protocols, in both directions.
func TestRootFlowsFollowTheDefinition(t *testing.T) {
	publish := append(twice(8443, 443), closing(9001, 9000)...)
	for _, tt := range []struct {
		name string
		edit func(h *harness, a *spec.Container)
		ends func(name string) bool
	}{
		{"nothing changes", func(*harness, *spec.Container) {}, func(string) bool { return false }},
		{"publish is taken out", func(_ *harness, a *spec.Container) { a.Publish = publish[:2] }, func(name string) bool { return strings.HasSuffix(name, "9001") }},
		{"publish leads elsewhere", func(_ *harness, a *spec.Container) { a.Publish = append(publish[:2:2], closing(9009, 9009)...) },
			func(name string) bool { return strings.HasSuffix(name, "9001") }},
		{"publish grows", func(_ *harness, a *spec.Container) { a.Publish = append(publish[:4:4], twice(9002, 9002)...) }, func(string) bool { return false }},
		{"allow is tightened", func(h *harness, a *spec.Container) { a.Allow = h.allowOnly443() }, func(name string) bool { return strings.HasSuffix(name, "444") }},
		{"a quota", func(_ *harness, a *spec.Container) { a.Quota = 1 << 30 }, func(string) bool { return false }},
		{"egress is direct", func(h *harness, _ *spec.Container) { h.group.Egress = spec.EgressDirect }, func(string) bool { return false }},
		{"egress is none", func(h *harness, a *spec.Container) { h.group.Egress, a.Publish = spec.EgressNone, nil }, func(string) bool { return true }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHarness(t, func(g *spec.Group) { g.Ambassador().Publish = publish })
			flows := h.openFlows()
			tt.edit(h, h.group.Ambassador())
			bringUp := bringUp
			if h.group.Egress == spec.EgressNone {
				bringUp = func(t *testing.T, n *Network, g *spec.Group) {
					if err := n.Admit(t.Context(), g); err != nil {
						t.Fatal(err)
					}
				}
			}
			bringUp(t, h.net, h.group)
			ended := 0
			for _, f := range flows {
				f.expect(t, !tt.ends(f.name))
				if tt.ends(f.name) {
					ended++
				}
			}
			left := h.hostFlows()
			for _, f := range left {
				if tt.ends("9001") && (f.Answers.Port() == 9000 || f.Answers.Port() == 9001) || tt.ends("444") && f.To.Port() == 444 {
					t.Errorf("the host still tracks %v", f)
				}
			}
			if h.group.Egress == spec.EgressNone {
				if len(left) > 0 {
					t.Errorf("of a group without a link the host tracks %v", left)
				}
				return
			}
			// And back: what was never ended goes on, also from direct egress.
			h.group.Egress, h.group.Ambassador().Publish, h.group.Ambassador().Allow = spec.EgressAmbassador, publish, nil
			bringUp(t, h.net, h.group)
			for _, f := range flows {
				if !tt.ends(f.name) {
					f.expect(t, true)
				}
			}
			if state := h.net.Observe(t.Context(), h.group.Name, h.group); state.Rules != host.Present || state.Link != host.Present {
				t.Errorf("after %d flows ended: %+v", ended, state)
			}
		})
	}
}

// A group's address comes from its name. The next group of the name inherits no flow of the last
// one, although it allows them all.
func TestRootFlowsEndWithTheGroup(t *testing.T) {
	publish := append(twice(8443, 443), closing(9001, 9000)...)
	h := newHarness(t, func(g *spec.Group) { g.Ambassador().Publish = publish })
	before := h.groupAddr(h.out.Addr4)
	flows := h.openFlows()
	ports := map[string]uint16{}
	for _, f := range flows {
		if strings.Contains(f.name, "out udp") {
			ports[f.name] = must(f.caller.Local())(t).Port()
		}
	}
	if err := h.net.Remove(t.Context(), h.group.Name); err != nil && !strings.Contains(err.Error(), "processes are left") { // the helpers
		t.Fatal(err)
	}
	if left := must(conntrack.With(before, netip.MustParseAddr("fd5a:11e0:9027::1")))(t); len(left) > 0 {
		t.Errorf("after the group's end the host tracks %v", left)
	}
	h.group.Ambassador().Publish = publish[:2]
	bringUp(t, h.net, h.group)
	if after := h.groupAddr(h.out.Addr4); after != before {
		t.Fatalf("the group has address %s now, not %s: this proves nothing", after, before)
	}
	ns := must(h.net.open(h.group.Name))(t)
	t.Cleanup(func() { ns.Close() })
	h.ns = ns
	next := h.container(spec.Ambassador, "next")
	for _, f := range flows {
		family := h.families()[f.name[:4]]
		switch {
		case strings.HasSuffix(f.name, "in udp 9001"):
			s := must(next.UDP(family))(t)
			if err := s.Bind(netip.AddrPortFrom(h.groupAddr(family), 9000)); err != nil {
				t.Fatal(err)
			}
			if delivers(f.caller, end{Socket: s}, shortWait) {
				t.Errorf("%s: the next group receives a datagram for the last one", f.name)
			}
		case strings.Contains(f.name, "out udp"):
			s := must(next.UDP(family))(t)
			if err := s.Bind(netip.AddrPortFrom(h.groupAddr(family), ports[f.name])); err != nil {
				t.Fatal(err)
			}
			if delivers(f.callee, end{Socket: s}, shortWait) {
				t.Errorf("%s: the next group receives an answer to the last one", f.name)
			}
		case strings.Contains(f.name, "tcp"):
			remote := f.caller
			if strings.Contains(f.name, "out") {
				remote = f.callee
			}
			_ = remote.Send("more") // its connection is gone: it learns that at once, or nothing reaches it
		}
	}
	// Control: the same ports serve the next group's callers.
	f := h.openUDP("again", h.remote, netip.AddrPortFrom(h.out.Host4, 8443), next, netip.AddrPortFrom(h.groupAddr(h.out.Addr4), 443))
	f.expect(t, true)
	h.openTCP("again", h.remote, netip.AddrPortFrom(h.out.Host4, 8443), next, netip.AddrPortFrom(h.groupAddr(h.out.Addr4), 443)).expect(t, true)
}

// UDP to the ambassador is for a published port, or an answer. The host's rules are gone here, so
// that the namespace's are alone.
func TestRootUDPToTheAmbassador(t *testing.T) {
	h := newHarness(t, withPublish)
	host := must(os.Open("/proc/thread-self/ns/net"))(t)
	defer host.Close()
	netnstest.NFT(t, host, "", "delete table inet sallyport")
	for family, outside := range h.families() {
		t.Run(family, func(t *testing.T) {
			own := h.groupAddr(outside)
			// The host's end of the link calls, as one that the host's rules let pass.
			gateway := own.Prev()
			open := func(p *netnstest.Helper, at netip.AddrPort) end {
				s := must(p.UDP(outside))(t)
				t.Cleanup(func() { s.Close() })
				if err := s.Bind(at); err != nil {
					t.Fatal(err)
				}
				return end{Socket: s}
			}
			near, other := netip.AddrPortFrom(gateway, 7001), netip.AddrPortFrom(gateway, 7002)
			caller, neighbour := open(h.host, near), open(h.host, other)
			served := open(h.ambassador, netip.AddrPortFrom(own, 53))
			private := open(h.ambassador, netip.AddrPortFrom(own, 5353))
			to := func(e end, at netip.AddrPort) end { e.to = at; return e }

			if !delivers(to(caller, netip.AddrPortFrom(own, 53)), served, longWait) {
				t.Error("a published port is not reached")
			}
			counts := func() uint64 { return must(egress.ReadCounters(h.ns))(t).UnknownIn.Packets }
			before := counts()
			if delivers(to(caller, netip.AddrPortFrom(own, 5353)), private, shortWait) {
				t.Error("an unpublished port is reached")
			}
			if counts() == before {
				t.Error("the datagram to an unpublished port is not counted")
			}
			// The ambassador calls from there. Answers come, from nowhere else, to no other port.
			if !delivers(to(private, near), caller, longWait) {
				t.Error("the ambassador can't call")
			}
			if !delivers(to(caller, netip.AddrPortFrom(own, 5353)), private, longWait) {
				t.Error("the answer does not arrive")
			}
			if delivers(to(neighbour, netip.AddrPortFrom(own, 5353)), private, shortWait) {
				t.Error("another port of the end that was called reaches the ambassador")
			}
			second := open(h.ambassador, netip.AddrPortFrom(own, 5354))
			if delivers(to(caller, netip.AddrPortFrom(own, 5354)), second, shortWait) {
				t.Error("the end that was called reaches another port of the ambassador")
			}
			// An answer from a published port opens nothing: only the port stays open.
			if !delivers(to(served, near), caller, longWait) {
				t.Error("a published port can't answer")
			}
			set := "flows4"
			if outside.Is6() {
				set = "flows6"
			}
			if listing := netnstest.NFT(t, h.ns, "", "list", "set", "inet", egress.TableName, set); strings.Contains(listing, "7001 . 53 ") {
				t.Errorf("an answer from a published port is remembered:\n%s", listing)
			}
		})
	}
}

// Rules that remember no flows learn them from the host: those of an older daemon, and those that
// are put back after they were deleted.
func TestRootFlowsAreRememberedFromTheHost(t *testing.T) {
	for name, change := range map[string]string{
		"deleted": "delete table inet sallyport",
		"older": "flush chain inet sallyport remember; flush chain inet sallyport expected; flush chain inet sallyport record_in; " +
			"delete set inet sallyport flows4; delete set inet sallyport flows6",
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, nil)
			var flows []flow
			for family, outside := range h.families() {
				flows = append(flows, h.openUDP(family, h.ambassador, netip.AddrPortFrom(outside, 443), h.remote, netip.AddrPortFrom(outside, 443)))
			}
			netnstest.NFT(t, h.ns, "", change)
			bringUp(t, h.net, h.group)
			for _, f := range flows {
				if !delivers(f.callee, f.caller, longWait) {
					t.Errorf("%s: the answer does not arrive", f.name)
				}
			}
		})
	}
}

// Rules come into force whether or not the host can list its flows: a door that stands open is
// worse than a lost answer.
func TestRootRulesDoNotWaitForFlows(t *testing.T) {
	h := newHarness(t, nil)
	h.net.flows = func(...netip.Addr) ([]conntrack.Flow, error) { return nil, conntrack.ErrUnsupported }
	open := func() {
		t.Helper()
		netnstest.NFT(t, h.ns, "", "delete table inet sallyport")
		if ok, err := egress.Denies(h.ns); ok || err != nil {
			t.Fatalf("without a table, denies: %v, %v: this proves nothing", ok, err)
		}
	}
	open()
	if err := h.net.Seal(t.Context(), h.group.Name); err != nil {
		t.Errorf("seal: %v", err)
	}
	if ok, err := egress.Denies(h.ns); !ok || err != nil {
		t.Errorf("sealed, denies: %v, %v; want yes", ok, err)
	}
	open()
	if err := h.net.Admit(t.Context(), h.group); err != nil {
		t.Errorf("admit: %v", err)
	}
	if state := h.net.Observe(t.Context(), h.group.Name, h.group); state.Rules != host.Present {
		t.Errorf("admitted: %+v", state)
	}
}
