package keeper_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/keeper"
)

// nightly is a group that runs each hour. synctest's clock begins at midnight.
func nightly(schedule string) string {
	return `group "nightly" {
  egress = "none"
  schedule {
    cron = "0 * * * *"
    ` + schedule + `
  }
  app "work" { image = "registry.example/work:1" }
}
`
}

// newEvents returns the events of schedules since its last call, the oldest first.
type newEvents func() []string

// withSchedules is withHarness with a group that has a schedule, and its events.
func withSchedules(t *testing.T, schedule string, do func(t *testing.T, h *harness, events newEvents)) {
	t.Helper()
	withHarness(t, func(t *testing.T, h *harness) {
		all := h.journaled()
		h.end()
		before, seen := h.config, 0
		h.config = func(c *keeper.Config) {
			before(c)
			c.RunLimits = keeper.RunLimits{AtOnce: 2, Queued: 2, Keep: 100 * time.Hour, Records: 30}
		}
		h.host.Holds("nightly-")
		h.begin()
		h.mustApply("nightly.hcl", nightly(schedule))
		do(t, h, func() []string {
			texts := all(group.EventSchedule)[seen:]
			seen += len(texts)
			return texts
		})
	})
}

// runsOf returns the IDs and states of the runs, the oldest first.
func (h *harness) runsOf() (ids, states []string) {
	for _, r := range h.keeper.Runs() {
		ids, states = append(ids, r.ID), append(states, string(r.State))
	}
	return ids, states
}

func (h *harness) checkRuns(when string, want ...string) (ids []string) {
	h.t.Helper()
	ids, states := h.runsOf()
	if diff := cmp.Diff(want, states); diff != "" {
		h.t.Errorf("runs %s (-want +got):\n%s", when, diff)
	}
	return ids
}

// checkEvents compares events with what they begin with, up to the time and after it.
func checkEvents(t *testing.T, got []string, want ...string) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("events %q, want %q", got, want)
		return
	}
	for i := range want {
		before, after, _ := strings.Cut("schedule: "+want[i], "*")
		if !strings.HasPrefix(got[i], before) || !strings.Contains(got[i], after) {
			t.Errorf("event %q, want %q", got[i], want[i])
		}
	}
}

func TestSchedule(t *testing.T) {
	withSchedules(t, "", func(t *testing.T, h *harness, events newEvents) {
		st := h.status("nightly")
		if st.State != group.Scheduled || st.Error != "" || st.LastRun != nil {
			t.Errorf("status %+v", st)
		}
		first := st.NextRun
		if first.Minute() != 0 || first.Before(time.Now()) || first.After(time.Now().Add(time.Hour)) {
			t.Errorf("it is %s, and the next run is at %s", time.Now(), first)
		}
		if got := h.host.String(); got != "" {
			t.Errorf("on the host between runs:\n%s", got)
		}
		h.wait(time.Until(first) - time.Second)
		h.checkRuns("before the first time")
		h.wait(2 * time.Second)
		ids := h.checkRuns("at the first time", "running")
		if run := h.runOf(ids[0]); run.By != "schedule nightly" || !run.Detached || run.Group != "nightly" || run.File != "nightly.hcl" {
			t.Errorf("the run: %+v", run)
		}
		if st := h.status("nightly"); st.LastRun == nil || st.LastRun.ID != ids[0] || st.LastRun.State != group.RunRunning || !st.NextRun.Equal(first.Add(time.Hour)) || st.State != group.Scheduled {
			t.Errorf("status during its run: %+v", st)
		}
		checkEvents(t, events(), "the run of *begins: "+ids[0])

		h.wait(time.Hour)
		h.checkRuns("while it goes on", "running")
		checkEvents(t, events(), "the run of *is skipped: "+ids[0]+" still goes on")

		h.exit(ids[0], "work", 3)
		h.wait(0)
		h.checkRuns("after its end", "ended")
		if last := h.status("nightly").LastRun; last == nil || last.ExitStatus == nil || *last.ExitStatus != 3 {
			t.Errorf("last run: %+v", last)
		}
		h.nothingLeft()
		h.wait(time.Hour)
		h.checkRuns("at the next time", "ended", "running")
	})
}

// A daemon that is started again neither repeats nor forgets.
func TestScheduleOverDaemons(t *testing.T) {
	for _, tt := range []struct {
		name, schedule string
		down           time.Duration
		states         []string
		events         []string
	}{
		{"before the next time", "", 0, []string{"ended"}, nil},
		{"missed", "", 150 * time.Minute, []string{"ended"}, []string{"the run of *was missed"}},
		{"missed, and made up for once", `missed = "run"`, 150 * time.Minute, []string{"ended", "running"}, []string{"the run of *late"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			withSchedules(t, tt.schedule, func(t *testing.T, h *harness, events newEvents) {
				h.wait(time.Until(h.status("nightly").NextRun) + time.Second)
				ids := h.checkRuns("at the first time", "running")
				h.exit(ids[0], "work", 0)
				h.wait(0)
				events()
				h.end()
				time.Sleep(tt.down)
				h.begin()
				h.checkRuns("after the daemon", tt.states...)
				checkEvents(t, events(), tt.events...)
				if last := h.status("nightly").LastRun; last == nil {
					t.Error("the last run is not known any more")
				}
				h.nextKeeper()
				h.checkRuns("after one more", tt.states...)
				if next := h.status("nightly").NextRun; !next.After(time.Now()) {
					t.Errorf("the next run is at %s, and it is %s", next, time.Now())
				}
			})
		})
	}
}

// A run that goes on while the daemon is started again goes on, and keeps the next one from
// beginning.
func TestScheduleAdoptsItsRun(t *testing.T) {
	withSchedules(t, "", func(t *testing.T, h *harness, events newEvents) {
		h.wait(time.Until(h.status("nightly").NextRun) + time.Second)
		ids := h.checkRuns("at the first time", "running")
		events()
		h.nextKeeper()
		h.checkRuns("with the next keeper", "running")
		h.wait(time.Hour)
		checkEvents(t, events(), "the run of *is skipped: "+ids[0])
	})
}

func TestScheduleStopped(t *testing.T) {
	withSchedules(t, `missed = "run"`, func(t *testing.T, h *harness, events newEvents) {
		if _, err := h.stop("nightly"); err != nil {
			t.Fatal(err)
		}
		if st := h.status("nightly"); st.State != group.Stopped || !st.NextRun.IsZero() {
			t.Errorf("stopped: %+v", st)
		}
		h.wait(2 * time.Hour)
		h.nextKeeper()
		h.wait(2 * time.Hour)
		h.checkRuns("while it is stopped")
		if err := h.start("nightly"); err != nil {
			t.Fatal(err)
		}
		h.wait(time.Second)
		h.checkRuns("after the start: what came meanwhile was not missed")
		h.wait(time.Until(h.status("nightly").NextRun) + time.Second)
		h.checkRuns("at the next time", "running")
	})
}

func TestScheduleRemoved(t *testing.T) {
	for name, remove := range map[string]func(k *keeper.Keeper) error{
		"the group":    func(k *keeper.Keeper) error { return k.Remove(context.Background(), "nightly", nil) },
		"with volumes": func(k *keeper.Keeper) error { return k.Purge(context.Background(), "nightly", nil) },
		"the file":     func(k *keeper.Keeper) error { return k.RemoveFile(context.Background(), "nightly.hcl", false, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			withSchedules(t, "", func(t *testing.T, h *harness, events newEvents) {
				h.wait(time.Until(h.status("nightly").NextRun) + time.Second)
				h.checkRuns("at the first time", "running")
				if err := remove(h.keeper); err != nil {
					t.Fatal(err)
				}
				h.checkRuns("after the removal", "ended")
				h.nothingLeft()
				h.wait(time.Minute)
				if files, _ := filepath.Glob(filepath.Join(h.layout.StateDir, "schedules", "*")); len(files) > 0 {
					t.Errorf("left: %q", files)
				}
				h.wait(2 * time.Hour)
				h.checkRuns("later", "ended")
			})
		})
	}
}

func TestScheduleChanged(t *testing.T) {
	withSchedules(t, "", func(t *testing.T, h *harness, events newEvents) {
		h.wait(time.Until(h.status("nightly").NextRun) + time.Second)
		ids := h.checkRuns("at the first time", "running")
		h.mustApply("nightly.hcl", strings.ReplaceAll(nightly(`missed = "run"`), "0 * * * *", "*/5 * * * *"))
		h.wait(time.Second)
		h.checkRuns("after the change", "running")
		h.exit(ids[0], "work", 0)
		h.wait(5 * time.Minute)
		h.checkRuns("by the new times", "ended", "running")
	})
}

// A group that ran, and gets a schedule, is taken down. One that loses it runs.
func TestScheduleComesAndGoes(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		service := strings.Replace(nightly(""), "schedule {\n    cron = \"0 * * * *\"\n    \n  }", "", 1)
		h.mustApply("nightly.hcl", service)
		if st := h.status("nightly"); st.State != group.Running {
			t.Fatalf("it is %s", st.State)
		}
		h.mustApply("nightly.hcl", nightly(""))
		if st := h.status("nightly"); st.State != group.Scheduled || st.NextRun.IsZero() {
			t.Errorf("with a schedule: %+v", st)
		}
		if got := h.host.String(); got != "" {
			t.Errorf("on the host:\n%s", got)
		}
		h.mustApply("nightly.hcl", service)
		if st := h.status("nightly"); st.State != group.Running || !st.NextRun.IsZero() {
			t.Errorf("without one: %+v", st)
		}
	})
}

func TestScheduleRefuses(t *testing.T) {
	withSchedules(t, "", func(t *testing.T, h *harness, events newEvents) {
		_, waitErr := h.keeper.Wait(context.Background(), "nightly")
		for verb, err := range map[string]error{"restarted": h.keeper.Restart(context.Background(), "nightly", "", nil), "waited for": waitErr} {
			if want := "group nightly has a schedule, and never runs itself: it can't be " + verb; err == nil || err.Error() != want {
				t.Errorf("%v, want %s", err, want)
			}
		}
	})
}

// A schedule whose image is not there is refused by the apply, and its port is its runs' own.
func TestScheduleNeedsItsImage(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.host.FailNext("image registry.example/work:1", errBoom)
		if _, err := h.apply("nightly.hcl", nightly("")); !errors.Is(err, errBoom) {
			t.Errorf("apply without its image: %v", err)
		}
	})
}

func TestScheduleKeepsItsPort(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.host.Holds("report-")
		text := strings.Replace(report, "{\n", "{\n  schedule { cron = \"0 * * * *\" }\n", 1)
		h.mustApply("report.hcl", text)
		if _, err := h.apply("other.hcl", strings.Replace(report, `"report"`, `"other"`, 1)); err == nil {
			t.Error("another group has got its port")
		}
		h.wait(time.Until(h.status("report").NextRun) + time.Second)
		h.checkRuns("at the first time", "running")
	})
}
