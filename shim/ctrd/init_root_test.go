package ctrd

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/reaper"
	"github.com/sallyport/sallyport/spec"
)

// With an init a process whose parent has ended is waited for, and the program's status is the
// container's.
func TestRootInit(t *testing.T) {
	archive := busyboxArchive(t)
	eachServer(t, func(t *testing.T, c *Client) {
		reaped := script("reaped", spec.App, `sh -c 'true & echo $! > /tmp/orphan'; while test -d /proc/$(cat /tmp/orphan); do sleep 0.1; done
			echo reaped by $(cat /proc/1/cmdline); kill -USR1 $$`)
		reaped.Init = true
		r := newHarness(t, c, archive, reaped)
		r.run()
		if out, s := r.ended("reaped"); !strings.HasPrefix(out, "reaped by "+reaper.Path) || s.ExitStatus != 128+uint32(unix.SIGUSR1) {
			t.Errorf("status %d and output %q", s.ExitStatus, out)
		}
		r.removeAll()
	})
}
