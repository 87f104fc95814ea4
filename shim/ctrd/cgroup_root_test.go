package ctrd

import (
	"errors"
	"os"
	"testing"

	"github.com/sallyport/sallyport/netns/cgroup"
	"github.com/sallyport/sallyport/shim/ctrd/ctrdtest"
	"github.com/sallyport/sallyport/spec"
)

// The runtime takes away what it has made, and not the container's cgroup above it: rules that name
// that one by its number stay right when the container is restarted or replaced.
func TestRootCgroupOutlivesContainer(t *testing.T) {
	ctrdtest.NeedRoot(t)
	archive := busyboxArchive(t)
	h, err := cgroup.FindHierarchies()
	if err != nil {
		t.Fatal(err)
	}
	eachServer(t, func(t *testing.T, c *Client) {
		r := newHarness(t, c, archive, script("proxy", spec.Ambassador, "exit 3"), script("web", spec.App, "exit 5"))
		l := c.cfg.Layout
		paths := map[string]string{"proxy": l.ContainerCgroup("g", spec.Ambassador, "proxy"), "web": l.ContainerCgroup("g", spec.App, "web")}
		made := map[string]cgroup.Cgroup{}
		for name, path := range paths {
			if made[name], err = h.Make(path); err != nil {
				t.Fatal(err)
			}
		}
		for _, what := range []string{"first", "restarted", "replaced"} {
			if what == "replaced" {
				*r.group.Container("web") = script("web", spec.App, "exit 6")
			}
			r.create()
			for name := range paths {
				leaf := l.CgroupPath("g", r.group.Container(name).Role, name)
				if got, err := cgroupOf(c, "g", name); err != nil || got != leaf {
					t.Errorf("%s %s is in %s, %v; want %s", what, name, got, err, leaf)
				}
				r.start(name)
				r.ended(name)
				if err := c.Remove(t.Context(), "g", name); err != nil {
					t.Fatal(err)
				}
				if _, err := h.Find(leaf); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("%s %s left the runtime's cgroup: %v", what, name, err)
				}
				if now, err := h.Find(paths[name]); err != nil || now != made[name] {
					t.Errorf("%s %s: its cgroup is %v, %v; want %v", what, name, now, err, made[name])
				}
			}
		}
	})
}
