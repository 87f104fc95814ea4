package layout_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/spec"
)

// The places are on the disks of running hosts: a change of one of them fails here.
func TestPlaces(t *testing.T) {
	l := layout.Layout{RunDir: "/run/s", StateDir: "/var/lib/s", LogDir: "/var/log/s", CgroupRoot: "/sallyport"}
	want := map[string]string{
		"socket":             "/run/s/sallyport.sock",
		"namespace":          "/run/s/netns/shop",
		"volume":             "/run/s/volumes/shop/data",
		"persistent volume":  "/var/lib/s/volumes/shop/data",
		"files":              "/run/s/files/shop/web",
		"log":                "/var/log/s/shop/web.log",
		"standard error":     "/var/log/s/shop/web.err.log",
		"events":             "/var/lib/s/events",
		"logins":             "/var/lib/s/registries.json",
		"proofs":             "/var/lib/s/proofs",
		"forwarding":         "/run/s/forwarding",
		"unjudged":           "/run/s/unjudged",
		"unwritten":          "/run/s/unwritten",
		"looks":              "/run/s/looks",
		"denials":            "/run/s/seen/shop.json",
		"cgroup":             "/sallyport/shop",
		"cgroup, ambassador": "/sallyport/shop/ambassador/proxy",
		"cgroup, sidecar":    "/sallyport/shop/members/shipper",
		"cgroup, init":       "/sallyport/shop/members/migrate",
		"cgroup, app":        "/sallyport/shop/members/web",
		"leaf, ambassador":   "/sallyport/shop/ambassador/proxy/leaf",
		"leaf, app":          "/sallyport/shop/members/web/leaf",
	}
	got := map[string]string{
		"socket":             l.Socket(),
		"namespace":          l.NetnsPath("shop"),
		"volume":             l.VolumePath("shop", "data"),
		"persistent volume":  l.PersistentPath("shop", "data"),
		"files":              l.FilesPath("shop", "web"),
		"log":                l.LogPath("shop", "web"),
		"standard error":     l.ErrLogPath("shop", "web"),
		"events":             l.EventsDir(),
		"logins":             l.LoginsPath(),
		"proofs":             l.ProofsDir(),
		"forwarding":         l.ForwardingPath(),
		"unjudged":           l.UnjudgedPath(),
		"unwritten":          l.UnwrittenDir(),
		"looks":              l.LooksDir(),
		"denials":            l.DenialsPath("shop"),
		"cgroup":             l.GroupCgroup("shop"),
		"cgroup, ambassador": l.ContainerCgroup("shop", spec.Ambassador, "proxy"),
		"cgroup, sidecar":    l.ContainerCgroup("shop", spec.Sidecar, "shipper"),
		"cgroup, init":       l.ContainerCgroup("shop", spec.Init, "migrate"),
		"cgroup, app":        l.ContainerCgroup("shop", spec.App, "web"),
		"leaf, ambassador":   l.CgroupPath("shop", spec.Ambassador, "proxy"),
		"leaf, app":          l.CgroupPath("shop", spec.App, "web"),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("places (-want +got):\n%s", diff)
	}
}
