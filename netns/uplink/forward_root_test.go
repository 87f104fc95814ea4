package uplink

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/netns"
	"github.com/sallyport/sallyport/netns/netnstest"
)

// A lans is a host with two LANs, whose hosts use it as their router, and a table with one group.
type lans struct {
	t            *testing.T
	config       Config
	first, other *netnstest.Helper
}

// The host forwards, or does not, before the table is made.
func newLANs(t *testing.T, forwards string) *lans {
	t.Helper()
	netnstest.Root(t)
	setForwarding(t, forwards)
	t.Cleanup(func() { setForwarding(t, "0") })
	l := &lans{t: t, config: config("sallyport")}
	l.config.Forwarding = filepath.Join(t.TempDir(), "run", "forwarding")
	l.first, l.other = l.join("lan1", "192.0.2.0", "2001:db8:a::"), l.join("lan2", "198.51.100.0", "2001:db8:b::")
	return l
}

func setForwarding(t *testing.T, value string) {
	for _, f := range []family{ipv4, ipv6} {
		netnstest.Sysctl(t, own(t), f.key, value)
	}
}

// join makes a link of the host with a network behind it. The host has address 1 of each network,
// the one behind has address 2.
func (l *lans) join(name, net4, net6 string) *netnstest.Helper {
	l.t.Helper()
	ns := netnstest.NewNamespace(l.t)
	host4, host6 := strings.TrimSuffix(net4, "0")+"1", net6+"1"
	far4, far6 := strings.TrimSuffix(net4, "0")+"2", net6+"2"
	near := netnstest.End{NS: own(l.t), Name: name, Addrs: []string{host4 + "/24", host6 + "/64"}}
	far := netnstest.End{NS: ns, Name: "eth0", Addrs: []string{far4 + "/24", far6 + "/64"}}
	netnstest.Join(l.t, near, far)
	l.t.Cleanup(func() { removeLink(l.t, name) })
	netnstest.Neighbour(l.t, near, far, netip.MustParseAddr(far4), netip.MustParseAddr(far6))
	netnstest.Neighbour(l.t, far, near, netip.MustParseAddr(host4), netip.MustParseAddr(host6))
	for every, by := range map[string]string{"0.0.0.0/0": host4, "::/0": host6} {
		netnstest.RoutePrefix(l.t, ns, netip.MustParsePrefix(every), netip.MustParseAddr(by))
	}
	return netnstest.NewHelper(l.t, ns, "")
}

// reach checks whether datagrams from one network arrive in another, over both families.
func (l *lans) reach(what string, from, to *netnstest.Helper, net4, net6 string, want bool) {
	l.t.Helper()
	for _, a := range []string{strings.TrimSuffix(net4, "0") + "2", net6 + "2"} {
		at := netip.AddrPortFrom(netip.MustParseAddr(a), 5000)
		sink, c := must(to.UDP(at.Addr()))(l.t), must(from.UDP(at.Addr()))(l.t)
		if err := sink.Bind(at); err != nil {
			l.t.Fatal(err)
		}
		// A datagram whose neighbour does not answer at once is dropped by the kernel.
		err := errors.New("nothing was sent")
		for end := time.Now().Add(wait(want)); err != nil && time.Now().Before(end); {
			if err := c.SendTo(at, "x"); err != nil {
				l.t.Fatal(err)
			}
			_, _, err = sink.Receive(min(wait(want), time.Second))
		}
		if (err == nil) != want {
			l.t.Errorf("%s: a datagram to %s arrives: %v, want %v", what, a, err == nil, want)
		}
		sink.Close()
		c.Close()
	}
}

func (l *lans) between(what string, want bool) {
	l.t.Helper()
	l.reach(what, l.first, l.other, "198.51.100.0", "2001:db8:b::", want)
	l.reach(what+", back", l.other, l.first, "192.0.2.0", "2001:db8:a::", want)
}

func removeLink(t *testing.T, name string) {
	t.Helper()
	if err := netns.RemoveLink(name); err != nil {
		t.Error(err)
	}
}

// newDaemon returns an uplink that remembers nothing but the file.
func (l *lans) newDaemon() *Uplink {
	l.t.Helper()
	return must(New(l.config))(l.t)
}

func forwarding(t *testing.T) (out string) {
	netnstest.In(t, own(t), func() error { out = read(ipv4.key) + read(ipv6.key); return nil })
	return out
}

// Two LANs of a host that did not forward don't reach each other when groups make it forward. It
// holds over restarts of the daemon and after a flush. A link that is made later, as Docker makes
// one, reaches both. When the group is gone the host is as it was.
func TestRootStrangersStayApart(t *testing.T) {
	l := newLANs(t, "0")
	one, two := entries()
	u := l.newDaemon()
	put(t, u, one, two)
	l.between("with a group", false)
	replace := map[string]string{"chain from_groups {": strangersTwin + "\n\tchain from_groups {"}
	netnstest.ListsAs(t, own(t), "sallyport", "testdata/host.nft", replace)

	u = l.newDaemon()
	put(t, u, one, two)
	l.between("after a restart", false)
	netnstest.NFT(t, own(t), "", "flush", "ruleset")
	put(t, u, one, two)
	l.between("after a flush", false)

	later := l.join("later0", "203.0.113.0", "2001:db8:c::")
	l.reach("from a later link", later, l.other, "198.51.100.0", "2001:db8:b::", true)
	l.reach("to a later link", l.first, later, "203.0.113.0", "2001:db8:c::", true)

	for _, e := range []Entry{one, two} {
		if err := u.Delete(e.Link); err != nil {
			t.Fatal(err)
		}
	}
	if got := forwarding(t); got != "11" || !exists(t, "sallyport") {
		t.Errorf("forwarding is %s, the table is there: %v; the later link may rely on it", got, exists(t, "sallyport"))
	}
	l.between("without a group", false)
	removeLink(t, "later0")
	if err := u.Delete(one.Link); err != nil {
		t.Fatal(err)
	}
	_, err := os.Stat(l.config.Forwarding)
	if got := forwarding(t); got != "00" || exists(t, "sallyport") || !os.IsNotExist(err) {
		t.Errorf("forwarding is %s, the table is there: %v, the file: %v; want nothing of them", got, exists(t, "sallyport"), err)
	}
}

const strangersTwin = `	chain forward {
		type filter hook forward priority filter; policy accept;
		meta nfproto ipv4 iifname "lan1" goto strangers_ipv4
		meta nfproto ipv4 iifname "lan2" goto strangers_ipv4
		meta nfproto ipv6 iifname "lan1" goto strangers_ipv6
		meta nfproto ipv6 iifname "lan2" goto strangers_ipv6
	}

	chain strangers_ipv4 {
		oifname "lan1" counter name "stray" drop
		oifname "lan2" counter name "stray" drop
	}

	chain strangers_ipv6 {
		oifname "lan1" counter name "stray" drop
		oifname "lan2" counter name "stray" drop
	}
`

// A host that forwarded before keeps doing so, also after a restart of the daemon, and after
// forwarding was off for a moment.
func TestRootHostThatForwards(t *testing.T) {
	l := newLANs(t, "1")
	one, _ := entries()
	l.between("before", true)
	u := l.newDaemon()
	put(t, u, one)
	l.between("with a group", true)
	setForwarding(t, "0")
	put(t, u, one)
	l.between("turned on again", true)
	u = l.newDaemon()
	put(t, u, one)
	l.between("after a restart", true)
	if err := u.Delete(one.Link); err != nil {
		t.Fatal(err)
	}
	if got := forwarding(t); got != "11" || exists(t, "sallyport") {
		t.Errorf("forwarding is %s, the table is there: %v; want forwarding alone", got, exists(t, "sallyport"))
	}
	l.between("without a group", true)
}

// Who removes the file lets the links reach each other. The change is seen as drift.
func TestRootStrangersAreLet(t *testing.T) {
	l := newLANs(t, "0")
	one, _ := entries()
	u := l.newDaemon()
	put(t, u, one)
	defer drop(t, u)
	l.between("with a group", false)
	want := Strangers{"ipv4": {"lan1", "lan2"}, "ipv6": {"lan1", "lan2"}}
	if diff := cmp.Diff(want, must(ReadStrangers(l.config.Forwarding))(t)); diff != "" {
		t.Errorf("recorded (-want +got):\n%s", diff)
	}
	if err := os.Remove(l.config.Forwarding); err != nil {
		t.Fatal(err)
	}
	if same, _, err := u.Unchanged(); same || err != nil || inForce(t, u, one) {
		t.Errorf("the missing file is not seen: %v, %v", same, err)
	}
	put(t, u, one)
	l.between("without the file", true)
}
