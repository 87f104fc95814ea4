package ctrd

import (
	"testing"

	"github.com/sallyport/sallyport/netns/netnstest"
	"github.com/sallyport/sallyport/shim/ctrd/ctrdtest"
	"github.com/sallyport/sallyport/spec"
)

// A look at the output of a group costs three system calls while nothing in it runs, and a few for
// each container otherwise. Another container of the group changes that for itself alone.
//
// The calls of the whole process are counted, so there is one containerd. It has no part in a look.
func TestRootLooksAtOutputAreCheap(t *testing.T) {
	ctrdtest.NeedRoot(t)
	counter := netnstest.NewCallCounter(t)
	const idle, each = 3, 16 // calls of a group, and of each of its containers
	archive := busyboxArchive(t)
	c, _ := startServer(t, ctrdtest.Newest(t))
	r := newHarness(t, c, archive,
		script("web", spec.App, "exec sleep 1000"),
		script("ship", spec.Sidecar, "exec sleep 1000"),
		script("closed", spec.Sidecar, "exec >/dev/null; exec sleep 1000"))
	r.run()
	pids := map[string]uint32{}
	for _, s := range r.states("g") {
		pids[s.Name] = s.PID
	}
	r.eventually("each has begun to sleep", func() bool {
		return comm(pids["web"]) == "sleep" && comm(pids["ship"]) == "sleep" && comm(pids["closed"]) == "sleep"
	})
	look := func() (calls int) {
		return counter.Count(func() {
			if ended, err := c.EndedOutputs(t.Context(), "g", pids); len(ended) > 0 || err != nil {
				t.Errorf("found %q, %v", ended, err)
			}
		})
	}
	first := look()
	r.eventually("nothing in it runs any more", func() bool { return look() <= idle })
	r.exec("web", "true")
	if n := look(); n <= idle || n > idle+each*len(pids) {
		t.Errorf("%d calls after a process has run, want more than %d and at most %d", n, idle, idle+each*len(pids))
	}
	t.Logf("the first look made %d calls", first)
}
