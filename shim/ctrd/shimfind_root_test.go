package ctrd

import (
	"os"
	"testing"

	"github.com/sallyport/sallyport/shim/ctrd/ctrdtest"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// The shim at the group's socket is the one that is asked and gives no answer. One whose socket is
// gone, and whose containers run, is not.
func TestRootHungShimIsTheOneAtTheSocket(t *testing.T) {
	archive := busyboxArchive(t)
	ctrdtest.EachBinary(t, func(t *testing.T, binary string) {
		s := newServer(t, binary)
		r := newHarness(t, s.client, archive, script("web", spec.App, "sleep 1000"))
		r.run()
		web := r.state("web")
		if err := os.Remove(r.c.shimSocket("g")); err != nil {
			t.Fatal(err)
		}
		hung := s.emptyShim("g.next", true)
		if pid, children := r.c.shimProcess("g"); pid != hung || children != 0 {
			t.Errorf("the shim is process %d with %d children, want %d with none", pid, children, hung)
		}
		if err := r.c.endHungShim(r.ctx(), "g", 1); err != nil {
			t.Error(err)
		}
		if shims, _ := r.c.shimProcesses(); shims[hung] != "" {
			t.Errorf("process %d has not ended", hung)
		}
		if now := r.state("web"); now.PID != web.PID || now.Task != host.TaskRunning {
			t.Errorf("it was %+v, and is %+v", web, now)
		}
		r.removeAll()
		r.noLeftovers()
	})
}

// A shim that was empty when it was looked at, and has had a task since, is not killed: containerd
// would lose how the task has ended.
func TestRootShimThatIsEmptyNoMore(t *testing.T) {
	archive := busyboxArchive(t)
	ctrdtest.EachBinary(t, func(t *testing.T, binary string) {
		s := newServer(t, binary)
		r := newHarness(t, s.client, archive, script("web", spec.App, "exit 3"))
		r.run()
		r.eventually("it has ended", func() bool { return r.state("web").Task == host.TaskStopped })
		shims, _ := r.c.shimProcesses()
		for pid, container := range shims {
			_, _, started := processStat(pid)
			if err := r.c.endEmptyShim(t.Context(), pid, emptyShim{container: container, started: started}); err != nil {
				t.Error(err)
			}
			if !r.c.alive(pid, emptyShim{container: container, started: started}) {
				t.Errorf("the shim of %s was killed", container)
			}
		}
		if now := r.state("web"); len(shims) != 1 || now.Task != host.TaskStopped || now.ExitStatus != 3 {
			t.Errorf("of %d shims, what had ended with 3 is %+v", len(shims), now)
		}
		r.removeAll()
		r.noLeftovers()
	})
}
