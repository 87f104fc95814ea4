package ctrd

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/ctrd/ctrdtest"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// A shim whose start was cut off listens and never answers. The next task gets another shim. The
// last task of the group takes such a shim along.
func TestRootHungShim(t *testing.T) {
	archive := busyboxArchive(t)
	ctrdtest.EachBinary(t, func(t *testing.T, binary string) {
		s := newServer(t, binary)
		r := newHarness(t, s.client, archive, script("web", spec.App, "sleep 1000"), script("ship", spec.Sidecar, "sleep 1000"))
		s.hungShim("g.web")
		if err := r.c.Create(t.Context(), r.request("web")); err != nil {
			t.Fatal(err)
		}
		r.start("web")
		r.removeAll()
		r.noLeftovers()

		s.hungShim("g.web")
		r.removeAll()
		r.nothing()
		r.noLeftovers()
	})
}

// hungShim starts a shim as the oldest containerd does, without a reader of its log.
func (s *server) hungShim(id string) {
	s.t.Helper()
	bundle := filepath.Join(ctrdtest.ShortDir(s.t), id)
	if err := unix.Mkdir(bundle, 0o700); err != nil {
		s.t.Fatal(err)
	}
	if err := unix.Mkfifo(filepath.Join(bundle, "log"), 0o700); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(bundle, "config.json"), []byte(`{"annotations": {"io.containerd.runc.v2.group": "g"}}`), 0o600); err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.Command("containerd-shim-runc-v2", "-namespace", s.client.cfg.Layout.Namespace, "-address", s.client.cfg.Address, "-publish-binary", s.cfg.Binary, "-id", id, "start")
	cmd.Dir = bundle
	cmd.Env = append(cmd.Environ(), "TTRPC_ADDRESS="+s.client.cfg.Address+".ttrpc", "GRPC_ADDRESS="+s.client.cfg.Address)
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("start a shim: %v: %s", err, out)
	}
	if !s.client.shimListens("g") {
		s.t.Fatal("it doesn't listen, so this proves nothing")
	}
}

// freeze stops a process, and returns when no thread of it runs any more. On a busy machine that
// takes a while.
func (r *harness) freeze(pid int) {
	r.Helper()
	if err := unix.Kill(pid, unix.SIGSTOP); err != nil {
		r.Fatal(err)
	}
	r.eventually("every thread stands still", func() bool {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		return err == nil && !slices.ContainsFunc(threads, func(path string) bool {
			stat, _ := os.ReadFile(path)
			return !bytes.Contains(stat, []byte(") T "))
		})
	})
}

// A silent shim whose containers run is not ended. The hint has its number.
func TestRootSilentShim(t *testing.T) {
	archive := busyboxArchive(t)
	ctrdtest.EachBinary(t, func(t *testing.T, binary string) {
		s := newServer(t, binary)
		r := newHarness(t, s.client, archive, script("web", spec.App, "sleep 1000"), script("ship", spec.Sidecar, "sleep 1000"))
		r.run()
		if err := r.c.Remove(t.Context(), "g", "web"); err != nil {
			t.Fatal(err)
		}
		before := r.state("ship")
		pid := r.parent(before.PID)
		r.freeze(pid)
		r.c.shimAnswers = time.Second
		err := r.c.endHungShim(r.ctx(), "g", 1)
		var p *hint.Error
		if !errors.As(err, &p) {
			t.Errorf("no problem: %v", err)
		}
		if err := unix.Kill(pid, unix.SIGCONT); err != nil {
			t.Fatal(err)
		}
		r.c.shimAnswers = shimAnswers
		if now := r.state("ship"); now.PID != before.PID || now.Task != host.TaskRunning {
			t.Errorf("it was %+v, and is %+v", before, now)
		}
		if err := r.c.Create(t.Context(), r.request("web")); err != nil {
			t.Error(err)
		}
		r.removeAll()
		r.noLeftovers()
	})
}

// A shim is busy with one container for longer than it may take to answer, and then goes on. That
// is not an error of the next container.
func TestRootBusyShim(t *testing.T) {
	archive := busyboxArchive(t)
	ctrdtest.EachBinary(t, func(t *testing.T, binary string) {
		s := newServer(t, binary)
		r := newHarness(t, s.client, archive, script("web", spec.App, "sleep 1000"), script("ship", spec.Sidecar, "sleep 1000"))
		r.run()
		if err := r.c.Remove(t.Context(), "g", "web"); err != nil {
			t.Fatal(err)
		}
		pid := r.parent(r.state("ship").PID)
		r.freeze(pid)
		r.c.shimAnswers = 2 * time.Second
		goesOn := time.AfterFunc(r.c.shimAnswers+r.c.shimAnswers/2, func() { _ = unix.Kill(pid, unix.SIGCONT) })
		defer goesOn.Stop()
		if err := r.c.Create(t.Context(), r.request("web")); err != nil {
			t.Error(err)
		}
		r.removeAll()
		r.noLeftovers()
	})
}
