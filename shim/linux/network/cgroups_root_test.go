package network

import (
	"maps"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/netns/cgroup"
	"github.com/sallyport/sallyport/netns/netnstest"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// expectCgroups checks which containers have a cgroup in which side of the test's group, and
// returns them.
func (h *harness) expectCgroups(want ...string) map[string]cgroup.Cgroup {
	h.t.Helper()
	got := map[string]cgroup.Cgroup{}
	for _, c := range must(h.net.containerCgroups(h.group.Name))(h.t) {
		got[c.path[len(h.net.layout.GroupCgroup(h.group.Name))+1:]] = c.Cgroup
	}
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(got))); diff != "" {
		h.t.Errorf("cgroups of containers (-want +got):\n%s", diff)
	}
	return got
}

func (h *harness) expectRules(want host.Presence) {
	h.t.Helper()
	if got := h.net.Observe(h.t.Context(), h.group.Name, h.group).Rules; got != want {
		h.t.Errorf("rules: %v, want %v", got, want)
	}
}

// A container's cgroup comes before the container, and stays as long as the definition has it.
// Then it goes, once its last process has gone.
func TestRootContainerCgroups(t *testing.T) {
	h := newHarness(t, nil)
	first := h.expectCgroups("ambassador/proxy", "members/web")
	h.expectRules(host.Present)

	h.member.Kill()
	leaf := h.net.layout.CgroupPath(h.group.Name, spec.App, "web")
	netnstest.Eventually(t, "the runtime's cgroup is gone", func() bool { return h.net.cgroups.Remove(leaf) == nil })
	h.expectRules(host.Present)
	h.member = h.container(spec.App, "web")
	if diff := cmp.Diff(first, h.expectCgroups("ambassador/proxy", "members/web")); diff != "" {
		t.Errorf("after a restart (-before +after):\n%s", diff)
	}

	h.group.Containers = []spec.Container{h.group.Containers[0], {Name: "api", Role: spec.App}, {Name: "shipper", Role: spec.Sidecar}}
	h.expectRules(host.Absent)
	for range 2 {
		bringUp(t, h.net, h.group)
		h.expectRules(host.Present) // web still runs
		now := h.expectCgroups("ambassador/proxy", "members/api", "members/shipper", "members/web")
		if now["ambassador/proxy"] != first["ambassador/proxy"] || now["members/web"] != first["members/web"] {
			t.Errorf("a new definition made the others anew: %v, then %v", first, now)
		}
	}
	h.member.Kill()
	netnstest.Eventually(t, "nothing is in the cgroup of web", func() bool { return !must(h.net.cgroups.Populated(h.webCgroup()))(t) })
	h.expectRules(host.Absent)
	bringUp(t, h.net, h.group)
	h.expectRules(host.Present)
	h.expectCgroups("ambassador/proxy", "members/api", "members/shipper")
}

func (h *harness) webCgroup() string {
	return h.net.layout.ContainerCgroup(h.group.Name, spec.App, "web")
}

// In a group of an older daemon the processes of a container are in what is the container's cgroup
// now. It is used as it is. When the runtime has removed it, the next start has one that stays.
func TestRootContainerCgroupOfAnOlderDaemon(t *testing.T) {
	h := newHarness(t, nil)
	h.member.Kill()
	leaf := h.net.layout.CgroupPath(h.group.Name, spec.App, "web")
	netnstest.Eventually(t, "the runtime's cgroup is gone", func() bool { return h.net.cgroups.Remove(leaf) == nil })
	older := netnstest.NewHelper(t, h.ns, h.webCgroup())
	bringUp(t, h.net, h.group)
	h.expectRules(host.Present)
	first := h.expectCgroups("ambassador/proxy", "members/web")
	expectShut(t, h, older)

	older.Kill()
	netnstest.Eventually(t, "the runtime's cgroup is gone", func() bool { return h.net.cgroups.Remove(h.webCgroup()) == nil })
	h.expectRules(host.Absent)
	h.member = h.container(spec.App, "web") // the runtime makes what is missing
	h.expectRules(host.Present)
	second := h.expectCgroups("ambassador/proxy", "members/web")
	if first["members/web"] == second["members/web"] {
		t.Error("the kernel gave a number twice")
	}
	expectShut(t, h, h.member)
}

// expectShut checks that a member gets nothing out, and that the ambassador does.
func expectShut(t *testing.T, h *harness, member *netnstest.Helper) {
	t.Helper()
	for _, to := range h.families() {
		at := netip.AddrPortFrom(to, 443)
		l := listen(t, h.remote, at)
		if err := exchange(t, h.ambassador, at, l); err != nil {
			t.Errorf("the ambassador to %s: %v", at, err)
		}
		if err := exchange(t, member, at, l); err == nil {
			t.Errorf("a member reached %s", at)
		}
		l.Close()
	}
}
