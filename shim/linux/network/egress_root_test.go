package network

import (
	"errors"
	"net/netip"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns/egress"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// A group's egress may change while it runs: members may leave, only the ambassador may, or no
// container may.
func TestRootEgressChanges(t *testing.T) {
	h := newHarness(t, nil)
	to := netip.AddrPortFrom(h.out.Addr4, 443)
	l := listen(t, h.remote, to)
	defer l.Close()
	for _, tt := range []struct {
		egress             spec.Egress
		member, ambassador error // error of a connection to the outside
	}{
		{spec.EgressAmbassador, unix.ECONNREFUSED, nil},
		{spec.EgressDirect, nil, nil},
		{spec.EgressAmbassador, unix.ECONNREFUSED, nil},
		{spec.EgressNone, unix.ENETUNREACH, unix.ENETUNREACH},
		{spec.EgressDirect, nil, nil},
		{spec.EgressNone, unix.ENETUNREACH, unix.ENETUNREACH},
	} {
		h.group.Egress = tt.egress
		steps := []error{h.net.Seal(t.Context(), h.group.Name), h.net.Admit(t.Context(), h.group)}
		if tt.egress != spec.EgressNone {
			steps = append(steps, h.net.Connect(t.Context(), h.group))
		}
		if err := errors.Join(steps...); err != nil {
			t.Fatal(err)
		}
		want := [3]host.Presence{host.Present, host.Present, presence(tt.egress != spec.EgressNone)}
		if diff := cmp.Diff(want, presences(h.net.Observe(t.Context(), h.group.Name, h.group))); diff != "" {
			t.Errorf("%s: namespace, rules, link (-want +got):\n%s", tt.egress, diff)
		}
		if err := exchange(t, h.member, to, l); !errors.Is(err, tt.member) {
			t.Errorf("%s: a member: %v, want %v", tt.egress, err, tt.member)
		}
		if err := exchange(t, h.ambassador, to, l); !errors.Is(err, tt.ambassador) {
			t.Errorf("%s: the ambassador: %v, want %v", tt.egress, err, tt.ambassador)
		}
	}
}

func TestRootRemovedFenceIsNoticed(t *testing.T) {
	n := newNetwork(t, testLayout(t))
	g := testGroup("checkout", nil)
	defer removeGroup(t, n, g.Name)
	bringUp(t, n, g)
	if err := egress.Unfence(n.cgroups, n.layout.CgroupParent(g.Name, spec.App)); err != nil {
		t.Fatal(err)
	}
	if got := n.Observe(t.Context(), g.Name, g).Rules; got != host.Absent {
		t.Errorf("rules are %v without the fence, want absent", got)
	}
	bringUp(t, n, g)
	if got := n.Observe(t.Context(), g.Name, g).Rules; got != host.Present {
		t.Errorf("rules are %v after repair, want present", got)
	}
}

// A part that can't be read is unknown, not absent.
func TestRootObserveUnknown(t *testing.T) {
	n := newNetwork(t, testLayout(t))
	g := testGroup("checkout", nil)
	defer removeGroup(t, n, g.Name)
	bringUp(t, n, g)
	real := n.cgroups.V2
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	file.Close()
	n.cgroups.V2 = file.Name() // a file where a folder is needed
	if got := n.Observe(t.Context(), g.Name, g); got.Rules != host.Unknown || got.Namespace != host.Present {
		t.Errorf("namespace %v, rules %v; want present and unknown", got.Namespace, got.Rules)
	}
	n.cgroups.V2 = real
}
