package keeper_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hosttest"
	"github.com/sallyport/sallyport/shim/keeper"
	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/spec"
)

func TestOfflineShowsUnsafeSettings(t *testing.T) {
	got := keeper.Offline(layout.Layout{CgroupRoot: "/sallyport"}, []spec.Group{*hosttest.Checkout(hosttest.EveryDoor)})
	want := []string{
		"proxy (ambassador) has NET_ADMIN: it can change the group's rules; what keeps members in is the fence alone",
		"proxy (ambassador) has NET_RAW: it sees what members send on loopback, and sends packets of any form",
	}
	if diff := cmp.Diff(want, got[0].Unsafe); diff != "" {
		t.Errorf("unsafe settings (-want +got):\n%s", diff)
	}
}

func TestOffline(t *testing.T) {
	got := keeper.Offline(layout.Layout{CgroupRoot: "/sallyport"}, []spec.Group{*hosttest.Sealed()})
	want := []group.Preview{{Group: "sealed", Steps: []string{
		"pin namespace sealed, deny everything in it", "admit no container of sealed to the world", "create web (app)", "start web (app)",
	}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("offline (-want +got):\n%s", diff)
	}
}
