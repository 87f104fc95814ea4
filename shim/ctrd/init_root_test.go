package ctrd

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/reaper"
	"github.com/sallyport/sallyport/spec"
)

// With an init a process whose parent has ended is waited for, and the program's status is the
// container's. A container that may have no more processes keeps its init, which goes on passing
// signals to the program.
func TestRootInit(t *testing.T) {
	archive := busyboxArchive(t)
	eachServer(t, func(t *testing.T, c *Client) {
		reaped := script("reaped", spec.App, `sh -c 'true & echo $! > /tmp/orphan'; while test -d /proc/$(cat /tmp/orphan); do sleep 0.1; done
			echo reaped by $(cat /proc/1/cmdline); busybox grep ' /dev/init ' /proc/1/mountinfo; kill -USR1 $$`)
		reaped.Init = true
		const most = 24
		full := script("full", spec.App, fmt.Sprintf(`n=0; trap 'n=$((n+1)); echo signal $n.' USR1; trap 'exit 9' TERM
			now=/sys/fs/cgroup/pids.current; test -f $now || now=/sys/fs/cgroup/pids/pids.current
			while read -r has < $now; test $has -lt %[1]d; do sleep 1000 & done; echo full; while read -r has < $now; do test $has -eq %[1]d || echo no more; done`, most))
		full.Init, full.Resources.PIDs = true, most
		r := newHarness(t, c, archive, reaped, full)
		r.run()
		if out, s := r.ended("reaped"); !strings.HasPrefix(out, "reaped by "+reaper.Path) || s.ExitStatus != 128+uint32(unix.SIGUSR1) {
			t.Errorf("status %d and output %q", s.ExitStatus, out)
		} else if !strings.Contains(out, c.reaper.path) {
			t.Errorf("it runs the daemon's own program and not the copy %s: %s", c.reaper.path, out)
		}
		r.says("full", "full")
		for n := range 50 {
			if _, err := c.Signal(t.Context(), "g", "full", unix.SIGUSR1); err != nil {
				t.Fatal(err)
			}
			r.says("full", fmt.Sprintf("signal %d.", n+1))
		}
		if _, err := c.Signal(t.Context(), "g", "full", unix.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if out, s := r.ended("full"); s.ExitStatus != 9 || strings.Contains(out, "no more") {
			t.Errorf("at its limit of processes it ended with status %d and output %q", s.ExitStatus, out)
		}
		r.removeAll()
	})
}
