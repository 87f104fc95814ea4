package netns_test

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/netns"
	"github.com/sallyport/sallyport/netns/netnstest"
)

func sysctl(t *testing.T, path, key string) (value string) {
	t.Helper()
	ns, err := netns.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	netnstest.In(t, ns, func() error {
		b, err := os.ReadFile("/proc/sys/net/" + key)
		value = strings.Join(strings.Fields(string(b)), " ")
		return err
	})
	return value
}

// A namespace has its own settings, independent of the host's.
func TestRootPinnedNamespaceIsSetUp(t *testing.T) {
	netnstest.Root(t)
	for key, value := range map[string]string{"ipv4/ip_forward": "1", "ipv4/conf/all/route_localnet": "1", "ipv6/conf/default/accept_dad": "1"} {
		if err := netns.WriteSysctl(key, value); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), "netns", "g")
	if err := netns.Apply(netns.Config{Path: path}); err != nil {
		t.Fatal(err)
	}
	defer netns.Remove(path)
	got := map[string]string{}
	want := map[string]string{
		"ipv4/ip_forward": "0", "ipv4/conf/all/route_localnet": "0", "ipv4/ping_group_range": "1 0",
		"ipv4/ip_unprivileged_port_start": "0", "ipv6/conf/all/forwarding": "0", "ipv6/conf/all/disable_ipv6": "0",
		"ipv6/conf/default/accept_ra": "0", "ipv6/conf/default/accept_dad": "0", "ipv6/conf/default/addr_gen_mode": "1",
	}
	for key := range want {
		got[key] = sysctl(t, path, key)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
	ns, err := netns.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	netnstest.In(t, ns, func() error {
		lo, err := net.InterfaceByName("lo")
		if err == nil && lo.Flags&net.FlagUp == 0 {
			t.Error("loopback is down")
		}
		return err
	})
}

func TestRootPinsComeAndGoTogether(t *testing.T) {
	netnstest.Root(t)
	dir := filepath.Join(t.TempDir(), "netns")
	const n = 8
	each := func(f func(path string) error) {
		t.Helper()
		var wg sync.WaitGroup
		for i := range 2 * n { // each twice, at once
			wg.Go(func() {
				if err := f(filepath.Join(dir, fmt.Sprint(i%n))); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
	for range 3 {
		each(func(path string) error { return netns.Apply(netns.Config{Path: path}) })
		if pins, err := netns.Pins(dir); err != nil || len(pins) != n {
			t.Errorf("pins: %v, %v; want %d", pins, err, n)
		}
		if got := mountsBelow(t, dir); len(got) != n+1 {
			t.Errorf("mounts are %q; want that of the folder and one for each pin", got)
		}
		each(netns.Remove)
		if got := mountsBelow(t, dir); len(got) > 0 {
			t.Errorf("mounts left: %q", got)
		}
		if _, err := os.Stat(dir); !os.IsNotExist(err) {
			t.Errorf("the folder is left: %v", err)
		}
	}
}

// mountsBelow lists mounts at and below a folder, and fails if one is not shared.
func mountsBelow(t *testing.T, dir string) (found []string) {
	t.Helper()
	mounts, err := os.ReadFile("/proc/thread-self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); len(f) > 6 && strings.HasPrefix(f[4], dir) {
			found = append(found, f[4])
			if !strings.HasPrefix(f[6], "shared:") {
				t.Errorf("mount %s is %s, want shared", f[4], f[6])
			}
		}
	}
	return found
}

func pair(host4, group4, host6, group6 string) (host, group []netip.Addr) {
	for _, a := range [][2]string{{host4, group4}, {host6, group6}} {
		if a[0] != "" {
			host, group = append(host, netip.MustParseAddr(a[0])), append(group, netip.MustParseAddr(a[1]))
		}
	}
	return host, group
}

// A link can be changed from any state to any other.
func TestRootLinkBecomesAsWanted(t *testing.T) {
	netnstest.Root(t)
	path := filepath.Join(t.TempDir(), "netns", "g")
	name := netns.LinkName(path)
	defer func() {
		if err := netns.RemoveLink(name); err != nil {
			t.Error(err)
		}
		if err := netns.Remove(path); err != nil {
			t.Error(err)
		}
	}()
	states := map[string]netns.Link{"both families": {Name: name, Alias: "a:g"}, "by way of localhost": {Name: name, Alias: "a:g", Localhost: true}, "IPv4 alone": {Name: name, Alias: "a:g"}, "other addresses": {Name: name, Alias: "b:g", Localhost: true},
		"bounded": {Name: name, Alias: "a:g", RateOut: 2e6, RateIn: 1e9}, "bounded in one direction": {Name: name, Alias: "a:g", RateIn: 1e9}, "bounded more": {Name: name, Alias: "a:g", RateOut: 1e6, RateIn: 1e9}}
	for state, addrs := range map[string][4]string{
		"both families":       {"10.0.0.0", "10.0.0.1", "fd00::", "fd00::1"},
		"by way of localhost": {"10.0.0.0", "10.0.0.1", "fd00::", "fd00::1"},
		"IPv4 alone":          {"10.0.0.0", "10.0.0.1"},
		"other addresses":     {"10.0.0.2", "10.0.0.3", "fd00::2", "fd00::3"},

		"bounded":                  {"10.0.0.0", "10.0.0.1", "fd00::", "fd00::1"},
		"bounded in one direction": {"10.0.0.0", "10.0.0.1", "fd00::", "fd00::1"},
		"bounded more":             {"10.0.0.0", "10.0.0.1", "fd00::", "fd00::1"},
	} {
		l := states[state]
		l.Host, l.Group = pair(addrs[0], addrs[1], addrs[2], addrs[3])
		states[state] = l
	}
	for range 2 {
		for state, l := range states {
			c := netns.Config{Path: path, Link: &l}
			for range 2 {
				if err := netns.Apply(c); err != nil {
					t.Fatalf("%s: %v", state, err)
				}
				if ok, err := netns.Observe(c); !ok || err != nil {
					t.Errorf("%s: as wanted: %v, %v", state, ok, err)
				}
			}
			got, _, err := netns.LinkAddresses(name)
			if diff := cmp.Diff(fmt.Sprint(l.Host), fmt.Sprint(got)); err != nil || diff != "" {
				t.Errorf("%s: addresses of the host's end: %v (-want +got):\n%s", state, err, diff)
			}
			for other, o := range states {
				if ok, err := netns.Observe(netns.Config{Path: path, Link: &o}); err != nil || ok != (other == state) {
					t.Errorf("%s is taken for %s: %v, %v", state, other, ok, err)
				}
			}
		}
	}
	links, err := netns.Links("b:")
	if err != nil || len(links) > 1 {
		t.Errorf("links: %v, %v", links, err)
	}
}
