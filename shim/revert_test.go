package shim_test

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

	"github.com/sallyport/sallyport/shim"
)

// careful is shop with an update block: what is not ready after a minute is taken back.
var careful = strings.TrimSuffix(strings.TrimSpace(shop), "}") + "  update {\n    health_timeout = \"1m\"\n    auto_revert    = true\n  }\n}\n"

var careful2 = edited(careful, `web:1"`, `web:2"`)

func TestUpdateThatDoesNotBecomeReadyIsTakenBack(t *testing.T) {
	at(t, func(t *testing.T, d *desk) {
		d.mustApply("shop.hcl", careful)
		before := d.host.String()
		d.host.BreakImage("registry.example/web:2", 3)
		began := time.Now()
		lines, err := d.apply("shop.hcl", careful2)
		problem, ok := errors.AsType[*shim.Problem](err)
		if !ok || !strings.Contains(err.Error(), "group shop: generation 2 was taken back: not ready within 1m0s: web (app) ended with status 3") {
			t.Errorf("apply: %v", err)
		} else if !strings.Contains(problem.Hint, "sallyport history shop --file 2") {
			t.Errorf("hint %q", problem.Hint)
		}
		if took := time.Since(began); took < time.Minute || took > 2*time.Minute {
			t.Errorf("it took %s; it was:\n%s", took, strings.Join(lines, "\n"))
		}
		if diff := cmp.Diff(before, d.host.String()); diff != "" {
			t.Errorf("the host is not as before (-before +after):\n%s", diff)
		}
		if got := d.text("shop.hcl"); got != careful {
			t.Errorf("the file is\n%s", got)
		}
		check := func() {
			t.Helper()
			st := d.status("shop")
			if st.State != shim.Running || st.Generation != 3 || !strings.HasPrefix(st.Error, "generation 2 was taken back: not ready within 1m0s: ") || st.Hint == "" {
				t.Errorf("%s, generation %d, error %q, hint %q", st.State, st.Generation, st.Error, st.Hint)
			}
		}
		check()
		d.end()
		d.begin()
		check()
		d.wait(time.Hour)
		check()
		all := d.history("shop")
		if len(all) != 3 || all[0] != "3 revert proved" || !strings.HasPrefix(all[1], "2 apply taken back: not ready within") || all[2] != "1 apply proved" {
			t.Errorf("history:\n%s", strings.Join(all, "\n"))
		}
		// To apply what runs says that all is well.
		d.mustApply("shop.hcl", careful)
		if st := d.status("shop"); st.Error != "" || st.Generation != 3 {
			t.Errorf("generation %d, error %q", st.Generation, st.Error)
		}
	})
}

func TestUpdateThatBecomesReadyStays(t *testing.T) {
	at(t, func(t *testing.T, d *desk) {
		d.mustApply("shop.hcl", careful)
		d.mustApply("shop.hcl", careful2)
		d.checkHistory("shop", "2 apply proved", "1 apply proved")
		// It had its trial: what happens later is none.
		d.host.ExitAtOnce("shop", "web", 3)
		d.exit("shop", "web", 3)
		d.wait(time.Hour)
		if st := d.status("shop"); st.Generation != 2 || !st.TrialEnds.IsZero() || !strings.Contains(st.Error, "ended with status 3") {
			t.Errorf("generation %d, error %q", st.Generation, st.Error)
		}
	})
}

// A file that is changed by hand is on trial too, and nobody waits for it.
func TestUpdateByHandIsTakenBack(t *testing.T) {
	at(t, func(t *testing.T, d *desk) {
		d.write("shop.hcl", careful)
		d.wait(time.Minute)
		d.host.BreakImage("registry.example/web:2", 3)
		d.write("shop.hcl", careful2)
		if st := d.status("shop"); st.TrialEnds.IsZero() {
			t.Error("status does not tell when the trial ends")
		}
		d.wait(2 * time.Minute)
		if st := d.status("shop"); st.State != shim.Running || st.Generation != 3 || d.text("shop.hcl") != careful {
			t.Errorf("%s, generation %d:\n%s", st.State, st.Generation, d.text("shop.hcl"))
		}
		if got := d.history("shop"); got[0] != "3 revert proved" {
			t.Errorf("history %q", got)
		}
	})
}

// Whatever a killed daemon was in the middle of, the next one comes to the same end.
func TestRevertSurvivesTheDaemon(t *testing.T) {
	for _, tt := range []struct {
		name  string
		after time.Duration // of the change
	}{
		{"in the middle of the trial", 30 * time.Second},
		{"a moment before its end", time.Minute - time.Millisecond},
		{"while the one before is put back", time.Minute + 500*time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDesk(t)
				d.begin()
				d.mustApply("shop.hcl", careful)
				before := d.host.String()
				d.host.BreakImage("registry.example/web:2", 3)
				d.end()
				d.config = func(c *shim.Config) {
					c.Trace = func(string, shim.Step, time.Duration) { time.Sleep(200 * time.Millisecond) }
				}
				d.begin()
				d.write("shop.hcl", careful2)
				d.wait(tt.after)
				d.end()
				d.begin()
				d.wait(3 * time.Minute)
				if diff := cmp.Diff(before, d.host.String()); diff != "" {
					t.Errorf("the host is not as before (-before +after):\n%s", diff)
				}
				if st := d.status("shop"); st.Generation != 3 || !strings.Contains(st.Error, "generation 2 was taken back") || d.text("shop.hcl") != careful {
					t.Errorf("generation %d, error %q", st.Generation, st.Error)
				}
				d.end()
			})
		})
	}
}

// A healthy group stays as it is, whatever time a new daemon thinks it is, and however long nothing could be looked at.
func TestTrialOfAHealthyGroupHasNoSurprises(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(d *desk)
	}{
		{"containerd is away for longer than the time", func(d *desk) {
			for range 100 {
				d.host.FailNext("observe containers", errBoom)
			}
			d.wait(10 * time.Minute)
			d.host.ForgetFaults()
		}},
		{"the daemon is away for an hour", func(d *desk) { d.end(); time.Sleep(time.Hour); d.begin() }},
		{"the machine is", func(d *desk) { d.end(); d.host.Reboot(); time.Sleep(time.Hour); d.begin() }},
		{"it is stopped for an hour", func(d *desk) {
			if _, err := d.stop("shop"); err != nil {
				d.t.Fatal(err)
			}
			d.wait(time.Hour)
			if err := d.start("shop"); err != nil {
				d.t.Fatal(err)
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			at(t, func(t *testing.T, d *desk) {
				d.mustApply("shop.hcl", careful)
				d.host.BreakImage("registry.example/web:2", 3)
				d.write("shop.hcl", careful2)
				d.wait(30 * time.Second)
				d.host.MendImage("registry.example/web:2")
				tt.do(d)
				d.wait(50 * time.Second)
				if st := d.status("shop"); st.State != shim.Running || st.Generation != 2 || st.Error != "" {
					t.Errorf("%s, generation %d, error %q", st.State, st.Generation, st.Error)
				}
				d.checkHistory("shop", "2 file proved", "1 apply proved")
			})
		})
	}
}

func TestWhatCantBeTakenBackStaysAndSaysWhy(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(d *desk)
		want string
	}{
		{"there is none before", func(*desk) {}, "it can't be taken back: there is no generation before it that proved itself"},
		{"its image is gone", func(d *desk) {
			d.host.MendImage("registry.example/web:2")
			d.mustApply("shop.hcl", careful2)
			d.host.BreakImage("registry.example/web:2", 3)
			d.host.LoseImage("registry.example/web:2")
		}, "it can't be taken back: group shop, web (app): image registry.example/web:2: sha256:registry.example/web:2 is not on this host any more"},
		{"a group came to its file meanwhile", func(d *desk) {
			d.host.MendImage("registry.example/web:2")
			d.mustApply("shop.hcl", careful2)
			go func() { time.Sleep(30 * time.Second); d.write("shop.hcl", careful3+job) }()
		}, "its file has groups that were changed at another time and would go back too: job"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			at(t, func(t *testing.T, d *desk) {
				tt.do(d)
				d.host.BreakImage("registry.example/web:3", 3)
				_, err := d.apply("shop.hcl", careful3)
				if err == nil || !strings.Contains(err.Error(), "not ready within 1m0s") || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("apply: %v", err)
				}
				if st := d.status("shop"); !strings.Contains(st.Error, tt.want) || st.Hint != "mend the file and apply it again" {
					t.Errorf("error %q, hint %q", st.Error, st.Hint)
				}
				d.host.MendImage("registry.example/web:3")
				d.wait(5 * time.Minute)
				if st := d.status("shop"); st.Error != "" || d.history("shop")[0] != "1 apply proved" && !strings.HasSuffix(d.history("shop")[0], "apply proved") {
					t.Errorf("later: error %q, history %q", st.Error, d.history("shop"))
				}
			})
		})
	}
}

var careful3 = edited(careful, `web:1"`, `web:3"`)

// Two groups that were changed together go back together.
func TestUpdateIsTakenBackWhole(t *testing.T) {
	at(t, func(t *testing.T, d *desk) {
		d.mustApply("all.hcl", careful+job)
		before := d.host.String()
		d.host.BreakImage("registry.example/web:2", 3)
		_, err := d.apply("all.hcl", careful2+edited(job, "once:1", "once:2"))
		if err == nil || !strings.Contains(err.Error(), "generation 2 was taken back") {
			t.Errorf("apply: %v", err)
		}
		d.wait(time.Minute)
		if diff := cmp.Diff(before, d.host.String()); diff != "" {
			t.Errorf("the host is not as before (-before +after):\n%s", diff)
		}
		if st := d.status("job"); st.Generation != 3 || !strings.Contains(st.Error, "taken back") {
			t.Errorf("job: generation %d, error %q", st.Generation, st.Error)
		}
	})
}

func TestRollbackIsOnTrialAndNotTakenBack(t *testing.T) {
	at(t, func(t *testing.T, d *desk) {
		d.mustApply("shop.hcl", careful)
		d.mustApply("shop.hcl", careful2)
		d.host.BreakImage("registry.example/web:1", 3)
		err := d.keeper.Rollback(context.Background(), "shop", 0, nil)
		if err == nil || !strings.Contains(err.Error(), "generation 3: not ready within 1m0s") {
			t.Errorf("rollback: %v", err)
		}
		d.wait(time.Hour)
		if st := d.status("shop"); st.Generation != 3 {
			t.Errorf("generation %d", st.Generation)
		}
	})
}

// What an operator has written into the file meanwhile is never lost: what can be read is kept with its generation, and what can't
// stays where it is.
func TestAnEditIsNotLostWhenItsFileIsPutBack(t *testing.T) {
	const torn = "\ngroup \"half\" {"
	for _, tt := range []struct {
		name, edit string
		noticed    bool
		stays      bool // in the file; else in the history
	}{
		{"half an edit", torn, true, true},
		{"half an edit that nobody has noticed", torn, false, true},
		{"a remark that nobody has noticed", "# mind the gap\n", false, false},
	} {
		edit := func(d *desk, text string) {
			d.t.Helper()
			if err := os.WriteFile(filepath.Join(d.layout.GroupsDir, "shop.hcl"), []byte(text+tt.edit), 0o600); err != nil {
				d.t.Fatal(err)
			}
			if tt.noticed {
				d.notice()
			}
		}
		check := func(d *desk, text string, generation int) {
			d.t.Helper()
			if got := d.text("shop.hcl"); tt.stays && got != text+tt.edit {
				d.t.Errorf("the file is\n%s", got)
			}
			if tt.stays {
				return
			}
			old, err := d.keeper.Definition(context.Background(), "shop", generation)
			if err != nil || string(old.Bundle.HCL) != text+tt.edit {
				d.t.Errorf("generation %d: %v\n%s", generation, err, old.Bundle.HCL)
			}
		}
		t.Run(tt.name+", revert", func(t *testing.T) {
			at(t, func(t *testing.T, d *desk) {
				d.mustApply("shop.hcl", careful)
				d.host.BreakImage("registry.example/web:2", 3)
				d.write("shop.hcl", careful2)
				d.wait(30 * time.Second)
				edit(d, careful2)
				d.wait(2 * time.Minute)
				check(d, careful2, 2)
				if st := d.status("shop"); tt.stays && (!strings.Contains(st.Error, "it can't be taken back: file ") || st.Hint == "") {
					t.Errorf("error %q, hint %q", st.Error, st.Hint)
				}
			})
		})
		t.Run(tt.name+", rollback", func(t *testing.T) {
			at(t, func(t *testing.T, d *desk) {
				d.mustApply("shop.hcl", careful)
				d.mustApply("shop.hcl", careful2)
				edit(d, careful2)
				if err := d.rollback("shop", 0); (err != nil) != tt.stays {
					t.Errorf("rollback: %v", err)
				}
				check(d, careful2, 2)
			})
		})
	}
}
