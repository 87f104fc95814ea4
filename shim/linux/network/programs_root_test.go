package network

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/netns"
	"github.com/sallyport/sallyport/netns/egress"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// attachOther attaches a program of someone else's, which lets everything pass.
func attachOther(t *testing.T, n *Network, cgroup string, hook ebpf.AttachType, kind ebpf.ProgramType, flags uint32) {
	t.Helper()
	theirs, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: "theirs", Type: kind, AttachType: hook, License: "MIT",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 1), asm.Return()}})
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	dir, err := os.Open(filepath.Join(n.cgroups.V2, cgroup))
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if err := link.RawAttachProgram(link.RawAttachProgramOptions{Target: int(dir.Fd()), Program: theirs, Attach: hook, Flags: flags}); err != nil {
		t.Fatal(err)
	}
}

// A Drift detects that programs are taken away or replaced, by a survey of all groups, and without
// one where the kernel has none.
func TestRootDriftOfPrograms(t *testing.T) {
	n := newNetwork(t, testLayout(t))
	g, other := testGroup("checkout", func(g *spec.Group) { g.Ambassador().PingGroups = "0 0" }), testGroup("till", nil)
	for _, g := range []*spec.Group{g, other} {
		defer removeGroup(t, n, g.Name)
		bringUp(t, n, g)
	}
	names := []string{g.Name, other.Name}
	members := n.layout.CgroupParent(g.Name, spec.App)
	replace := func(t *testing.T, hook ebpf.AttachType, kind ebpf.ProgramType) {
		t.Helper()
		attachOther(t, n, members, hook, kind, 0)
	}
	for name, surveys := range map[string]bool{"surveyed": true, "one by one": false} {
		d := n.NewDrift()
		if !surveys {
			d.survey = nil
		} else if _, err := d.survey.Prints(nil); err != nil && os.Getenv("CI") == "" {
			t.Logf("this kernel has no survey: %v", err)
			continue
		}
		settle := func() {
			t.Helper()
			for range settleAfter {
				for _, g := range []*spec.Group{g, other} {
					bringUp(t, n, g)
					n.Observe(t.Context(), g.Name, g)
				}
				d.Changed(names)
			}
			if got := d.Changed(names); got != nil {
				t.Fatalf("%s: changed although settled: %v", name, got)
			}
		}
		for what, change := range map[string]func(){
			"the fence taken away": func() {
				if err := egress.Unfence(n.cgroups, members); err != nil {
					t.Fatal(err)
				}
			},
			"other ports": func() {
				if err := egress.Fence(n.cgroups, members, netns.PortsOf(444)); err != nil {
					t.Fatal(err)
				}
			},
			"ingress replaced": func() { replace(t, ebpf.AttachCGroupInetIngress, ebpf.CGroupSKB) },
			"egress replaced":  func() { replace(t, ebpf.AttachCGroupInetEgress, ebpf.CGroupSKB) },
			"bind4 replaced":   func() { replace(t, ebpf.AttachCGroupInet4Bind, ebpf.CGroupSockAddr) },
			"create replaced":  func() { replace(t, ebpf.AttachCGroupInetSockCreate, ebpf.CGroupSock) },
			"bind6 replaced":   func() { replace(t, ebpf.AttachCGroupInet6Bind, ebpf.CGroupSockAddr) },
		} {
			settle()
			change()
			if diff := cmp.Diff([]string{g.Name}, d.Changed(names)); diff != "" {
				t.Errorf("%s: %s: changed (-want +got):\n%s", name, what, diff)
			}
			if surveyed := len(d.prints) == len(names); surveyed != surveys {
				t.Errorf("%s: the groups were surveyed: %v", name, surveyed)
			}
			bringUp(t, n, g)
			if s := n.Observe(t.Context(), g.Name, g); s.Rules != host.Present {
				t.Errorf("%s: %s: afterwards the rules are %v", name, what, s.Rules)
			}
		}
	}
}
