package keeper_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/hosttest"
	"github.com/sallyport/sallyport/shim/keeper"
	"github.com/sallyport/sallyport/shim/plan"
	"github.com/sallyport/sallyport/shim/store"
)

// timedBatch is batch with half a minute, and an app that is tried again after a failure.
var timedBatch = edited(batch, `"batch" {`, "\"batch\" {\n  timeout = \"30s\"", `"never"`, `"on-failure"`)

// A timeline is the life of a job, by the time since its first start.
type timeline struct {
	*harness
	began time.Time
}

// at waits until then.
func (l timeline) at(since time.Duration) { l.wait(time.Until(l.began.Add(since))) }

// run waits until then, and checks that the job runs. over does, and checks that its time is over.
func (l timeline) run(since time.Duration) {
	l.t.Helper()
	l.at(since)
	if st := l.status("batch"); st.State != group.Running || st.TimedOut || l.host.Running("batch") != 3 {
		l.t.Errorf("after %s it is %s, error %q, timed out %v:\n%s", since, st.State, st.Error, st.TimedOut, l.host)
	}
}

func (l timeline) over(since time.Duration, why string) {
	l.t.Helper()
	l.at(since)
	st := l.status("batch")
	if st.State != group.Stopped || st.Error != why || !st.TimedOut || !st.Ended || !st.RunEnds.IsZero() || l.host.String() != "" {
		l.t.Errorf("after %s it is %s, error %q, timed out %v, ends %s:\n%s", since, st.State, st.Error, st.TimedOut, st.RunEnds, l.host)
	}
}

func (l timeline) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Error(err)
	}
}

const justBefore, after30 = 30*time.Second - time.Millisecond, "timed out after 30s"

// A job whose time is over goes down in the usual order, and nothing but an operator runs it again.
func TestAJobIsEndedByItsTimeout(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		events := h.journaled()
		l := timeline{h, time.Now()}
		h.mustApply("batch.hcl", timedBatch)
		if st := h.status("batch"); !st.RunEnds.Equal(l.began.Add(30 * time.Second)) {
			t.Errorf("it ends at %s, %s from its start", st.RunEnds, st.RunEnds.Sub(l.began))
		}
		l.run(justBefore)
		l.over(30*time.Second, after30)
		h.stopped("web", "shipper", "proxy")
		all := events(group.EventState)
		if last := all[len(all)-1]; last != "state: stopped: timed out after 30s" {
			t.Errorf("the last event is %q", last)
		}
		if _, err := h.apply("batch.hcl", timedBatch); err == nil || !strings.Contains(err.Error(), after30) {
			t.Errorf("an apply without a change: %v", err)
		}
		previews, err := h.keeper.Preview(t.Context(), bundles("batch.hcl", timedBatch))
		if want := "its time was over, timed out after 30s; an unchanged file doesn't run it again, \"sallyport start batch\" does"; err != nil || previews[0].Ended != want {
			t.Errorf("preview %+v, %v", previews, err)
		}
		h.nextKeeper()
		l.over(time.Hour, after30)
		h.boot()
		l.over(2*time.Hour, after30)
		h.remove("batch.hcl")
		if _, err := os.Stat(h.runFile()); !os.IsNotExist(err) {
			t.Errorf("its run is not forgotten: %v", err)
		}
	})
}

func (h *harness) runFile() string { return filepath.Join(h.layout.StateDir, "timeouts", "batch.json") }

// Wait distinguishes the end by the timeout from an end of the apps, and from one by an operator.
func TestWaitForAJobThatIsTimedOut(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(h *harness)
		want string
		is   error
	}{
		{"it is over", func(*harness) {}, "group batch has timed out after 30s", group.ErrTimedOut},
		{"it was over under another daemon", func(h *harness) { h.wait(time.Minute); h.nextKeeper() }, "group batch has timed out after 30s", group.ErrTimedOut},
		{"its app ends", func(h *harness) { h.exit("batch", "web", 0) }, "", nil},
		{"it is stopped", func(h *harness) { _, _ = h.stop("batch") }, "group batch was stopped before it had completed", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			withHarness(t, func(t *testing.T, h *harness) {
				h.mustApply("batch.hcl", timedBatch)
				tt.do(h)
				status, err := h.keeper.Wait(t.Context(), "batch")
				if status != 0 || hint.Text(err) != tt.want || errors.Is(err, group.ErrTimedOut) != (tt.is != nil) {
					t.Errorf("status %d, error %v, want %q", status, err, tt.want)
				}
			})
		})
	}
}

// The time of a run goes on through everything but what begins another run.
func TestTheTimeOfARun(t *testing.T) {
	start := func(l timeline) { l.must(l.start("batch")) }
	for _, tt := range []struct {
		name string
		live func(l timeline)
	}{
		{"the app fails and is started again", func(l timeline) {
			for at := 10 * time.Second; at < 25*time.Second; at += 5 * time.Second {
				l.at(at)
				l.exit("batch", "web", 1)
			}
			l.run(29 * time.Second)
			l.over(30*time.Second, after30)
		}},
		{"the app waits to be started again", func(l timeline) {
			l.host.ExitAtOnce("batch", "web", 1)
			l.exit("batch", "web", 1)
			l.over(30*time.Second, after30)
		}},
		{"another daemon", func(l timeline) {
			l.at(20 * time.Second)
			l.end()
			l.at(25 * time.Second)
			l.begin()
			l.run(justBefore)
			l.over(30*time.Second, after30)
		}},
		{"no daemon when it is over", func(l timeline) {
			l.at(20 * time.Second)
			l.end()
			l.at(50 * time.Second)
			if l.host.Running("batch") != 3 {
				l.t.Fatalf("without a daemon:\n%s", l.host)
			}
			l.host.ForgetOperations()
			l.begin()
			l.over(50*time.Second, after30)
			l.stopped("web", "shipper", "proxy")
		}},
		{"no daemon when it is over, and the app has ended", func(l timeline) {
			l.at(20 * time.Second)
			l.end()
			l.at(40 * time.Second)
			l.host.Exit("batch", "web", 0)
			l.begin()
			if st := l.status("batch"); st.State != group.Completed || st.TimedOut || st.Error != "" {
				l.t.Errorf("%s, error %q", st.State, st.Error)
			}
		}},
		{"a boot", func(l timeline) {
			l.at(10 * time.Second)
			l.end()
			l.host.Reboot()
			l.at(20 * time.Second)
			l.begin()
			l.run(justBefore)
			l.over(30*time.Second, after30)
		}},
		{"a boot after it was over", func(l timeline) {
			l.at(10 * time.Second)
			l.end()
			l.host.Reboot()
			l.at(time.Minute)
			l.host.ForgetOperations()
			l.begin()
			l.over(time.Minute, after30)
			for _, op := range l.host.Operations() {
				if strings.HasPrefix(op, "start") || strings.HasPrefix(op, "create") {
					l.t.Errorf("after the boot: %s", op)
				}
			}
		}},
		{"a restart of a sidecar", func(l timeline) {
			l.at(10 * time.Second)
			l.must(l.keeper.Restart(context.Background(), "batch", "shipper", nil))
			l.run(justBefore)
			l.over(30*time.Second, after30)
		}},
		{"another sidecar", func(l timeline) {
			l.at(10 * time.Second)
			l.mustApply("batch.hcl", edited(timedBatch, "shipper:3", "shipper:4"))
			l.run(justBefore)
			l.over(30*time.Second, after30)
		}},
		{"a start of what runs", func(l timeline) {
			l.at(10 * time.Second)
			start(l)
			l.run(justBefore)
			l.over(30*time.Second, after30)
		}},
		{"more time", func(l timeline) {
			l.at(10 * time.Second)
			l.mustApply("batch.hcl", edited(timedBatch, `"30s"`, `"40s"`))
			l.did()
			l.run(39 * time.Second)
			l.over(40*time.Second, "timed out after 40s")
		}},
		{"less time, which is over", func(l timeline) {
			l.at(20 * time.Second)
			_, err := l.apply("batch.hcl", edited(timedBatch, `"30s"`, `"15s"`))
			if err == nil || !strings.Contains(err.Error(), "timed out after 15s") {
				l.t.Errorf("apply: %v", err)
			}
			l.over(20*time.Second, "timed out after 15s")
		}},
		{"no timeout any more, and again", func(l timeline) {
			l.at(10 * time.Second)
			l.mustApply("batch.hcl", edited(timedBatch, "  timeout = \"30s\"\n", ""))
			l.run(50 * time.Second)
			l.mustApply("batch.hcl", edited(timedBatch, `"30s"`, `"60s"`))
			l.did()
			l.run(59 * time.Second)
			l.over(60*time.Second, "timed out after 1m0s")
		}},
		{"a restart of the app", func(l timeline) {
			l.at(20 * time.Second)
			l.must(l.keeper.Restart(context.Background(), "batch", "web", nil))
			l.run(20*time.Second + justBefore)
			l.over(50*time.Second, after30)
		}},
		{"a restart of the group", func(l timeline) {
			l.at(20 * time.Second)
			l.must(l.keeper.Restart(context.Background(), "batch", "", nil))
			l.run(20*time.Second + justBefore)
			l.over(50*time.Second, after30)
		}},
		{"another app", func(l timeline) {
			l.at(20 * time.Second)
			l.mustApply("batch.hcl", edited(timedBatch, "web:1", "web:2"))
			l.run(20*time.Second + justBefore)
			l.over(50*time.Second, after30)
		}},
		{"another app that can't be built for a while", func(l timeline) {
			l.at(29 * time.Second)
			for range 3 {
				l.host.FailNext("create web", errBoom)
			}
			l.write("batch.hcl", edited(timedBatch, "web:1", "web:2"))
			l.run(50 * time.Second)
			l.over(90*time.Second, after30)
		}},
		{"stopped and started", func(l timeline) {
			l.at(20 * time.Second)
			_, err := l.stop("batch")
			l.must(err)
			l.at(25 * time.Second)
			start(l)
			l.run(25*time.Second + justBefore)
			l.over(55*time.Second, after30)
		}},
		{"stopped, another daemon, and started", func(l timeline) {
			l.at(20 * time.Second)
			_, err := l.stop("batch")
			l.must(err)
			l.at(time.Hour)
			l.nextKeeper()
			start(l)
			l.run(time.Hour + justBefore)
			l.over(time.Hour+30*time.Second, after30)
		}},
		{"over and started", func(l timeline) {
			l.over(40*time.Second, after30)
			start(l)
			l.run(40*time.Second + justBefore)
			l.over(70*time.Second, after30)
		}},
		{"over and another app", func(l timeline) {
			l.over(40*time.Second, after30)
			l.mustApply("batch.hcl", edited(timedBatch, "web:1", "web:2"))
			l.run(40*time.Second + justBefore)
			l.over(70*time.Second, after30)
		}},
		{"over and more time", func(l timeline) {
			l.over(40*time.Second, after30)
			l.mustApply("batch.hcl", edited(timedBatch, `"30s"`, `"60s"`))
			l.run(99 * time.Second)
			l.over(100*time.Second, "timed out after 1m0s")
		}},
		{"completed and started", func(l timeline) {
			l.exit("batch", "web", 0)
			l.at(40 * time.Second)
			start(l)
			l.run(40*time.Second + justBefore)
			l.over(70*time.Second, after30)
		}},
		{"over, how it ended can't be read, and a daemon was killed before it forgot the run", func(l timeline) {
			l.at(10 * time.Second)
			run, err := os.ReadFile(l.runFile())
			l.must(err)
			l.over(40*time.Second, after30)
			l.end()
			l.must(os.WriteFile(l.runFile(), run, 0o600))
			l.must(os.WriteFile(filepath.Join(l.layout.StateDir, "ended", "batch.json"), nil, 0o600))
			l.begin()
			if l.host.Running("batch") != 0 {
				l.t.Errorf("it runs again by itself:\n%s", l.host)
			}
			start(l)
			l.run(40*time.Second + justBefore)
			l.over(70*time.Second, after30)
		}},
		{"its record is damaged", func(l timeline) {
			l.at(20 * time.Second)
			l.end()
			l.must(os.WriteFile(l.runFile(), []byte("{}"), 0o600))
			l.begin()
			l.run(20*time.Second + justBefore)
			l.over(50*time.Second, after30)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			withHarness(t, func(t *testing.T, h *harness) {
				l := timeline{h, time.Now()}
				h.mustApply("batch.hcl", timedBatch)
				tt.live(l)
			})
		})
	}
}

// A job that runs without a timeout gets one. Its time begins then.
func TestATimeoutForAJobThatRuns(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		l := timeline{h, time.Now()}
		h.mustApply("batch.hcl", edited(timedBatch, "  timeout = \"30s\"\n", ""))
		l.run(time.Hour)
		if _, err := os.Stat(h.runFile()); !os.IsNotExist(err) {
			t.Errorf("a job without a timeout has a file: %v", err)
		}
		h.mustApply("batch.hcl", timedBatch)
		h.did()
		l.run(time.Hour + justBefore)
		l.over(time.Hour+30*time.Second, after30)
	})
}

// The time begins with the first start. What comes before it takes as long as it likes.
func TestTheTimeBeginsWithTheFirstStart(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		for range 5 {
			h.host.FailNext("create web", errBoom)
		}
		began := time.Now()
		h.write("batch.hcl", timedBatch)
		for h.host.Running("batch") == 0 {
			h.wait(time.Second)
		}
		if waited := time.Since(began); waited < 15*time.Second {
			t.Fatalf("it was built within %s, so this tests nothing", waited)
		}
		if left := time.Until(h.status("batch").RunEnds); left < 28*time.Second || left > 30*time.Second {
			t.Errorf("it has %s left", left)
		}
	})
}

// The wall clock of the host does not count while the host has a clock that can't be set.
func TestTheTimeOfARunWhileTheClockIsSet(t *testing.T) {
	for _, set := range []time.Duration{-time.Hour, time.Hour} {
		for _, restarted := range []bool{false, true} {
			withTimed(t, func(t *testing.T, h *harness, clock *wallClock) {
				l := timeline{h, time.Now()}
				h.mustApply("batch.hcl", timedBatch)
				l.at(20 * time.Second)
				clock.ahead.Store(int64(set))
				if restarted {
					h.nextKeeper()
				}
				l.at(29 * time.Second)
				if st := h.status("batch"); st.State != group.Running {
					t.Errorf("set by %s, another daemon %v: after 29s %s, error %q", set, restarted, st.State, st.Error)
				}
				l.over(31*time.Second, after30)
			})
		}
	}
}

// withTimed runs a test with a clock of the boot, and a wall clock that can be set. A keeper that
// is there when it is set keeps its own time, as Go's monotonic clock does.
func withTimed(t *testing.T, do func(t *testing.T, h *harness, clock *wallClock)) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.end()
		clock, booted := &wallClock{}, time.Now().Add(-time.Hour)
		h.host = hosttest.New(clock.now)
		h.config = func(c *keeper.Config) {
			ahead := time.Duration(clock.ahead.Load())
			c.Now = func() time.Time { return time.Now().Add(ahead) }
			c.Boot = func() (string, time.Duration) { return "boot", time.Since(booted) }
		}
		h.begin()
		do(t, h, clock)
	})
}

// A generation whose time is over before it was ready has not proved itself, and is taken back. One
// that was ready is not.
func TestATrialOfAJobWithATimeout(t *testing.T) {
	careful := edited(timedBatch, `timeout = "30s"`, "timeout = \"30s\"\n  update {\n    health_timeout = \"1m\"\n    auto_revert    = true\n  }",
		`app "web" {`, "init \"migrate\" { image = \"registry.example/migrate:1\" }\n  app \"web\" {")
	for _, tt := range []struct {
		name  string
		init  bool // the second generation's init ends
		state group.State
		error string
		want  []string
	}{
		{"ready", true, group.Stopped, after30, []string{"2 file proved", "1 apply proved"}},
		{"not ready", false, group.Running, "generation 2 was taken back: " + after30, []string{"3 revert proved", "2 file taken back: " + after30, "1 apply proved"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			withHarness(t, func(t *testing.T, h *harness) {
				h.host.ExitAtOnce("batch", "migrate", 0)
				h.mustApply("batch.hcl", careful)
				if !tt.init {
					h.host.Stay("batch", "migrate")
				}
				h.write("batch.hcl", edited(careful, "migrate:1", "migrate:2", "web:1", "web:2"))
				h.wait(29 * time.Second)
				h.host.ExitAtOnce("batch", "migrate", 0)
				h.wait(10 * time.Second)
				if st := h.status("batch"); st.State != tt.state || !strings.HasPrefix(st.Error, tt.error) {
					t.Errorf("%s, error %q", st.State, st.Error)
				}
				if diff := cmp.Diff(tt.want, h.history("batch")); diff != "" {
					t.Errorf("history (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// A disk that takes nothing delays no job, and its time is over all the same, also for a daemon
// that comes later: the record is in the run folder.
func TestTheTimeOfARunOnAFullDisk(t *testing.T) {
	for _, restarted := range []bool{false, true} {
		withHarness(t, func(t *testing.T, h *harness) {
			h.mustApply("batch.hcl", edited(timedBatch, `"30s"`, `"1h"`))
			_, err := h.stop("batch")
			if err != nil {
				t.Fatal(err)
			}
			h.mustApply("batch.hcl", timedBatch)
			full := h.fullDisk()
			full.Store(true)
			l := timeline{h, time.Now()}
			l.must(h.start("batch"))
			l.run(20 * time.Second)
			if restarted {
				h.nextKeeper()
			}
			l.run(justBefore)
			l.over(30*time.Second, after30)
		})
	}
}

// A daemon that is killed just after the first start has the run on disk.
func TestARunIsOnDiskBeforeItsFirstStart(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		starts, written := 0, 0
		h.end()
		h.config = func(c *keeper.Config) {
			c.Trace = func(_ string, s plan.Step, _ time.Duration) {
				_, err := os.Stat(h.runFile())
				switch {
				case s.Kind == plan.Start && err == nil:
					starts++
				case err == nil:
					written++
				}
			}
		}
		h.begin()
		h.mustApply("batch.hcl", timedBatch)
		if starts != 3 || written != 0 {
			t.Errorf("it was there after %d of 3 starts, and after %d steps before them", starts, written)
		}
	})
}

// The next daemon reads what one has written of a run, and nothing of it is left when the group has
// ended.
func TestTheFileOfARun(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		began := time.Now()
		h.mustApply("batch.hcl", timedBatch)
		run, err := store.New(h.layout).Run("batch")
		if err != nil || run == nil || !run.At.Equal(began) || run.Spent != 0 {
			t.Errorf("%+v, %v", run, err)
		}
		h.exit("batch", "web", 0)
		if _, err := os.Stat(h.runFile()); !os.IsNotExist(err) {
			t.Errorf("it has completed, and there is still a file: %v", err)
		}
	})
}
