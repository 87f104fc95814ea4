package uplink

import (
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/netns/netnstest"
	"github.com/sallyport/sallyport/netns/ruleset"
)

func config(table string) Config {
	return Config{Table: table, Signals: true, Prefix4: netip.MustParsePrefix("10.209.0.0/16"), Prefix6: netip.MustParsePrefix("fd5a::/64"),
		Reserved: []netip.Prefix{netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("fe80::/10"), netip.MustParsePrefix("fd00:ec2::254/128"),
			netip.MustParsePrefix("64:ff9b::a9fe:0/112")}}
}

func newUplink(t *testing.T, table string) *Uplink {
	t.Helper()
	u, err := New(config(table))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func addrs(list ...string) (out []netip.Addr) {
	for _, a := range list {
		out = append(out, netip.MustParseAddr(a))
	}
	return out
}

func entries() (one, two Entry) {
	one = Entry{Link: "sp-one", Group: addrs("10.209.0.1", "fd5a::1"), Publish: []Publish{
		{Protocol: "tcp", Host: 8443, Port: 443},
		{Protocol: "udp", Address: netip.MustParseAddr("192.0.2.1"), Host: 53, Port: 53},
		{Protocol: "udp", Address: netip.MustParseAddr("2001:db8::1"), Host: 53, Port: 53},
	}}
	two = Entry{Link: "sp-two", Group: addrs("10.209.0.3", "fd5a::3"), Allow: []ruleset.Endpoint{
		{Prefix: netip.MustParsePrefix("203.0.113.0/24"), Protocol: "tcp", Port: 443},
		{Prefix: netip.MustParsePrefix("198.51.100.7/32"), Protocol: "udp"},
		{Prefix: netip.MustParsePrefix("2001:db8:1::/48"), Protocol: "tcp", Port: 443},
		{Prefix: netip.MustParsePrefix("2001:db8:2::/48"), Protocol: "tcp"},
	}}
	return one, two
}

func put(t *testing.T, u *Uplink, list ...Entry) {
	t.Helper()
	if err := u.Ensure(); err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if err := u.Put(e); err != nil {
			t.Fatal(err)
		}
	}
}

func inForce(t *testing.T, u *Uplink, e Entry) bool {
	t.Helper()
	ok, err := u.InForce(e)
	if err != nil {
		t.Fatal(err)
	}
	return ok
}

func exists(t *testing.T, table string) bool {
	t.Helper()
	conn, err := ruleset.Open(0)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ok, err := ruleset.Exists(conn, table)
	if err != nil {
		t.Fatal(err)
	}
	return ok
}

func own(t *testing.T) *os.File {
	t.Helper()
	ns, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	return ns
}

func drop(t *testing.T, u *Uplink) {
	t.Helper()
	conn, err := ruleset.Open(0)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := ruleset.Delete(conn, u.config.Table); err != nil {
		t.Fatal(err)
	}
}

func TestRootTableListsAsItsFile(t *testing.T) {
	netnstest.Root(t)
	u := newUplink(t, "sallyport")
	defer drop(t, u)
	one, two := entries()
	put(t, u, one, two)
	netnstest.ListsAs(t, own(t), "sallyport", "testdata/host.nft", nil)
	put(t, u, two, one)
	netnstest.ListsAs(t, own(t), "sallyport", "testdata/host.nft", nil)
	// To another entry for the same link, and back.
	other := one
	other.Group, other.Publish = addrs("10.209.0.1"), []Publish{{Protocol: "tcp", Host: 8443, Port: 80}}
	put(t, u, other)
	if inForce(t, u, one) || !inForce(t, u, other) || !inForce(t, u, two) {
		t.Error("the other entry is not in force, or the first still is")
	}
	put(t, u, one)
	netnstest.ListsAs(t, own(t), "sallyport", "testdata/host.nft", nil)
}

// A newer daemon takes over the table of an older one with its entries and counts. No group has to
// be entered again, so its published ports and its protection never pause.
func TestRootOlderTableIsTakenOver(t *testing.T) {
	for _, file := range []string{"testdata/host_older.nft", "testdata/host_older_links.nft", "testdata/host_older_inbound.nft"} {
		t.Run(file, func(t *testing.T) { takeOver(t, file) })
	}
}

func takeOver(t *testing.T, file string) {
	netnstest.Root(t)
	older, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	counted := strings.Replace(string(older), "counter refused { }", "counter refused { packets 7 bytes 700 }", 1)
	netnstest.NFT(t, own(t), counted, "-f", "-")
	u := newUplink(t, "sallyport")
	defer drop(t, u)
	one, two := entries()
	if err := u.Ensure(); err != nil {
		t.Fatal(err)
	}
	if !inForce(t, u, one) || !inForce(t, u, two) {
		t.Error("entries of the older table are gone")
	}
	netnstest.ListsAs(t, own(t), "sallyport", "testdata/host.nft", nil)
	conn := must(ruleset.Open(0))(t)
	defer conn.Close()
	if got := must(ruleset.Counts(conn, "sallyport"))(t)[chainRefused].Packets; got != 7 {
		t.Errorf("%d packets are counted as refused, want the 7 of before", got)
	}
}

func TestRootDelete(t *testing.T) {
	netnstest.Root(t)
	u := newUplink(t, "sallyport")
	one, two := entries()
	put(t, u, one, two)
	if err := u.Delete("sp-one"); err != nil {
		t.Fatal(err)
	}
	if inForce(t, u, one) || !inForce(t, u, two) {
		t.Error("after deleting the first entry, it is in force, or the second is not")
	}
	got := netnstest.NFT(t, own(t), "", "list", "map", "inet", "sallyport", "publish4")
	if want := "table inet sallyport {\n\tmap publish4 {\n\t\ttype inet_proto . inet_service : ipv4_addr . inet_service\n\t}\n}\n"; got != want {
		t.Errorf("published ports after deleting (-want +got):\n%s", cmp.Diff(want, got))
	}
	put(t, u, one)
	if err := u.Delete("sp-two"); err != nil {
		t.Fatal(err)
	}
	if !inForce(t, u, one) || inForce(t, u, two) {
		t.Error("after deleting the second entry, it is in force, or the first is not")
	}
	for range 2 {
		if err := u.Delete("sp-one"); err != nil {
			t.Fatal(err)
		}
	}
	if exists(t, "sallyport") {
		t.Error("the table is left without an entry")
	}
}

// A group connects while another one, which may be the last, disconnects at any moment.
func TestRootPutBesideDelete(t *testing.T) {
	netnstest.Root(t)
	u := newUplink(t, "sallyport")
	defer drop(t, u)
	one, _ := entries()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 50 {
			if err := u.Delete("sp-sealed"); err != nil { // has no link, as a group without a way out
				t.Error(err)
			}
		}
	}()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		if err := u.Put(one); err != nil {
			t.Fatal(err)
		}
		if !inForce(t, u, one) {
			t.Fatal("the entry is not in force")
		}
		if err := u.Delete(one.Link); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRootTwoTables(t *testing.T) {
	netnstest.Root(t)
	a, b := newUplink(t, "sallyport"), newUplink(t, "sallyport2")
	one, two := entries()
	put(t, a, one)
	put(t, b, two)
	if !inForce(t, a, one) || !inForce(t, b, two) || inForce(t, a, two) {
		t.Error("the tables are not independent")
	}
	drop(t, b)
	if !exists(t, "sallyport") || exists(t, "sallyport2") || !inForce(t, a, one) {
		t.Error("removing one table touched the other, or left it")
	}
	drop(t, a)
}

// The kernel refuses a port that another group publishes: the map can have only one element for it.
func TestRootPublishedTwice(t *testing.T) {
	netnstest.Root(t)
	u := newUplink(t, "sallyport")
	defer drop(t, u)
	one, two := entries()
	put(t, u, one)
	two.Publish = one.Publish[:1]
	if err := u.Put(two); err == nil {
		t.Error("a port was published twice")
	}
	if !inForce(t, u, one) || inForce(t, u, two) {
		t.Error("the batch that was refused had an effect")
	}
}

// Elements that another program deleted are missed, although this process remembers adding them.
func TestRootForeignChangesAreSeen(t *testing.T) {
	netnstest.Root(t)
	u := newUplink(t, "sallyport")
	defer drop(t, u)
	one, _ := entries()
	put(t, u, one)
	netnstest.NFT(t, own(t), "", "flush set inet sallyport source4")
	if inForce(t, u, one) {
		t.Error("a flushed set was not noticed")
	}
	put(t, u, one)
	if !inForce(t, u, one) {
		t.Error("the flushed set was not filled again")
	}
}

func TestEntryRefused(t *testing.T) {
	u := newUplink(t, "sallyport")
	one, _ := entries()
	for name, e := range map[string]Entry{
		"no link":      {Group: one.Group},
		"another link": {Link: "eth0", Group: one.Group},
		"long link":    {Link: "sp-0123456789abc", Group: one.Group},
		"no address":   {Link: "sp-one"},
		"odd publish":  {Link: "sp-one", Group: one.Group, Publish: []Publish{{Protocol: "icmp"}}},
		"odd endpoint": {Link: "sp-one", Group: one.Group, Allow: []ruleset.Endpoint{{Protocol: "icmp"}}},
	} {
		if err := u.Put(e); err == nil {
			t.Errorf("%s: was put", name)
		}
	}
	for name, clear := range map[string]func(*Config){
		"table":             func(c *Config) { c.Table = "" },
		"IPv4 prefix":       func(c *Config) { c.Prefix4 = netip.Prefix{} },
		"reserved prefixes": func(c *Config) { c.Reserved = nil },
	} {
		c := config("x")
		clear(&c)
		if _, err := New(c); err == nil {
			t.Errorf("no %s: an uplink was made", name)
		}
	}
}
