package keeper_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/keeper"
	"github.com/sallyport/sallyport/shim/plan"
)

// careful is shop with an update block: it is reverted if it is not ready after a minute, and not
// earlier, however often a container ends.
var careful = updated(`health_timeout = "1m"`, "auto_revert = true", "max_ends = 1000")

// updated returns shop with an update block of these lines.
func updated(lines ...string) string {
	return strings.TrimSuffix(strings.TrimSpace(shop), "}") + "  update {\n    " + strings.Join(lines, "\n    ") + "\n  }\n}\n"
}

var careful2 = edited(careful, `web:1"`, `web:2"`)

func TestUpdateThatDoesNotBecomeReadyIsReverted(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.mustApply("shop.hcl", careful)
		before := h.host.String()
		h.host.BreakImage("registry.example/web:2", 3)
		began := time.Now()
		lines, err := h.apply("shop.hcl", careful2)
		problem, ok := errors.AsType[*hint.Error](err)
		if !ok || !strings.Contains(err.Error(), "group shop: generation 2 was taken back: not ready within 1m0s: web (app) ended with status 3") {
			t.Errorf("apply: %v", err)
		} else if !strings.Contains(problem.Hint, "sallyport history shop --file 2") {
			t.Errorf("hint %q", problem.Hint)
		}
		if took := time.Since(began); took < time.Minute || took > 2*time.Minute {
			t.Errorf("it took %s; it was:\n%s", took, strings.Join(lines, "\n"))
		}
		if diff := cmp.Diff(before, h.host.String()); diff != "" {
			t.Errorf("the host is not as before (-before +after):\n%s", diff)
		}
		if got := h.text("shop.hcl"); got != careful {
			t.Errorf("the file is\n%s", got)
		}
		check := func() {
			t.Helper()
			st := h.status("shop")
			if st.State != group.Running || st.Generation != 3 || !strings.HasPrefix(st.Error, "generation 2 was taken back: not ready within 1m0s: ") || st.Hint == "" {
				t.Errorf("%s, generation %d, error %q, hint %q", st.State, st.Generation, st.Error, st.Hint)
			}
		}
		check()
		h.end()
		h.begin()
		check()
		h.wait(time.Hour)
		check()
		all := h.history("shop")
		if len(all) != 3 || all[0] != "3 revert proved" || !strings.HasPrefix(all[1], "2 apply taken back: not ready within") || all[2] != "1 apply proved" {
			t.Errorf("history:\n%s", strings.Join(all, "\n"))
		}
		// An apply of the running definition succeeds.
		h.mustApply("shop.hcl", careful)
		if st := h.status("shop"); st.Error != "" || st.Generation != 3 {
			t.Errorf("generation %d, error %q", st.Generation, st.Error)
		}
	})
}

func TestUpdateThatBecomesReadyStays(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.mustApply("shop.hcl", careful)
		h.mustApply("shop.hcl", careful2)
		h.checkHistory("shop", "2 apply proved", "1 apply proved")
		// Its rollout is over: later failures are not part of it.
		h.host.ExitAtOnce("shop", "web", 3)
		h.exit("shop", "web", 3)
		h.wait(time.Hour)
		if st := h.status("shop"); st.Generation != 2 || !st.TrialEnds.IsZero() || !strings.Contains(st.Error, "ended with status 3") {
			t.Errorf("generation %d, error %q", st.Generation, st.Error)
		}
	})
}

// A file that is changed by hand has a rollout too. No call waits for it.
func TestUpdateByHandIsReverted(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.write("shop.hcl", careful)
		h.wait(time.Minute)
		h.host.BreakImage("registry.example/web:2", 3)
		h.write("shop.hcl", careful2)
		if st := h.status("shop"); st.TrialEnds.IsZero() {
			t.Error("status does not have the end of the rollout")
		}
		h.wait(2 * time.Minute)
		if st := h.status("shop"); st.State != group.Running || st.Generation != 3 || h.text("shop.hcl") != careful {
			t.Errorf("%s, generation %d:\n%s", st.State, st.Generation, h.text("shop.hcl"))
		}
		if got := h.history("shop"); got[0] != "3 revert proved" {
			t.Errorf("history %q", got)
		}
	})
}

// The next daemon comes to the same end, independently of where the previous one was killed.
func TestRevertSurvivesTheDaemon(t *testing.T) {
	for _, tt := range []struct {
		name  string
		after time.Duration // the change
	}{
		{"in the middle of the rollout", 30 * time.Second},
		{"a moment before its end", time.Minute - time.Millisecond},
		{"while the one before is put back", time.Minute + 500*time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHarness(t)
				h.begin()
				h.mustApply("shop.hcl", careful)
				before := h.host.String()
				h.host.BreakImage("registry.example/web:2", 3)
				h.end()
				h.config = func(c *keeper.Config) {
					c.Trace = func(string, plan.Step, time.Duration) { time.Sleep(200 * time.Millisecond) }
				}
				h.begin()
				h.write("shop.hcl", careful2)
				h.wait(tt.after)
				h.end()
				h.begin()
				h.wait(3 * time.Minute)
				if diff := cmp.Diff(before, h.host.String()); diff != "" {
					t.Errorf("the host is not as before (-before +after):\n%s", diff)
				}
				if st := h.status("shop"); st.Generation != 3 || !strings.Contains(st.Error, "generation 2 was taken back") || h.text("shop.hcl") != careful {
					t.Errorf("generation %d, error %q", st.Generation, st.Error)
				}
				h.end()
			})
		})
	}
}

// A healthy group stays as it is, independently of the clock of a new daemon, and of how long
// nothing could be observed.
func TestRolloutOfAHealthyGroupHasNoSurprises(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(h *harness)
	}{
		{"containerd is away for longer than the time", func(h *harness) {
			for range 100 {
				h.host.FailNext("observe containers", errBoom)
			}
			h.wait(10 * time.Minute)
			h.host.ForgetFaults()
		}},
		{"the daemon is away for an hour", func(h *harness) { h.end(); time.Sleep(time.Hour); h.begin() }},
		{"the machine is", func(h *harness) { h.end(); h.host.Reboot(); time.Sleep(time.Hour); h.begin() }},
		{"it is stopped for an hour", func(h *harness) {
			if _, err := h.stop("shop"); err != nil {
				h.t.Fatal(err)
			}
			h.wait(time.Hour)
			if err := h.start("shop"); err != nil {
				h.t.Fatal(err)
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			withHarness(t, func(t *testing.T, h *harness) {
				h.mustApply("shop.hcl", careful)
				h.host.BreakImage("registry.example/web:2", 3)
				h.write("shop.hcl", careful2)
				h.wait(30 * time.Second)
				h.host.MendImage("registry.example/web:2")
				tt.do(h)
				h.wait(50 * time.Second)
				if st := h.status("shop"); st.State != group.Running || st.Generation != 2 || st.Error != "" {
					t.Errorf("%s, generation %d, error %q", st.State, st.Generation, st.Error)
				}
				h.checkHistory("shop", "2 file proved", "1 apply proved")
			})
		})
	}
}

func TestAnUpdateThatCannotBeRevertedStaysWithAReason(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(h *harness)
		want string
	}{
		{"there is none before", func(*harness) {}, "it can't be taken back: there is no generation before it that proved itself"},
		{"its image is gone", func(h *harness) {
			h.host.MendImage("registry.example/web:2")
			h.mustApply("shop.hcl", careful2)
			h.host.BreakImage("registry.example/web:2", 3)
			h.host.LoseImage("registry.example/web:2")
		}, "it can't be taken back: group shop, web (app): image registry.example/web:2: sha256:registry.example/web:2 is not on this host any more"},
		{"a group came to its file meanwhile", func(h *harness) {
			h.host.MendImage("registry.example/web:2")
			h.mustApply("shop.hcl", careful2)
			go func() { time.Sleep(30 * time.Second); h.write("shop.hcl", careful3+job) }()
		}, "its file has groups that were changed at another time and would go back too: job"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			withHarness(t, func(t *testing.T, h *harness) {
				tt.do(h)
				h.host.BreakImage("registry.example/web:3", 3)
				_, err := h.apply("shop.hcl", careful3)
				if err == nil || !strings.Contains(err.Error(), "not ready within 1m0s") || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("apply: %v", err)
				}
				if st := h.status("shop"); !strings.Contains(st.Error, tt.want) || st.Hint != "mend the file and apply it again" {
					t.Errorf("error %q, hint %q", st.Error, st.Hint)
				}
				h.host.MendImage("registry.example/web:3")
				h.wait(5 * time.Minute)
				if st := h.status("shop"); st.Error != "" || h.history("shop")[0] != "1 apply proved" && !strings.HasSuffix(h.history("shop")[0], "apply proved") {
					t.Errorf("later: error %q, history %q", st.Error, h.history("shop"))
				}
			})
		})
	}
}

var careful3 = edited(careful, `web:1"`, `web:3"`)

// Two groups that were changed together go back together.
func TestUpdateIsRevertedWhole(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.mustApply("all.hcl", careful+job)
		before := h.host.String()
		h.host.BreakImage("registry.example/web:2", 3)
		_, err := h.apply("all.hcl", careful2+edited(job, "once:1", "once:2"))
		if err == nil || !strings.Contains(err.Error(), "generation 2 was taken back") {
			t.Errorf("apply: %v", err)
		}
		h.wait(time.Minute)
		if diff := cmp.Diff(before, h.host.String()); diff != "" {
			t.Errorf("the host is not as before (-before +after):\n%s", diff)
		}
		if st := h.status("job"); st.Generation != 3 || !strings.Contains(st.Error, "taken back") {
			t.Errorf("job: generation %d, error %q", st.Generation, st.Error)
		}
	})
}

func TestARollbackHasARolloutAndIsNotReverted(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.mustApply("shop.hcl", careful)
		h.mustApply("shop.hcl", careful2)
		h.host.BreakImage("registry.example/web:1", 3)
		err := h.keeper.Rollback(context.Background(), "shop", 0, nil)
		if err == nil || !strings.Contains(err.Error(), "generation 3: not ready within 1m0s") {
			t.Errorf("rollback: %v", err)
		}
		h.wait(time.Hour)
		if st := h.status("shop"); st.Generation != 3 {
			t.Errorf("generation %d", st.Generation)
		}
	})
}

// An operator's edit is never lost: a readable one is kept with its generation, and an unreadable
// one stays where it is.
func TestAnEditIsNotLostWhenItsFileIsPutBack(t *testing.T) {
	const torn = "\ngroup \"half\" {"
	for _, tt := range []struct {
		name, edit string
		noticed    bool
		stays      bool // in the file; else in the history
	}{
		{"half an edit", torn, true, true},
		{"half an edit that was not loaded yet", torn, false, true},
		{"a remark that was not loaded yet", "# mind the gap\n", false, false},
	} {
		edit := func(h *harness, text string) {
			h.t.Helper()
			if err := os.WriteFile(filepath.Join(h.layout.GroupsDir, "shop.hcl"), []byte(text+tt.edit), 0o600); err != nil {
				h.t.Fatal(err)
			}
			if tt.noticed {
				h.notice()
			}
		}
		check := func(h *harness, text string, generation int) {
			h.t.Helper()
			if got := h.text("shop.hcl"); tt.stays && got != text+tt.edit {
				h.t.Errorf("the file is\n%s", got)
			}
			if tt.stays {
				return
			}
			old, err := h.keeper.Definition(context.Background(), "shop", generation)
			if err != nil || string(old.Bundle.HCL) != text+tt.edit {
				h.t.Errorf("generation %d: %v\n%s", generation, err, old.Bundle.HCL)
			}
		}
		t.Run(tt.name+", revert", func(t *testing.T) {
			withHarness(t, func(t *testing.T, h *harness) {
				h.mustApply("shop.hcl", careful)
				h.host.BreakImage("registry.example/web:2", 3)
				h.write("shop.hcl", careful2)
				h.wait(30 * time.Second)
				edit(h, careful2)
				h.wait(2 * time.Minute)
				check(h, careful2, 2)
				if st := h.status("shop"); tt.stays && (!strings.Contains(st.Error, "it can't be taken back: file ") || st.Hint == "") {
					t.Errorf("error %q, hint %q", st.Error, st.Hint)
				}
			})
		})
		t.Run(tt.name+", rollback", func(t *testing.T) {
			withHarness(t, func(t *testing.T, h *harness) {
				h.mustApply("shop.hcl", careful)
				h.mustApply("shop.hcl", careful2)
				edit(h, careful2)
				if err := h.rollback("shop", 0); (err != nil) != tt.stays {
					t.Errorf("rollback: %v", err)
				}
				check(h, careful2, 2)
			})
		})
	}
}
