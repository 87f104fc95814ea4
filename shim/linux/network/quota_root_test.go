package network

import (
	"errors"
	"net/netip"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns/netnstest"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

func (h *harness) setQuota(bytes int64) {
	h.t.Helper()
	h.group.Ambassador().Quota = bytes
	bringUp(h.t, h.net, h.group)
}

func (h *harness) spent() (used, quota uint64) {
	h.t.Helper()
	used, quota, err := h.net.Spent(h.group.Name)
	if err != nil {
		h.t.Fatal(err)
	}
	return used, quota
}

// sink returns an address outside that takes datagrams. It never answers, not even with an error.
func (h *harness) sink() netip.AddrPort {
	h.t.Helper()
	at := netip.AddrPortFrom(h.out.Addr4, 9999)
	if err := must(h.remote.UDP(at.Addr()))(h.t).Bind(at); err != nil {
		h.t.Fatal(err)
	}
	return at
}

// sendUntilRefused sends datagrams of 1000 bytes until one is refused. It returns how many were
// sent.
func sendUntilRefused(t *testing.T, p *netnstest.Helper, to netip.AddrPort) (sent int) {
	t.Helper()
	udp := must(p.UDP(to.Addr()))(t)
	defer udp.Close()
	for range 1000 {
		if err := udp.SendTo(to, strings.Repeat("x", 1000)); err != nil {
			return sent
		}
		sent++
	}
	t.Fatal("nothing was refused")
	return sent
}

// When the quota is spent, the door shuts at once in both directions. When the quota is raised, it
// opens for the bytes that were added.
func TestRootQuota(t *testing.T) {
	h := newHarness(t, withPublish)
	to := netip.AddrPortFrom(h.out.Addr4, 443)
	sink := h.sink()
	outside, inside := listen(t, h.remote, to), listen(t, h.ambassador, netip.MustParseAddrPort("0.0.0.0:443"))
	defer outside.Close()
	defer inside.Close()
	front := netip.AddrPortFrom(h.out.Host4, 8443)
	if used, quota := h.spent(); used != 0 || quota != 0 {
		t.Errorf("without a quota %d of %d is spent", used, quota)
	}

	const first = 20000
	h.setQuota(first)
	if err := errors.Join(exchange(t, h.ambassador, to, outside), exchange(t, h.remote, front, inside)); err != nil {
		t.Fatal(err)
	}
	before, quota := h.spent()
	if before == 0 || before > 3000 || quota != first {
		t.Errorf("%d of %d is spent by two short exchanges", before, quota)
	}
	loopback := must(h.ambassador.UDP(to.Addr()))(t)
	for range 10 {
		_ = loopback.SendTo(netip.MustParseAddrPort("127.0.0.1:9"), strings.Repeat("x", 1000))
	}
	flow := must(h.ambassador.TCP(to.Addr()))(t)
	defer flow.Close()
	if err := flow.Connect(to, longWait); err != nil {
		t.Fatal(err)
	}
	must(outside.Accept(longWait))(t)
	open, _ := h.spent()
	if open-before > 1000 { // it may include the last packets of the exchanges
		t.Errorf("a handshake outside and 10 kB on loopback cost %d bytes; loopback is not counted", open-before)
	}
	const datagram = 1028
	if sent := sendUntilRefused(t, h.ambassador, sink); sent > int(first-open)/datagram || sent < int(first-open)/datagram-1 {
		t.Errorf("%d datagrams were sent with %d bytes of the quota left", sent, first-open)
	}
	h.expectShut(to, front, flow, inside)
	if used, quota := h.spent(); used != first || quota != first {
		t.Errorf("%d of %d is spent, want all", used, quota)
	}
	h.expectDenials()

	// Attempts while the door is shut do not count against bytes that are added later.
	for range 50 {
		sendUntilRefused(t, h.ambassador, sink)
	}
	h.setQuota(first + 5*datagram + 500)
	if sent := sendUntilRefused(t, h.ambassador, sink); sent < 5 || sent > 6 {
		t.Errorf("%d datagrams were sent after the quota was raised by five and a half", sent)
	}
	h.setQuota(0)
	if err := exchange(t, h.ambassador, to, outside); err != nil {
		t.Errorf("without a quota: %v", err)
	}
	h.setQuota(first) // less than what has passed
	if err := exchange(t, h.ambassador, to, outside); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("with the quota back: %v, want a refusal", err)
	}
	if _, _, err := h.net.Spent("absent"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an absent group: %v, want os.ErrNotExist", err)
	}
}

// expectShut fails if anything passes the door: a new flow, an open one, or a caller from outside.
// Connections inside the group still work.
func (h *harness) expectShut(to, front netip.AddrPort, flow, inside *netnstest.Socket) {
	h.t.Helper()
	refusedAtOnce(h.t, h.ambassador, to)
	_ = flow.Send("more")
	if _, _, err := flow.Receive(longWait); !errors.Is(err, unix.ECONNRESET) {
		h.t.Errorf("an open flow: %v, want a reset", err)
	}
	c := must(h.remote.TCP(front.Addr()))(h.t)
	defer c.Close()
	if err := c.Connect(front, shortWait); err == nil {
		h.t.Error("a caller from outside connected")
	}
	if err := exchange(h.t, h.member, netip.MustParseAddrPort("127.0.0.1:443"), inside); err != nil {
		h.t.Errorf("inside the group: %v", err)
	}
	counts := must(h.net.Counters(h.group.Name))(h.t)
	if counts.Quota.Packets < 3 {
		h.t.Errorf("%d packets were counted as refused for the quota", counts.Quota.Packets)
	}
}

// A quota that was changed by hand is restored. The spent bytes are kept.
func TestRootQuotaChangedByHand(t *testing.T) {
	h := newHarness(t, func(g *spec.Group) { g.Ambassador().Quota = 50000 })
	udp := must(h.ambassador.UDP(h.out.Addr4))(t)
	if err := udp.SendTo(h.sink(), "x"); err != nil {
		t.Fatal(err)
	}
	for _, change := range []string{
		"add quota inet sallyport quota_50000 { over 90000 bytes }",
		"add quota inet sallyport other { over 1 bytes }",
		"flush chain inet sallyport pass_out",
		"insert rule inet sallyport pass_in accept",
	} {
		h.nft(change)
		if got := h.net.Observe(t.Context(), h.group.Name, h.group).Rules; got != host.Absent {
			t.Errorf("after %q the rules are %v", change, got)
		}
		bringUp(t, h.net, h.group)
		if used, quota := h.spent(); used != 29 || quota != 50000 {
			t.Errorf("after %q %d of %d is spent, want 29 of 50000", change, used, quota)
		}
		if got := h.net.Observe(t.Context(), h.group.Name, h.group).Rules; got != host.Present {
			t.Errorf("after the repair of %q the rules are %v", change, got)
		}
	}
}
