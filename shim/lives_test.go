package shim_test

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim"
	"github.com/sallyport/sallyport/shim/shimtest"
	"github.com/sallyport/sallyport/spec"
)

// another gives the desk another keeper.
func (d *desk) another() {
	d.t.Helper()
	d.end()
	d.begin()
}

// lives is the file in which it is written how a group's containers have ended.
func (d *desk) lives(group string) string {
	return filepath.Join(d.layout.StateDir, "lives", group+".json")
}

// What has ended for good stays so when containerd forgets its task, for the keeper that saw it and for the next one.
func TestWhatHasEndedForGoodStaysSoWithoutItsTask(t *testing.T) {
	for _, tt := range []struct {
		name string
		then func(d *desk)
	}{
		{"the same keeper", func(d *desk) { d.wait(time.Minute) }},
		{"another keeper", func(d *desk) { d.another() }},
		{"another after the next", func(d *desk) {
			d.another()
			d.host.LoseEnded()
			d.another()
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			atTill(t, func(t *testing.T, d *desk) {
				d.host.ExitAtOnce("till", "fetch", 0)
				d.host.ExitAtOnce("till", "migrate", 0)
				d.mustApply("till.hcl", edited(till, `shipper:3"`, `shipper:3"`+"\n    on_failure = \"ignore\"\n    restart { policy = \"never\" }"))
				d.exit("till", "shipper", 4)
				d.host.LoseEnded()
				tt.then(d)
				d.did()
				st := d.status("till")
				if st.State != shim.Running || st.Error != "" {
					t.Errorf("%s, error %q", st.State, st.Error)
				}
				for i, status := range map[int]uint32{1: 0, 2: 0, 3: 4} {
					if c := st.Containers[i]; c.Task != shim.TaskStopped || c.ExitStatus == nil || *c.ExitStatus != status {
						t.Errorf("%s: %s, %+v", c.Name, c.Task, c)
					}
				}
			})
		})
	}
}

func TestWhatHasEndedForGoodRunsAgain(t *testing.T) {
	inits := []string{"create fetch", "start fetch", "create migrate", "start migrate"}
	for _, tt := range []struct {
		name string
		do   func(d *desk)
		want []string // among what is done
	}{
		{"after a boot", func(d *desk) {
			d.end()
			d.host.Reboot()
			d.begin()
		}, inits},
		{"stopped and started", func(d *desk) {
			_ = d.keeper.Stop(context.Background(), "till", nil)
			_ = d.keeper.Start(context.Background(), "till", nil)
		}, inits},
		{"restarted", func(d *desk) { _ = d.keeper.Restart(context.Background(), "till", "fetch", nil) }, inits[:2]},
		{"another definition", func(d *desk) {
			_, _ = d.apply("till.hcl", edited(till, "migrate:1", "migrate:2"))
		}, inits[2:]},
	} {
		t.Run(tt.name, func(t *testing.T) {
			atTill(t, func(t *testing.T, d *desk) {
				d.mustOpen()
				d.host.LoseEnded()
				d.another()
				tt.do(d)
				d.wait(time.Minute)
				var got []string
				for _, op := range d.host.Operations() {
					if verb, name, _ := strings.Cut(op, " "); (verb == "create" || verb == "start") && (name == "fetch" || name == "migrate") {
						got = append(got, op)
					}
				}
				if diff := cmp.Diff(slices.Sorted(slices.Values(tt.want)), slices.Sorted(slices.Values(got))); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				if st := d.status("till"); st.State != shim.Running {
					t.Errorf("%s, error %q", st.State, st.Error)
				}
			})
		})
	}
}

// REFERENCE says so of an init: let one be safe to repeat.
func TestAnEndThatNobodyHasSeenIsNoEnd(t *testing.T) {
	for _, tt := range []struct {
		name string
		lose bool // containerd 2 is restarted before the next keeper comes
		want []string
	}{
		{"containerd still knows it", false, []string{"start migrate"}},
		{"nobody knows it", true, []string{"create fetch", "start fetch"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			atTill(t, func(t *testing.T, d *desk) {
				d.write("till.hcl", till)
				d.wait(time.Second)
				d.end()
				d.host.Exit("till", "fetch", 0)
				if tt.lose {
					d.host.LoseEnded()
				}
				d.host.ForgetOperations()
				d.begin()
				d.wait(time.Second)
				d.did(tt.want...)
			})
		})
	}
}

func TestACrashLoopGoesOnUnderTheNextKeeper(t *testing.T) {
	at(t, func(t *testing.T, d *desk) {
		d.mustApply("shop.hcl", shop)
		d.host.ExitAtOnce("shop", "web", 7)
		d.exit("shop", "web", 7)
		d.wait(time.Second + 2*time.Second + 4*time.Second)
		d.host.ForgetOperations()
		for _, when := range []string{"another keeper", "and containerd has forgotten it"} {
			d.another()
			st := d.status("shop")
			if c := st.Containers[2]; c.Row != 4 || c.Restarts != 3 || *c.ExitStatus != 7 || time.Until(c.NextStart) != 8*time.Second {
				t.Errorf("%s: it starts in %s, %+v", when, time.Until(c.NextStart), c)
			}
			if st.State != shim.Degraded || !strings.Contains(st.Error, "web (app) ended with status 7") {
				t.Errorf("%s: %s, error %q", when, st.State, st.Error)
			}
			d.host.LoseEnded()
		}
		d.wait(7 * time.Second)
		d.did()
		d.wait(time.Second)
		d.did("remove web", "create web", "start web")
		if c := d.status("shop").Containers[2]; c.Row != 5 || c.Restarts != 4 {
			t.Errorf("the end that followed: %+v", c)
		}
		d.host.Stay("shop", "web")
		d.wait(16 * time.Second)
		d.another()
		if c := d.status("shop").Containers[2]; c.Row != 5 || c.Restarts != 5 || c.Task != shim.TaskRunning {
			t.Errorf("it runs: %+v", c)
		}
	})
}

// A keeper that is killed between its own stop of a container and its removal leaves an end that is not the container's.
func TestAStopIsNoEndForTheNextKeeper(t *testing.T) {
	for _, tt := range []struct {
		name  string
		lives func(c *spec.Container)
	}{
		{"never", shimtest.Policy(spec.RestartNever)},
		{"stop-group", func(c *spec.Container) { c.OnFailure = spec.FailureStopsGroup }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			at(t, func(t *testing.T, d *desk) {
				d.means(shimtest.EditContainer("web", tt.lives))
				d.mustApply("shop.hcl", shop)
				d.host.FailNext("remove web", errBoom)
				if err := d.keeper.Restart(context.Background(), "shop", "web", nil); err == nil {
					t.Fatal("the removal did not fail")
				}
				d.another()
				if st := d.status("shop"); st.State != shim.Running || d.host.PID("shop", "web") == 0 {
					t.Errorf("%s, error %q:\n%s", st.State, st.Error, d.host)
				}
				d.exit("shop", "web", 143)
				if st := d.status("shop"); st.State == shim.Running {
					t.Error("an end of its own is none, since one was not")
				}
			})
		})
	}
}

// Its program ends well when it is told to, so that nothing but what was noted before tells of a failure.
func TestAProbesStopIsAFailureForTheNextKeeper(t *testing.T) {
	at(t, func(t *testing.T, d *desk) {
		d.end()
		var killed atomic.Bool
		d.config = func(c *shim.Config) {
			c.Prober = d.host.Prober()
			c.Before = func(_ string, s shim.Step) {
				if s.Kind == shim.Stop && killed.CompareAndSwap(false, true) {
					d.host.FailNextDone("stop web", errBoom)
					d.host.FailNext("observe containers", errBoom)
				}
			}
		}
		d.begin()
		d.host.ExitAtOnce("till", "fetch", 0)
		d.host.ExitAtOnce("till", "migrate", 0)
		d.mustApply("till.hcl", edited(till, `web:1"`, `web:1"`+"\n    restart { policy = \"on-failure\" }"))
		d.host.StopWith("till", "web", 0)
		d.host.Answer("till", "web", "live", errRefusing)
		for !killed.Load() {
			d.wait(100 * time.Millisecond)
		}
		d.end()
		d.host.Answer("till", "web", "live", nil)
		d.begin()
		if st := d.status("till"); !strings.Contains(st.Error, "web (app) ended with status 0, stopped because its live probe failed") {
			t.Errorf("%s, error %q", st.State, st.Error)
		}
		d.wait(time.Minute)
		if c := d.status("till").Containers[5]; c.Restarts != 1 || d.host.PID("till", "web") == 0 {
			t.Errorf("%+v:\n%s", c, d.host)
		}
	})
}
