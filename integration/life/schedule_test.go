package life

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/machine"
	"github.com/sallyport/sallyport/shim/group"
)

// yearly is a group whose time comes when no test runs.
const yearly = `
group "yearly" {
  egress = "none"
  schedule {
    cron     = "0 0 1 1 *"
    timezone = "Europe/Berlin"
    missed   = "run"
  }
  app "work" {
    image   = "%s"
    command = ["/bin/sh", "-c", "echo ran; exit 7"]
  }
}
`

// TestScheduleMissed has a daemon that was down when a group was to run. It makes up for that once.
func TestScheduleMissed(t *testing.T) {
	h := newRunHarness(t)
	file := h.Write("yearly.hcl", fmt.Sprintf(yearly, machine.AttackImage))
	if got := h.Run("plan", file); !strings.Contains(got, "schedule yearly: next run ") {
		t.Errorf("plan: %q", got)
	}
	if got := h.All("apply", file); !strings.Contains(got, "yearly is scheduled, next at ") {
		t.Errorf("apply: %q", got)
	}
	if st := h.Status("yearly"); st.State != group.Scheduled || st.NextRun.IsZero() || st.LastRun != nil {
		t.Errorf("status: %+v", st)
	}
	// The lease holds its image. Nothing else of it is there.
	if left := h.LeftInContainerd("yearly"); !slices.Equal(left, []string{"leases sallyport.yearly.1"}) {
		t.Errorf("between runs it has %q", left)
	}
	if got := h.Fails(1, "restart", "yearly"); !strings.Contains(got, "has a schedule, and never runs itself") {
		t.Errorf("restart: %q", got)
	}

	h.Stop()
	path := filepath.Join(h.Root, "state", "schedules", "yearly.json")
	var kept map[string]any
	data, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(data, &kept)
	}
	if err != nil {
		t.Fatal(err)
	}
	kept["handled"] = time.Now().Add(-3 * 366 * 24 * time.Hour)
	if data, err = json.Marshal(kept); err == nil {
		err = os.WriteFile(path, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	h.Start()
	var last *group.Run
	machine.Eventually(t, time.Minute, "the missed run has ended", func() error {
		if last = h.Status("yearly").LastRun; last == nil || !last.State.Over() {
			return fmt.Errorf("the last run is %+v", last)
		}
		return nil
	})
	if last.ExitCode() != 7 || last.By != "schedule yearly" {
		t.Errorf("the run: %+v", last)
	}
	if got := h.Run("logs", last.ID); !strings.Contains(got, "ran") {
		t.Errorf("its output is %q", got)
	}
	h.nothingLeft(t, last.ID)

	h.Stop()
	h.Start()
	runs, err := h.client.Runs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	runs = slices.DeleteFunc(runs, func(r group.Run) bool { return r.Group != "yearly" })
	if len(runs) != 1 || h.Status("yearly").LastRun == nil {
		t.Errorf("after one more daemon there are the runs %+v", runs)
	}
	h.Run("rm", "yearly")
	if _, err := os.Stat(path); err == nil {
		t.Error("its removal has left what was known of its runs")
	}
}
