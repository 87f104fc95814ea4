package network

import (
	"errors"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/netns"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// otherSettings are values that no host has by default.
var otherSettings = map[string]string{
	"net.core.somaxconn":                 "777",
	"net.ipv4.ip_local_port_range":       "20001 60001",
	"net.ipv4.tcp_fin_timeout":           "37",
	"net.ipv4.tcp_keepalive_intvl":       "38",
	"net.ipv4.tcp_keepalive_probes":      "4",
	"net.ipv4.tcp_keepalive_time":        "39",
	"net.ipv4.tcp_max_syn_backlog":       "778",
	"net.ipv4.tcp_mtu_probing":           "2",
	"net.ipv4.tcp_retries2":              "11",
	"net.ipv4.tcp_rmem":                  "4097 65537 1048577",
	"net.ipv4.tcp_slow_start_after_idle": "0",
	"net.ipv4.tcp_syn_retries":           "3",
	"net.ipv4.tcp_synack_retries":        "4",
	"net.ipv4.tcp_wmem":                  "4098 65538 1048578",
}

// Every setting that a group can have belongs to its namespace: the host's stays as it was. What
// others change is put back.
func TestRootSettings(t *testing.T) {
	n := newNetwork(t, testLayout(t))
	g := testGroup("checkout", func(g *spec.Group) { g.Network.Sysctls = otherSettings })
	defer removeGroup(t, n, g.Name)
	read := func(name string) string {
		t.Helper()
		value, err := netns.ReadSysctl(strings.ReplaceAll(strings.TrimPrefix(name, "net."), ".", "/"))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		return strings.Join(strings.Fields(value), " ")
	}
	before := map[string]string{}
	for _, name := range spec.GroupSysctls() {
		if before[name] = read(name); otherSettings[name] == "" || before[name] == otherSettings[name] {
			t.Fatalf("%s is %q on the host: the test has no other value", name, before[name])
		}
	}
	bringUp(t, n, g)
	ns, err := n.open(g.Name)
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	if err := netns.Inside(ns, func() error {
		for name, want := range otherSettings {
			if got := read(name); got != want {
				t.Errorf("%s is %q in the group, want %q", name, got, want)
			}
		}
		if got := read("net.ipv4.ping_group_range"); got != "1 0" {
			t.Errorf("groups %s may ping, want none", got)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for name, want := range before {
		if got := read(name); got != want {
			t.Errorf("%s of the host was %q, and is %q", name, want, got)
		}
	}

	if got := n.Observe(t.Context(), g.Name, g).Rules; got != host.Present {
		t.Fatalf("rules are %v, want present", got)
	}
	if err := netns.SetSysctls(ns, map[string]string{"core/somaxconn": "5"}); err != nil {
		t.Fatal(err)
	}
	if got := n.Observe(t.Context(), g.Name, g).Rules; got != host.Absent {
		t.Errorf("rules are %v with another setting, want absent", got)
	}
	bringUp(t, n, g)
	if got := n.Observe(t.Context(), g.Name, g).Rules; got != host.Present {
		t.Errorf("rules are %v after repair, want present", got)
	}
}

// A setting that the kernel refuses is an error, and keeps nothing of the earlier definition: its
// link and its containers' cgroups go as with a setting that the kernel takes.
func TestRootSettingThatTheKernelRefuses(t *testing.T) {
	n := newNetwork(t, testLayout(t))
	g := testGroup("checkout", nil)
	defer removeGroup(t, n, g.Name)
	bringUp(t, n, g)
	members := func() int { return len(must(n.cgroups.Children(n.layout.CgroupParent(g.Name, spec.App)))(t)) }
	if got := presences(n.Observe(t.Context(), g.Name, g)); got[2] != host.Present || members() != 1 {
		t.Fatalf("namespace, rules, link: %v, want a link and a cgroup of web", got)
	}
	g.Egress, g.Containers = spec.EgressNone, g.Containers[:1]
	g.Network.Sysctls = map[string]string{"net.ipv4.tcp_fin_timeout": "long"}
	err := n.Admit(t.Context(), g)
	if hinted, ok := errors.AsType[*hint.Error](err); !ok || !strings.Contains(hinted.Hint, "the kernel does not take this value") {
		t.Errorf("Admit: %v, want an error of the setting with a hint", err)
	}
	if got := presences(n.Observe(t.Context(), g.Name, g)); got[2] != host.Absent || members() != 0 {
		t.Errorf("namespace, rules, link: %v, want neither a link nor the cgroup of web", got)
	}
}
