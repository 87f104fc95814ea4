package life

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/machine"
	"github.com/sallyport/sallyport/shim/group"
)

// long is a job whose app does not end by itself. Its app asks for SIGKILL, and its sidecar ignores
// SIGTERM for as long as its grace. %[2]s is the name, and %[3]s is more of the group.
const long = `
group "%[2]s" {
  egress = "none"
  %[3]s
  app "app" {
    image   = "%[1]s"
    command = ["/bin/sleep", "1000"]
    restart { policy = "never" }
    stop    { signal = "SIGKILL" }
  }
  sidecar "side" {
    image   = "%[1]s"
    command = ["/bin/sh", "-c", "trap '' TERM; while true; do sleep 1000; done"]
    stop    { timeout = "100ms" }
  }
}
`

// TestTimeouts ends jobs by their timeouts: under one daemon, under another one that comes after
// the time is over, and after a change of the timeout alone. The control is the same job without
// one.
func TestTimeouts(t *testing.T) {
	m := machine.New(t, "")
	job := func(name, more string) string {
		return m.Write(name+".hcl", fmt.Sprintf(long, machine.AttackImage, name, more))
	}
	checkEnded := func(name, after string) {
		t.Helper()
		said := m.Fails(124, "wait", name, "--timeout", "1m")
		if err := machine.Contains(said, "error: group "+name+" has timed out after "+after+"\n", "hint: ", "sallyport", "start "+name); err != nil {
			t.Error(err)
		}
		g := m.Status(name)
		left := slices.DeleteFunc(m.LeftInContainerd(name+"."), func(what string) bool { return strings.HasPrefix(what, "leases ") }) // of its images
		if g.State != group.Stopped || !g.TimedOut || g.Error != "timed out after "+after || len(left) > 0 {
			t.Errorf("%s is %s, error %q, and there is still %q", name, g.State, g.Error, left)
		}
	}

	m.Run("apply", job("control", ""))
	control := m.Pids("control")
	m.Run("apply", job("late", `timeout = "2s"`))
	if text := m.Run("status", "late"); !strings.Contains(text, "timeout     ends in ") {
		t.Errorf("its status is\n%s", text)
	}
	checkEnded("late", "2s")
	if events := m.Events("late", group.EventState); !strings.HasSuffix(events[len(events)-1].Text, "stopped: timed out after 2s") {
		t.Errorf("events %+v", events)
	}

	// Another timeout restarts nothing, and the run is as old as it is.
	m.Run("apply", job("changed", `timeout = "1h"`))
	before := m.Pids("changed")
	m.Run("apply", job("changed", `timeout = "2h"`))
	if now := m.Pids("changed"); now["app"] == 0 || now["app"] != before["app"] || now["side"] != before["side"] {
		t.Errorf("another timeout: %v, and was %v", now, before)
	}
	if left := time.Until(m.Status("changed").RunEnds); left > 2*time.Hour || left < 119*time.Minute {
		t.Errorf("it has %s left", left)
	}
	_, _ = m.Try("apply", job("changed", `timeout = "1s"`)) // it fails if that is over
	checkEnded("changed", "1s")

	// The time is over while there is no daemon.
	m.Run("apply", job("alone", `timeout = "3s"`))
	ends := m.Status("alone").RunEnds
	m.Kill()
	time.Sleep(time.Until(ends))
	if left := m.LeftInContainerd("alone."); len(left) == 0 {
		t.Fatal("the job has ended without a daemon, so this tests nothing")
	}
	m.Start()
	checkEnded("alone", "3s")

	if now := m.Pids("control"); len(now) != 2 || now["app"] != control["app"] || now["side"] != control["side"] {
		t.Errorf("the job without a timeout was %v, and is %v", control, now)
	}
	m.Run("start", "late") // another run
	checkEnded("late", "2s")
}
