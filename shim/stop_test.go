package shim_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim"
)

func (d *desk) stop(group string) ([]string, error) {
	var lines []string
	err := d.keeper.Stop(context.Background(), group, func(l string) { lines = append(lines, l) })
	return lines, err
}

func (d *desk) start(group string) error { return d.keeper.Start(context.Background(), group, nil) }

// checkStopped wants nothing of the group on the host, and the group known all the same.
func (d *desk) checkStopped(group string) {
	d.t.Helper()
	if strings.Contains(d.host.String(), group) {
		d.t.Errorf("something is left:\n%s", d.host)
	}
	if st := d.status(group); st.State != shim.Stopped || st.Error != "" || st.File == "" {
		d.t.Errorf("%s, file %q, error %q", st.State, st.File, st.Error)
	}
}

func TestStopTakesAllDownAndStartBringsItBack(t *testing.T) {
	at(t, func(t *testing.T, d *desk) {
		d.mustApply("shop.hcl", shop)
		before := d.host.String()
		lines, err := d.stop("shop")
		if err != nil {
			t.Fatal(err)
		}
		want := []string{
			"shop: stop web (app), grace 10s",
			"shop: stop shipper (sidecar), grace 10s",
			"shop: stop proxy (ambassador), grace 10s",
			"shop: remove web (app), shipper (sidecar), proxy (ambassador)",
			"shop: unmount volume logs",
			"shop: disconnect shop, unpin its namespace",
			"shop: stopped",
		}
		if diff := cmp.Diff(want, lines); diff != "" {
			t.Errorf("progress (-want +got):\n%s", diff)
		}
		d.checkStopped("shop")
		d.host.ForgetOperations()
		if lines, err := d.stop("shop"); err != nil || len(lines) != 1 {
			t.Errorf("a second stop: %q, %v", lines, err)
		}
		d.did()
		if err := d.start("shop"); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before, d.host.String()); diff != "" {
			t.Errorf("the host (-before +after):\n%s", diff)
		}
		d.host.ForgetOperations()
		if err := d.start("shop"); err != nil {
			t.Error(err)
		}
		d.did()
		if st := d.status("shop"); st.State != shim.Running || st.Generation != 1 {
			t.Errorf("%s, generation %d", st.State, st.Generation)
		}
	})
}

func TestStoppedStaysStopped(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(d *desk)
	}{
		{"for hours", func(d *desk) { d.wait(24 * time.Hour) }},
		{"with another daemon", func(d *desk) { d.end(); d.begin() }},
		{"after a boot", func(d *desk) { d.end(); d.host.Reboot(); d.begin() }},
		{"with another definition applied", func(d *desk) { d.mustApply("shop.hcl", newWeb) }},
		{"with another definition in the folder", func(d *desk) { d.write("shop.hcl", newWeb) }},
		{"when its file is broken", func(d *desk) { d.write("shop.hcl", "group {"); d.write("shop.hcl", shop) }},
		{"when it is restarted", func(d *desk) {
			err := d.keeper.Restart(context.Background(), "shop", "", nil)
			if p, ok := errors.AsType[*shim.Problem](err); !ok || p.Hint != "sallyport start shop" {
				d.t.Errorf("restart: %v", err)
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			at(t, func(t *testing.T, d *desk) {
				d.mustApply("shop.hcl", shop)
				if _, err := d.stop("shop"); err != nil {
					t.Fatal(err)
				}
				tt.do(d)
				d.checkStopped("shop")
				if err := d.start("shop"); err != nil || d.host.Running("shop") != 3 {
					t.Errorf("start: %v\n%s", err, d.host)
				}
			})
		})
	}
}

// A daemon that is killed while it stops a group: the next one goes on.
func TestStopIsFinishedByTheNextDaemon(t *testing.T) {
	at(t, func(t *testing.T, d *desk) {
		d.mustApply("shop.hcl", shop)
		ctx, cancel := context.WithCancel(context.Background())
		d.end()
		d.config = func(c *shim.Config) { // no step is so fast that it is done before the daemon ends
			c.Trace = func(string, shim.Step, time.Duration) { time.Sleep(time.Second) }
		}
		d.begin()
		err := d.keeper.Stop(ctx, "shop", func(string) { cancel() })
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		d.end()
		d.begin()
		d.wait(time.Minute)
		d.checkStopped("shop")
	})
}

func TestStopWhereThereIsNothingToStop(t *testing.T) {
	at(t, func(t *testing.T, d *desk) {
		if _, err := d.stop("shop"); !errors.Is(err, shim.ErrNoGroup) {
			t.Errorf("stop: %v", err)
		}
		if err := d.start("shop"); !errors.Is(err, shim.ErrNoGroup) {
			t.Errorf("start: %v", err)
		}
	})
}

// What was stopped, removed and applied anew is another group, and runs.
func TestRemovingForgetsThatItWasStopped(t *testing.T) {
	at(t, func(t *testing.T, d *desk) {
		d.mustApply("shop.hcl", shop)
		if _, err := d.stop("shop"); err != nil {
			t.Fatal(err)
		}
		if err := d.keeper.Remove(context.Background(), "shop", nil); err != nil {
			t.Fatal(err)
		}
		d.mustApply("shop.hcl", shop)
		if d.host.Running("shop") != 3 {
			t.Errorf("it does not run:\n%s", d.host)
		}
	})
}

// TestStartThatIsUndoneMeanwhileFails: the other call's success is not this one's.
func TestStartThatIsUndoneMeanwhileFails(t *testing.T) {
	for _, tt := range []struct {
		name, want string
		undo       func(d *desk) error
	}{
		{"by stop", "was stopped meanwhile", func(d *desk) error { return d.keeper.Stop(context.Background(), "till", nil) }},
		{"by rm", "was removed meanwhile", func(d *desk) error { return d.keeper.Remove(context.Background(), "till", nil) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			atTill(t, func(t *testing.T, d *desk) {
				d.mustOpen()
				if _, err := d.stop("till"); err != nil {
					t.Fatal(err)
				}
				d.host.Answer("till", "proxy", "ready", errRefusing)
				var err error
				done := false
				go func() { err, done = d.start("till"), true }()
				d.wait(5 * time.Second)
				if done {
					t.Fatalf("start has ended: %v", err)
				}
				if err := tt.undo(d); err != nil {
					t.Fatal(err)
				}
				d.wait(time.Second)
				if !done || err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("done: %v, start said %v", done, err)
				}
			})
		})
	}
}
