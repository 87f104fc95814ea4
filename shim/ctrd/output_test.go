package ctrd

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/spec"
)

// A shim whose disk was full copies no more. Its containers are found, whichever of their outputs
// it was. Those that are copied are not, however much they print, nor one that has closed an output
// by itself.
func TestRootEndedOutputs(t *testing.T) {
	archive := busyboxArchive(t)
	eachServer(t, func(t *testing.T, c *Client) {
		logs := filepath.Dir(c.cfg.Layout.LogPath("g", "any"))
		if err := os.MkdirAll(logs, 0o750); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mount("logs", logs, "tmpfs", 0, "size=64m"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Unmount(logs, unix.MNT_DETACH) })
		const line = "0123456789012345678901234567890123456789"
		const until = "until [ -e /go ]; do sleep 0.1; done; "
		r := newHarness(t, c, archive,
			script("busy", spec.App, "until [ -e /print ]; do sleep 0.1; done; while [ ! -e /go ]; do echo "+line+"; done; exec sleep 1000"),
			script("out", spec.App, until+"while :; do echo "+line+"; sleep 0.01; done"),
			script("err", spec.App, until+"while :; do echo "+line+" >&2; sleep 0.01; done"),
			script("loud", spec.App, until+"while :; do echo "+line+"; done"),
			split(script("out-apart", spec.App, until+"while :; do echo "+line+"; sleep 0.01; done")),
			split(script("err-apart", spec.App, until+"while :; do echo "+line+" >&2; sleep 0.01; done")),
			script("closed", spec.App, "exec >/dev/null; "+until+"while :; do echo "+line+" >&2; sleep 0.01; done"),
			script("quiet", spec.App, "exec sleep 1000"))
		r.run()
		pids := map[string]uint32{}
		for _, s := range r.states("g") {
			pids[s.Name] = s.PID
		}
		r.exec("busy", "touch /print")
		r.says("busy", line)
		for range 5 {
			if ended, err := c.EndedOutputs(t.Context(), "g", pids); len(ended) > 0 || err != nil {
				t.Fatalf("control, while all is copied: %q, %v", ended, err)
			}
		}
		r.exec("busy", "touch /go")
		r.eventually("the busy one prints no more", func() bool { return comm(r.state("busy").PID) == "sleep" })
		full := fill(t, logs)
		for _, name := range []string{"out", "err", "loud", "out-apart", "err-apart", "closed"} {
			r.exec(name, "touch /go")
		}
		want := []string{"err", "err-apart", "loud", "out", "out-apart"}
		var found []string
		for end := time.Now().Add(time.Minute); !slices.Equal(found, want) && time.Now().Before(end); {
			var err error
			if found, err = c.EndedOutputs(t.Context(), "g", pids); len(found) > 0 && !errors.Is(err, unix.ENOSPC) {
				t.Errorf("on a full disk: %v", err)
			}
		}
		if !slices.Equal(found, want) {
			t.Errorf("on a full disk: found %q, want %q", found, want)
		}
		if err := os.Remove(full); err != nil {
			t.Fatal(err)
		}
		if found, err := c.EndedOutputs(t.Context(), "g", pids); !slices.Equal(found, want) || err != nil {
			t.Errorf("with space again: found %q, %v", found, err)
		}
		if left, _ := filepath.Glob(filepath.Join(logs, ".*")); len(left) > 0 {
			t.Errorf("left in the log folder: %q", left)
		}
	})
}

// fill leaves no free byte in a folder, and returns the file that takes them.
func fill(t *testing.T, dir string) string {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "ballast"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	return f.Name()
}

// Only a shim of ours is looked at. Anything else that a container's process may be a child of is
// not.
func TestEndedOutputsOfAStranger(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	child := exec.Command("sh", "-c", "echo said; exec sleep 1000")
	child.Stdout, child.Stderr = w, w
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer child.Wait()
	defer child.Process.Kill()
	pids := map[string]uint32{"web": uint32(child.Process.Pid)}
	if ended, err := (&Client{}).EndedOutputs(t.Context(), "g", pids); len(ended) > 0 || err != nil {
		t.Errorf("found %q, %v", ended, err)
	}
	pipes, _ := new(shimPipes).openOutputs(os.Getpid(), child.Process.Pid)
	defer pipes.close()
	for end := time.Now().Add(time.Minute); len(pipes) == 2 && pipes.waiting()[0] == 0 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	if n := pipes.waiting(); len(n) != 2 || n[0] != len("said\n") || n[1] != n[0] {
		t.Errorf("control: %v bytes wait in its pipes", n)
	}
}

// comm returns the name of a process.
func comm(pid uint32) string {
	name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	return strings.TrimSpace(string(name))
}
