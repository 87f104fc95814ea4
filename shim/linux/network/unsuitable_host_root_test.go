package network

import (
	"bytes"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/netns"
	"github.com/sallyport/sallyport/netns/netnstest"
	"github.com/sallyport/sallyport/netns/ruleset"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// expectNoLink fails unless Connect returns an error with a hint and has made no link. The group
// stays sealed off.
func expectNoLink(t *testing.T, n *Network, g *spec.Group, want string) {
	t.Helper()
	defer removeGroup(t, n, g.Name)
	if err := errors.Join(n.Seal(t.Context(), g.Name), n.Admit(t.Context(), g)); err != nil {
		t.Fatal(err)
	}
	err := n.Connect(t.Context(), g)
	if p, ok := errors.AsType[*hint.Error](err); !ok || p.Hint == "" || !strings.Contains(err.Error(), want) {
		t.Errorf("Connect = %v, want an error with %q and a hint", err, want)
	}
	if diff := cmp.Diff([3]host.Presence{host.Present, host.Present, host.Absent}, presences(n.Observe(t.Context(), g.Name, g))); diff != "" {
		t.Errorf("namespace, rules, link (-want +got):\n%s", diff)
	}
	if links, err := netns.Links(LinkAliasPrefix + g.Name); err != nil || len(links) > 0 {
		t.Errorf("links made: %v, %v", links, err)
	}
}

// If a route of the host leads into the prefix of the links, Connect finds it before it makes
// anything.
func TestRootOverlappingRoute(t *testing.T) {
	layout := testLayout(t)
	layout.Prefix4 = "198.51.100.0/24"
	n := newNetwork(t, layout)
	netnstest.NewOutside(t) // this makes a route to 198.51.100.0/24
	expectNoLink(t, n, testGroup("checkout", nil), "198.51.100.0/24 overlaps 198.51.100.0/24")
	conn := must(ruleset.Open(0))(t)
	defer conn.Close()
	if there, err := ruleset.Exists(conn, layout.Table); there || err != nil {
		t.Errorf("the host's table was made: %v, %v", there, err)
	}
}

func TestRootPoolIsFull(t *testing.T) {
	layout := testLayout(t)
	layout.Prefix4 = "10.209.0.0/30" // two pairs
	n := newNetwork(t, layout)
	var groups []*spec.Group
	for i := uint64(0); i < n.pool.Size(); i++ {
		g := testGroup(string(rune('a'+i)), nil)
		groups = append(groups, g)
		bringUp(t, n, g)
	}
	expectNoLink(t, n, testGroup("more", nil), "no free addresses are left in 10.209.0.0/30")
	removeGroup(t, n, groups[0].Name)
	more := testGroup("more", nil)
	bringUp(t, n, more) // control: there is room again
	for _, g := range append(groups[1:], more) {
		removeGroup(t, n, g.Name)
	}
}

// On a host with IPv6 turned off groups have IPv4 alone. All of that works. The daemon logs it
// once.
func TestRootHostWithoutIPv6(t *testing.T) {
	netnstest.Root(t)
	const key = "ipv6/conf/default/disable_ipv6"
	netnstest.Sysctl(t, nil, key, "1")
	defer netnstest.Sysctl(t, nil, key, "0")
	var log bytes.Buffer
	n, err := New(Config{Layout: testLayout(t), Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.SelfTest(t.Context()); err != nil {
		t.Fatal(err)
	}
	g := testGroup("checkout", func(g *spec.Group) { withIntercept(g); withPublish(g) })
	defer removeGroup(t, n, g.Name)
	bringUp(t, n, g)
	got := n.Observe(t.Context(), g.Name, g)
	if diff := cmp.Diff([3]host.Presence{host.Present, host.Present, host.Present}, presences(got)); diff != "" {
		t.Errorf("namespace, rules, link (-want +got):\n%s", diff)
	}
	if len(got.Addrs) != 1 || !netip.MustParseAddr(got.Addrs[0]).Is4() {
		t.Errorf("addresses are %v, want one of IPv4", got.Addrs)
	}
	if n := strings.Count(log.String(), "IPv6 turned off"); n != 1 {
		t.Errorf("logged %d times, want once:\n%s", n, log.String())
	}
}

// What doctor tests with is no group to a daemon, which would remove it.
func TestRootSelfTestIsNoGroup(t *testing.T) {
	netnstest.Root(t)
	n := newNetwork(t, testLayout(t))
	done := make(chan error, 1)
	go func() {
		_, err := n.SelfTest(t.Context())
		done <- err
	}()
	for looks := 1; ; looks++ {
		groups, err := n.Groups(t.Context())
		if (err != nil || len(groups) > 0) && !t.Failed() {
			t.Errorf("groups: %q, %v", groups, err)
		}
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
			t.Logf("looked %d times", looks)
			return
		default:
		}
	}
}
