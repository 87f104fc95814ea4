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

	"github.com/hashicorp/hcl/v2"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/keeper"
	"github.com/sallyport/sallyport/spec"
)

// hangs is the text of a file whose reading hangs: one that names a file on a dead mount, or that
// takes long to evaluate. The group differs from that of calm.
var (
	calm  = edited(job, `group "job"`, `group "slow"`)
	hangs = edited(calm, "once:1", "once:2") + "# hang\n"
)

// withHangs makes the next keeper hang when it reads a text with "# hang", until answer is called
// or the parser is asked to stop.
func (h *harness) withHangs() (answer func()) {
	answered := make(chan struct{})
	h.config = func(c *keeper.Config) {
		parse := c.Store.Parse
		c.Store.Parse = func(s spec.Source) ([]spec.Group, hcl.Diagnostics) {
			for strings.Contains(string(s.Bytes), "# hang") {
				select {
				case <-answered:
					return parse(s)
				case <-time.After(10 * time.Millisecond):
				}
				if err := s.Stop(); err != nil {
					return nil, hcl.Diagnostics{{Severity: hcl.DiagError, Summary: err.Error()}}
				}
			}
			return parse(s)
		}
	}
	return func() { close(answered); synctest.Wait() }
}

// atOnce checks that something is done without an error within a second.
func (h *harness) atOnce(what string, do func() error) {
	h.t.Helper()
	begun := time.Now()
	if err := do(); err != nil {
		h.t.Errorf("%s: %v", what, err)
	}
	if took := time.Since(begun); took > time.Second {
		h.t.Errorf("%s took %v", what, took)
	}
}

// othersAtOnce checks every call about another group, and the stop and the start of the slow one.
func (h *harness) othersAtOnce() {
	h.t.Helper()
	ctx, k := h.t.Context(), h.keeper
	apply := func(files ...string) func() error {
		return func() error { _, err := h.apply(files...); return err }
	}
	h.atOnce("ps", func() error { _, err := k.Status(""); return err })
	h.atOnce("stop", func() error { _, err := h.stop("shop"); return err })
	h.checkStopped("shop")
	h.atOnce("start", func() error { return h.start("shop") })
	h.atOnce("apply", apply("shop.hcl", edited(newWeb, "/bin/web", "/bin/other")))
	h.atOnce("another apply", apply("new.hcl", edited(job, `group "job"`, `group "new"`)))
	h.atOnce("plan", func() error { _, err := k.Preview(ctx, bundles("shop.hcl", shop)); return err })
	h.atOnce("history", func() error { _, err := k.History(ctx, "shop"); return err })
	h.atOnce("rollback", func() error { return k.Rollback(ctx, "shop", 1, nil) })
	h.atOnce("restart", func() error { return k.Restart(ctx, "shop", "web", nil) })
	h.atOnce("rm", func() error { return k.Remove(ctx, "new", nil) })
	h.atOnce("rm of a file", func() error { return k.RemoveFile(ctx, "job.hcl", false, nil) })
	h.atOnce("stop of the slow one", func() error { _, err := h.stop("slow"); return err })
	h.atOnce("start of the slow one", func() error { return h.start("slow") })
	if st := h.status("slow"); st.Generation != 1 || st.State != group.Running {
		h.t.Errorf("the slow one is %s, generation %d", st.State, st.Generation)
	}
}

func TestNothingWaitsForAnEditThatHangs(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		answer := h.withHangs()
		h.end()
		h.begin()
		h.mustApply("shop.hcl", shop, "job.hcl", job, "slow.hcl", calm)
		h.write("slow.hcl", hangs)
		h.othersAtOnce()
		answer()
		if st := h.status("slow"); st.Generation != 2 {
			t.Errorf("the control, the edit after its file has answered, is generation %d", st.Generation)
		}
	})
}

func TestNothingWaitsForAnApplyThatHangs(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		answer := h.withHangs()
		h.end()
		h.begin()
		h.mustApply("shop.hcl", shop, "job.hcl", job, "slow.hcl", calm)
		done := make(chan error, 1)
		go func() { done <- h.keeper.Apply(t.Context(), bundles("slow.hcl", hangs), nil) }()
		synctest.Wait()
		h.othersAtOnce()
		answer()
		if err := <-done; err != nil || h.status("slow").Generation != 2 {
			t.Errorf("the control, the apply after its file has answered: %v, generation %d", err, h.status("slow").Generation)
		}
	})
}

// What is applied while an older text is still read stays, and so does what is removed.
func TestAReadingThatIsOvertakenChangesNothing(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		answer := h.withHangs()
		h.end()
		h.begin()
		h.mustApply("shop.hcl", shop, "slow.hcl", calm)
		h.write("slow.hcl", hangs)
		h.atOnce("apply", func() error { _, err := h.apply("slow.hcl", edited(calm, "once:1", "once:3")); return err })
		h.atOnce("rm", func() error { return h.keeper.Remove(t.Context(), "shop", nil) })
		answer()
		h.notice()
		if st := h.status("slow"); st.Generation != 2 || !strings.HasSuffix(st.Containers[0].Image, "once:3") {
			t.Errorf("generation %d with %s", st.Generation, st.Containers[0].Image)
		}
		if _, err := h.keeper.Status("shop"); err != group.ErrNoGroup {
			t.Errorf("the group that was removed meanwhile: %v", err)
		}
	})
}

// An apply that fails puts back an edit that no load has seen.
func TestAnUndoneApplyPutsBackAnEditThatWasNotLoaded(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.mustApply("shop.hcl", shop)
		h.put("shop.hcl", newWeb) // the watch has not noticed
		h.host.FailNext("create web", errBoom)
		err := h.keeper.Apply(t.Context(), bundles("shop.hcl", edited(shop, "web:1", "web:2")), nil)
		if !errors.Is(err, errBoom) || strings.Contains(err.Error(), "put shop.hcl back") {
			t.Errorf("apply: %v", err)
		}
		if h.text("shop.hcl") != newWeb {
			t.Error("the edit is lost")
		}
		if st := h.status("shop"); st.State != group.Running || !strings.HasSuffix(st.Containers[len(st.Containers)-1].Image, "web:1") {
			t.Errorf("%s: %+v", st.State, st.Containers)
		}
	})
}

// A call about the file that hangs ends with its caller.
func TestACallAboutAFileThatHangsEndsWithItsCaller(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.withHangs()
		h.end()
		h.begin()
		h.mustApply("slow.hcl", calm)
		h.write("slow.hcl", hangs)
		interrupted := errors.New("interrupted")
		for name, call := range map[string]func(context.Context) error{
			"apply": func(ctx context.Context) error { return h.keeper.Apply(ctx, bundles("slow.hcl", hangs), nil) },
			"plan": func(ctx context.Context) error {
				_, err := h.keeper.Preview(ctx, bundles("slow.hcl", hangs))
				return err
			},
			"rm":       func(ctx context.Context) error { return h.keeper.Remove(ctx, "slow", nil) },
			"rollback": func(ctx context.Context) error { return h.keeper.Rollback(ctx, "slow", 1, nil) },
			"SIGHUP":   h.keeper.Load,
		} {
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(100*time.Millisecond, func() { cancel(interrupted) })
			h.atOnce(name, func() error {
				if err := call(ctx); !errors.Is(err, interrupted) {
					return errors.Join(errors.New("it was not interrupted"), err)
				}
				return nil
			})
		}
		h.atOnce("the end of the daemon", func() error { h.end(); return nil })
	})
}

// Before the first load has ended, the groups of the state folder are listed and stopped. What
// needs the group files waits and says so.
func TestKeeperServesBeforeItsFirstLoad(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.mustApply("shop.hcl", shop, "slow.hcl", calm, "job.hcl", job)
		h.end()
		h.put("slow.hcl", hangs)
		answer := h.withHangs()
		h.begin()
		all, err := h.keeper.Status("")
		if err != nil || len(all) != 3 {
			t.Fatalf("%v, %v", all, err)
		}
		for _, st := range all {
			if st.State != group.Starting || st.Waiting != "waits until the daemon has read the group files" || len(st.Containers) == 0 || st.Generation != 1 {
				t.Errorf("%+v", st)
			}
		}
		if h.host.Running("shop") != 3 {
			t.Errorf("the start stopped something:\n%s", h.host)
		}
		h.atOnce("stop", func() error { _, err := h.stop("shop"); return err })
		h.checkStopped("shop")
		h.atOnce("stop of what is stopped", func() error { _, err := h.stop("shop"); return err })
		h.atOnce("plan", func() error { _, err := h.keeper.Preview(t.Context(), bundles("shop.hcl", newWeb)); return err })
		h.atOnce("history", func() error { _, err := h.keeper.History(t.Context(), "slow"); return err })
		if _, err := h.stop("none"); !errors.Is(err, group.ErrNoGroup) {
			t.Errorf("stop of an unknown group: %v", err)
		}
		var lines []string
		done := make(chan error, 1)
		go func() {
			done <- h.keeper.Apply(t.Context(), bundles("job.hcl", edited(job, "once:1", "once:2")), func(l string) { lines = append(lines, l) })
		}()
		h.wait(3 * time.Second)
		if st := h.status("job"); !strings.Contains(st.Waiting, "slow.hcl has been read for 3s: check the mounts") {
			t.Errorf("the job waits: %q", st.Waiting)
		}
		if text := strings.Join(lines, "\n"); !strings.Contains(text, "is starting: this waits until") || !strings.Contains(text, "slow.hcl has been read for 2s") {
			t.Errorf("the apply says %q", lines)
		}
		answer()
		if err := <-done; err != nil {
			t.Errorf("apply: %v", err)
		}
		if st := h.status("slow"); st.State != group.Running || st.Generation != 2 {
			t.Errorf("the slow one is %s, generation %d", st.State, st.Generation)
		}
		h.checkStopped("shop")
		h.end()
		h.config = nil
		h.begin()
		h.checkStopped("shop")
	})
}

// What is wanted of a group was damaged. The group is known and stopped before the first load.
func TestADamagedGroupIsStoppedBeforeTheFirstLoad(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.mustApply("shop.hcl", shop, "slow.hcl", calm)
		h.end()
		if err := os.WriteFile(filepath.Join(h.layout.StateDir, "wanted", "shop.json"), []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
		h.put("slow.hcl", hangs)
		answer := h.withHangs()
		h.begin()
		h.atOnce("stop", func() error { _, err := h.stop("shop"); return err })
		h.checkStopped("shop")
		answer()
		h.wait(time.Second)
		h.checkStopped("shop")
	})
}

// All that is known of a group is its history. It is stopped before the first load, and while its
// file is broken. It starts from a file that is right, once it is asked to.
func TestAGroupThatIsLostIsStopped(t *testing.T) {
	for _, broken := range []bool{false, true} {
		withHarness(t, func(t *testing.T, h *harness) {
			h.mustApply("shop.hcl", shop, "slow.hcl", calm)
			h.end()
			for _, name := range []string{"wanted/shop.json", "generations/shop.1.json"} {
				if err := os.Remove(filepath.Join(h.layout.StateDir, name)); err != nil {
					t.Fatal(err)
				}
			}
			if broken {
				h.put("shop.hcl", "group {")
			}
			h.put("slow.hcl", hangs)
			answer := h.withHangs()
			h.begin()
			h.atOnce("stop", func() error { _, err := h.stop("shop"); return err })
			check := func(when string) {
				t.Helper()
				if st := h.status("shop"); st.State != group.Stopped || strings.Contains(h.host.String(), "shop") {
					t.Errorf("broken %v: %s: %+v\n%s", broken, when, st, h.host)
				}
			}
			check("before the first load")
			answer()
			h.wait(time.Second)
			check("after it")
			if broken {
				h.atOnce("stop again", func() error { _, err := h.stop("shop"); return err })
				if err := h.start("shop"); err == nil || !strings.Contains(err.Error(), "is lost") {
					t.Errorf("start while the file is broken: %v", err)
				}
				h.put("shop.hcl", shop)
				h.notice()
				h.checkStopped("shop")
			}
			if err := h.start("shop"); err != nil || h.host.Running("shop") != 3 {
				t.Errorf("broken %v: start: %v\n%s", broken, err, h.host)
			}
		})
	}
}

// A daemon that is ended during its first load ends, and has changed nothing.
func TestKeeperEndsDuringItsFirstLoad(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.mustApply("shop.hcl", shop, "slow.hcl", calm)
		h.end()
		before := h.host.String()
		h.put("slow.hcl", hangs)
		h.withHangs()
		h.begin()
		h.atOnce("the end", func() error { h.end(); return nil })
		if now := h.host.String(); now != before {
			t.Errorf("the host:\n%s", now)
		}
		h.config = nil
		h.begin()
		if st := h.status("slow"); st.Generation != 2 {
			t.Errorf("the next daemon has generation %d", st.Generation)
		}
	})
}
