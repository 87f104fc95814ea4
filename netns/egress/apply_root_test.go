package egress_test

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns/cgroup"
	"github.com/sallyport/sallyport/netns/egress"
	"github.com/sallyport/sallyport/netns/netnstest"
	"github.com/sallyport/sallyport/netns/ruleset"
)

func TestRootSelfTest(t *testing.T) {
	netnstest.Root(t)
	if v, err := egress.SelfTest(t.Context(), netnstest.CgroupRoot()); err != nil || v.Untold != nil {
		t.Fatal(err, v.Untold)
	}
}

// A kernel without quotas keeps the promise. It reports no refusals.
func TestRootSelfTestOfAKernelWithoutQuotas(t *testing.T) {
	netnstest.Root(t)
	v, err := egress.SelfTestBy(t.Context(), netnstest.CgroupRoot(), func(ns *os.File, p egress.Policy) (bool, error) {
		if p.Signals {
			return false, os.ErrNotExist
		}
		return egress.Apply(ns, p)
	})
	if err != nil || !errors.Is(v.Untold, os.ErrNotExist) {
		t.Errorf("self-test: %v, untold: %v", err, v.Untold)
	}
}

// A kernel that takes the rules and sends no message, or sends it with the next batch, reports
// nothing. Then the rules without signals are tested, and the last ones are those of the groups.
// This kernel reports.
func TestRootSelfTestOfAKernelThatTellsLate(t *testing.T) {
	netnstest.Root(t)
	for _, silent := range []bool{true, false} {
		var last egress.Policy
		v, err := egress.SelfTestBy(t.Context(), netnstest.CgroupRoot(), func(ns *os.File, p egress.Policy) (bool, error) {
			last = p
			p.Signals = p.Signals && !silent
			return egress.Apply(ns, p)
		})
		if err != nil || (v.Untold != nil) != silent || last.Signals == silent {
			t.Errorf("silent %v: self-test: %v, untold: %v, rules in force with signals: %v", silent, err, v.Untold, last.Signals)
		}
	}
}

// If a kernel refuses `socket cgroupv2`, or confuses processes in it, SelfTest returns one error
// with a hint and leaves nothing behind.
func TestRootSelfTestOfAKernelThatLacksIt(t *testing.T) {
	netnstest.Root(t)
	for _, tt := range []struct {
		name   string
		change func(p *egress.Policy)
		want   string
	}{
		{"the match is refused", func(p *egress.Policy) { p.Ambassador.Level, p.Members.Level = 256, 256 }, "the rules can't be loaded: "},
		{"it never matches", func(p *egress.Policy) { p.Ambassador.ID, p.Members.ID = 1<<60, 1<<60+1 }, "a member is not refused: "},
		{"it matches the wrong one", func(p *egress.Policy) { p.Ambassador, p.Members = p.Members, p.Ambassador }, "a member is not refused: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := egress.SelfTestBy(t.Context(), netnstest.CgroupRoot(), func(ns *os.File, p egress.Policy) (bool, error) {
				tt.change(&p)
				return egress.Apply(ns, p)
			})
			lack, ok := errors.AsType[*egress.SelfTestError](err)
			if !ok || !strings.HasPrefix(err.Error(), tt.want) || !strings.Contains(lack.Hint, "CONFIG_NFT_SOCKET") {
				t.Errorf("self-test: %v, want %q with a hint at the kernel's configuration", err, tt.want)
			}
			h, err := cgroup.FindHierarchies()
			if err != nil {
				t.Fatal(err)
			}
			if left, err := h.Children(netnstest.CgroupRoot()); err != nil || len(left) > 0 {
				t.Errorf("cgroups left: %v, %v", left, err)
			}
		})
	}
}

// What a killed self-test has left is removed by the next one. The cgroups of one that may be in
// progress stay.
func TestRootSelfTestRemovesWhatIsLeft(t *testing.T) {
	netnstest.Root(t)
	h, err := cgroup.FindHierarchies()
	if err != nil {
		t.Fatal(err)
	}
	defer h.RemoveIfEmpty(netnstest.CgroupRoot())
	ended := exec.Command("true")
	if err := ended.Run(); err != nil {
		t.Fatal(err)
	}
	for _, pid := range []int{ended.Process.Pid, 1} {
		name := path.Join(netnstest.CgroupRoot(), fmt.Sprint("selftest.", pid))
		defer h.Remove(name)
		if _, err := h.Make(path.Join(name, "members")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := egress.SelfTest(t.Context(), netnstest.CgroupRoot()); err != nil {
		t.Fatal(err)
	}
	left, err := h.Children(netnstest.CgroupRoot())
	if diff := cmp.Diff([]string{"selftest.1"}, left); diff != "" || err != nil {
		t.Errorf("left (-want +got):\n%s%v", diff, err)
	}
}

// policies returns one policy of each kind, with existing cgroups two levels below the tests' root.
func policies(t *testing.T) (map[string]egress.Policy, map[string]string) {
	t.Helper()
	h, err := cgroup.FindHierarchies()
	if err != nil {
		t.Fatal(err)
	}
	root := netnstest.CgroupRoot()
	ambassador, members := path.Join(root, "g/ambassador"), path.Join(root, "g/members")
	make := func(path string) cgroup.Cgroup {
		c, err := h.Make(path)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	t.Cleanup(func() {
		if err := h.Remove(root); err != nil {
			t.Error(err)
		}
	})
	base := egress.Policy{
		Mode: egress.Ambassador, Ambassador: make(ambassador), Members: make(members),
		Published: []egress.Port{{Protocol: "udp", Port: 53}, {Protocol: "tcp", Port: 443}, {Protocol: "tcp", Port: 443}},
		Signals:   true,
	}
	allow, direct := base, base
	direct.Mode = egress.Direct
	for _, e := range []struct {
		prefix, protocol string
		port             uint16
	}{
		{"203.0.113.0/24", "tcp", 443},
		{"203.0.113.8/29", "tcp", 443}, // covered by the one before
		{"198.51.100.53/32", "udp", 53},
		{"192.0.2.0/24", "tcp", 0},
		{"2001:db8::/32", "tcp", 443},
		{"2001:db8:1::/48", "udp", 0},
	} {
		allow.Allow = append(allow.Allow, egress.Endpoint{Prefix: netip.MustParsePrefix(e.prefix), Protocol: e.protocol, Port: e.port})
	}
	names := map[string]string{"AMBASSADOR": netnstest.CgroupName(t, h, ambassador), "MEMBERS": netnstest.CgroupName(t, h, members)}
	quota, allowQuota, nowhere := base, allow, base
	nowhere.Allow = []egress.Endpoint{}
	quota.Quota, allowQuota.Quota = 1000, 5<<30
	intercept, interceptAll := base, allowQuota
	intercept.Intercept, interceptAll.Intercept = 15001, 15001
	ping := allowQuota
	ping.Pings = true
	ping.Allow = slices.Clone(ping.Allow)
	for _, e := range ping.Allow {
		if e.Port == 0 {
			ping.Allow = append(ping.Allow, egress.Endpoint{Prefix: e.Prefix, Protocol: ruleset.ICMP})
		}
	}
	return map[string]egress.Policy{
		"sealed": {Mode: egress.Sealed, Signals: true}, "ambassador": base, "allow": allow, "nowhere": nowhere, "direct": direct, "quota": quota, "allow_quota": allowQuota,
		"intercept": intercept, "intercept_all": interceptAll,
		"ping": ping,
	}, names
}

func apply(t *testing.T, ns *os.File, p egress.Policy) (changed bool) {
	t.Helper()
	changed, err := egress.Apply(ns, p)
	if err != nil {
		t.Fatal(err)
	}
	return changed
}

// Each policy lists as its file does, whether it was made in an empty namespace or from any other
// policy.
func TestRootPoliciesListAsTheirTwins(t *testing.T) {
	netnstest.Root(t)
	all, names := policies(t)
	for name, p := range all {
		t.Run(name, func(t *testing.T) {
			ns := netnstest.NewNamespace(t)
			apply(t, ns, p)
			netnstest.ListsAs(t, ns, egress.TableName, "testdata/"+name+".nft", names)
		})
	}
	for from, before := range all {
		for to, after := range all {
			t.Run(from+" to "+to, func(t *testing.T) {
				ns := netnstest.NewNamespace(t)
				apply(t, ns, before)
				if changed := apply(t, ns, after); changed != (from != to) {
					t.Errorf("changed: %v", changed)
				}
				netnstest.ListsAs(t, ns, egress.TableName, "testdata/"+to+".nft", names)
			})
		}
	}
}

// A change of the table by another process or by hand is found and repaired.
func TestRootStrangeTablesAreReplaced(t *testing.T) {
	netnstest.Root(t)
	all, names := policies(t)
	for _, tt := range []struct{ name, ruleset string }{
		{"an empty table", "table inet sallyport { }"},
		{"a chain that accepts", "table inet sallyport { chain output { type filter hook output priority filter; policy accept; } ; }"},
		{"a set of another type", "table inet sallyport { set published { type ipv4_addr; } ; }"},
		{"a rule behind", "add rule inet sallyport output accept"},
		{"a rule in front", "insert rule inet sallyport input accept"},
		{"an element", "add element inet sallyport published { tcp . 22 }"},
		{"a table that is dormant", "add table inet sallyport { flags dormant; }"},
		{"a chain more", "add chain inet sallyport extra"},
		{"a rule in a chain of ours", "insert rule inet sallyport refuse_member accept"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ns := netnstest.NewNamespace(t)
			if tt.ruleset[:5] != "table" {
				apply(t, ns, all["ambassador"])
			}
			netnstest.NFT(t, ns, tt.ruleset+"\n", "-f", "-")
			if ok, err := egress.InForce(ns, all["ambassador"]); ok || err != nil {
				t.Errorf("in force: %v, %v; want no", ok, err)
			}
			if !apply(t, ns, all["ambassador"]) {
				t.Error("nothing was changed")
			}
			netnstest.ListsAs(t, ns, egress.TableName, "testdata/ambassador.nft", names)
			if ok, err := egress.InForce(ns, all["ambassador"]); !ok || err != nil {
				t.Errorf("in force: %v, %v; want yes", ok, err)
			}
		})
	}
}

func TestRootCountsSurviveAChangeOfPolicy(t *testing.T) {
	netnstest.Root(t)
	all, _ := policies(t)
	out := netnstest.NewOutside(t)
	apply(t, out.NS, all["ambassador"])
	h, err := cgroup.FindHierarchies()
	if err != nil {
		t.Fatal(err)
	}
	web := path.Join(netnstest.CgroupRoot(), "g/members/web")
	if _, err := h.Make(web); err != nil {
		t.Fatal(err)
	}
	member := netnstest.NewHelper(t, out.NS, web)
	s, err := member.TCP(out.Host4)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Connect(netip.AddrPortFrom(out.Host4, 80), 0); !errors.Is(err, unix.ECONNREFUSED) {
		t.Fatalf("connect: %v", err)
	}
	before, err := egress.ReadCounters(out.NS)
	if err != nil || before.MembersTCP.Packets != 1 || before.MembersTCP.Bytes == 0 {
		t.Fatalf("counters %+v, %v; want one TCP packet of members", before, err)
	}
	denied, err := egress.ReadDenials(out.NS)
	if err != nil || len(denied) != 1 {
		t.Fatalf("denials %v, %v; want one", denied, err)
	}
	for name, p := range all {
		apply(t, out.NS, p)
		after, err := egress.ReadCounters(out.NS)
		if diff := cmp.Diff(before.MembersTCP, after.MembersTCP); err != nil || diff != "" {
			t.Errorf("%v; counts after policy %s (-before +after):\n%s", err, name, diff)
		}
		again, err := egress.ReadDenials(out.NS)
		if diff := cmp.Diff(denied, again, cmpopts.IgnoreFields(egress.Denial{}, "Expires"), cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); err != nil || diff != "" {
			t.Errorf("%v; denials after policy %s (-before +after):\n%s", err, name, diff)
		}
	}
	member.Kill()
}

func TestRootRemove(t *testing.T) {
	netnstest.Root(t)
	ns := netnstest.NewNamespace(t)
	apply(t, ns, egress.Policy{Mode: egress.Sealed})
	if ok, err := egress.Denies(ns); !ok || err != nil {
		t.Errorf("denies: %v, %v; want yes", ok, err)
	}
	for range 2 {
		if err := egress.Remove(ns); err != nil {
			t.Fatal(err)
		}
	}
	if ok, err := egress.Denies(ns); ok || err != nil {
		t.Errorf("denies after removing: %v, %v; want no", ok, err)
	}
	if _, err := egress.ReadCounters(ns); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("counters after removing: %v, want os.ErrNotExist", err)
	}
}
