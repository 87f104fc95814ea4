package ctrd

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/ctrd/ctrdtest"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// A shim that has no task and stays is ended, whether it can be asked to or not. One that has a
// task stays, also if the task's program has ended.
func TestRootEmptyShims(t *testing.T) {
	archive := busyboxArchive(t)
	ctrdtest.EachBinary(t, func(t *testing.T, binary string) {
		s := newServer(t, binary)
		r := newHarness(t, s.client, archive, script("web", spec.App, "sleep 1000"))
		// As if another shim of the group had removed its socket while that one ended.
		unreachable := s.emptyShim("g.web", false)
		if err := os.Remove(r.c.shimSocket("g")); err != nil {
			t.Fatal(err)
		}
		r.run()
		web := r.state("web").PID
		r.createAs("ended", script("app", spec.App, "exit 3"))
		r.eventually("it has ended", func() bool { return r.states("ended")[0].Task == host.TaskStopped })

		gone := []int{unreachable, s.emptyShim("answers.app", false), s.emptyShim("silent.app", true)}
		if err := r.c.EndEmptyShims(t.Context()); err != nil {
			t.Error(err)
		}
		r.eventually("the empty shims end", func() bool {
			shims, _ := r.c.shimProcesses()
			return shims[gone[0]]+shims[gone[1]]+shims[gone[2]] == ""
		})
		if now := r.state("web"); now.PID != web || now.Task != host.TaskRunning {
			t.Errorf("what ran was process %d, and is %+v", web, now)
		}
		if now := r.states("ended")[0]; now.Task != host.TaskStopped || now.ExitStatus != 3 {
			t.Errorf("what had ended with 3 is %+v", now)
		}
		if err := r.c.Remove(t.Context(), "ended", "app"); err != nil {
			t.Error(err)
		}
		r.removeAll()
		r.noLeftovers()
	})
}

// createAs makes and starts a container of another group.
func (r *harness) createAs(group string, c spec.Container) {
	r.Helper()
	pinNetns(r, r.c.cfg.Layout.NetnsPath(group))
	g := &spec.Group{Name: group, Containers: []spec.Container{c}}
	if err := r.c.Create(r.Context(), host.CreateRequest{Group: g, Container: c, Image: r.image, Generation: 7}); err != nil {
		r.Fatal(err)
	}
	if err := r.c.Start(r.Context(), group, c.Name); err != nil {
		r.Fatal(err)
	}
}

// emptyShim starts a shim without a task as containerd does, and returns its process. A silent one
// waits for a reader of its log, and answers no call.
func (s *server) emptyShim(id string, silent bool) int {
	s.t.Helper()
	bundle := filepath.Join(ctrdtest.ShortDir(s.t), id)
	if err := unix.Mkdir(bundle, 0o700); err != nil {
		s.t.Fatal(err)
	}
	log := filepath.Join(bundle, "log")
	if err := unix.Mkfifo(log, 0o700); err != nil {
		s.t.Fatal(err)
	}
	if !silent {
		reader, err := os.OpenFile(log, os.O_RDWR, 0)
		if err != nil {
			s.t.Fatal(err)
		}
		s.t.Cleanup(func() { reader.Close() })
	}
	annotations := fmt.Sprintf(`{"annotations": {"io.containerd.runc.v2.group": %q}}`, groupOf(id))
	if err := os.WriteFile(filepath.Join(bundle, "config.json"), []byte(annotations), 0o600); err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.Command("containerd-shim-runc-v2", "-namespace", s.client.cfg.Layout.Namespace, "-address", s.client.cfg.Address, "-publish-binary", s.cfg.Binary, "-id", id, "start")
	cmd.Dir = bundle
	cmd.Env = append(cmd.Environ(), "TTRPC_ADDRESS="+s.client.cfg.Address+".ttrpc", "GRPC_ADDRESS="+s.client.cfg.Address)
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("start a shim: %v: %s", err, out)
	}
	shims, _ := s.client.shimProcesses()
	for pid, of := range shims {
		if of == id {
			return pid
		}
	}
	s.t.Fatalf("its process isn't found among %v, so this proves nothing", shims)
	return 0
}
