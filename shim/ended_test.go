package shim_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"

	"github.com/sallyport/sallyport/shim"
	"github.com/sallyport/sallyport/shim/shimtest"
	"github.com/sallyport/sallyport/spec"
)

// means lets the next files mean something that they don't say.
func (d *desk) means(edits ...func(*spec.Group)) {
	d.end()
	d.config = func(c *shim.Config) {
		c.Store = shim.NewStore(d.layout).WithParser(func(s spec.Source) ([]spec.Group, hcl.Diagnostics) {
			groups, diags := spec.Parse(s)
			for i := range groups {
				for _, edit := range edits {
					edit(&groups[i])
				}
				groups[i].Pos = spec.Pos{}
				shimtest.Digested(&groups[i])
			}
			return groups, diags
		})
	}
	d.begin()
}

// stopped compares the containers that were stopped, in order, with those that were to be.
func (d *desk) stopped(want ...string) {
	d.t.Helper()
	var got []string
	for _, op := range d.host.Operations() {
		if name, ok := strings.CutPrefix(op, "stop "); ok {
			got = append(got, name)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		d.t.Errorf("stopped (-want +got):\n%s", diff)
	}
	d.host.ForgetOperations()
}

// batch is a job with a sidecar and an ambassador.
var batch = edited(shop, `"shop"`, `"batch"`, `web:1"`, `web:1"`+"\n    restart { policy = \"never\" }")

func TestSidecarsAndAmbassadorEndWithTheJob(t *testing.T) {
	at(t, func(t *testing.T, d *desk) {
		d.mustApply("batch.hcl", batch)
		d.exit("batch", "web", 3)
		d.stopped("shipper", "proxy")
		for _, when := range []string{"at once", "after a boot", "applied again"} {
			st := d.status("batch")
			if st.State != shim.Completed || st.Error != "web (app) ended with status 3" || *st.Containers[2].ExitStatus != 3 {
				t.Errorf("%s: %s, error %q, %+v", when, st.State, st.Error, st.Containers)
			}
			if d.host.String() != "" {
				t.Errorf("%s there is still:\n%s", when, d.host)
			}
			switch when {
			case "at once":
				d.end()
				d.host.Reboot()
				d.begin()
			case "after a boot":
				if _, err := d.apply("batch.hcl", batch); err == nil {
					t.Error("apply says nothing of the job's failure")
				}
			}
		}
	})
}

func TestAGroupThatHasEndedRunsAgain(t *testing.T) {
	for _, tt := range []struct {
		name  string
		again func(d *desk) error
	}{
		{"restarted", func(d *desk) error { return d.keeper.Restart(context.Background(), "batch", "", nil) }},
		{"started", func(d *desk) error { return d.keeper.Start(context.Background(), "batch", nil) }},
		{"another definition", func(d *desk) error {
			_, err := d.apply("batch.hcl", edited(batch, "web:1", "web:2"))
			return err
		}},
		{"started, and how it ended can't be read", func(d *desk) error {
			if err := os.WriteFile(filepath.Join(d.layout.StateDir, "ended", "batch.json"), nil, 0o600); err != nil {
				return err
			}
			return d.keeper.Start(context.Background(), "batch", nil)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			at(t, func(t *testing.T, d *desk) {
				d.mustApply("batch.hcl", batch)
				d.exit("batch", "web", 0)
				if err := tt.again(d); err != nil {
					t.Fatal(err)
				}
				if st := d.status("batch"); st.State != shim.Running || d.host.Running("batch") != 3 {
					t.Errorf("%s, error %q:\n%s", st.State, st.Error, d.host)
				}
				d.wait(time.Hour)
				if st := d.status("batch"); st.State != shim.Running || st.Containers[2].Restarts != 1 && tt.name == "restarted" {
					t.Errorf("an hour later: %s, %+v", st.State, st.Containers)
				}
			})
		})
	}
}

// Its app has ended and is still there, since it could not be taken down at once: no end of before a start counts after it.
func TestAGroupRunsAgainBeforeItIsDown(t *testing.T) {
	at(t, func(t *testing.T, d *desk) {
		d.mustApply("batch.hcl", batch)
		d.host.FailNext("stop shipper", errBoom)
		d.exit("batch", "web", 0)
		if st := d.status("batch"); d.host.Running("batch") == 0 {
			t.Fatalf("it is down, so this proves nothing: %s", st.State)
		}
		if err := d.keeper.Start(context.Background(), "batch", nil); err != nil {
			t.Fatal(err)
		}
		d.wait(time.Hour)
		if st := d.status("batch"); st.State != shim.Running || d.host.Running("batch") != 3 {
			t.Errorf("%s, error %q:\n%s", st.State, st.Error, d.host)
		}
	})
}

func TestAFailureStopsTheGroup(t *testing.T) {
	at(t, func(t *testing.T, d *desk) {
		d.means(shimtest.EditContainer("shipper", func(c *spec.Container) { c.OnFailure = spec.FailureStopsGroup }))
		d.mustApply("shop.hcl", shop)
		d.exit("shop", "shipper", 0)
		d.wait(time.Minute)
		if st := d.status("shop"); st.State != shim.Running {
			t.Fatalf("an end that is no failure: %s", st.State)
		}
		d.exit("shop", "shipper", 9)
		for _, when := range []string{"at once", "after a boot"} {
			st := d.status("shop")
			if st.State != shim.Stopped || !strings.HasPrefix(st.Error, "shipper (sidecar) ended with status 9, and its on_failure") || st.Hint == "" {
				t.Errorf("%s: %s, error %q, hint %q", when, st.State, st.Error, st.Hint)
			}
			if d.host.String() != "" {
				t.Errorf("%s there is still:\n%s", when, d.host)
			}
			d.end()
			d.host.Reboot()
			d.begin()
		}
		d.remove("shop.hcl")
		if _, err := os.Stat(filepath.Join(d.layout.StateDir, "ended", "shop.json")); !os.IsNotExist(err) {
			t.Errorf("what was written down is not forgotten: %v", err)
		}
	})
}

func TestWhatIsNotWrittenDownIsNotTakenDown(t *testing.T) {
	at(t, func(t *testing.T, d *desk) {
		d.mustApply("batch.hcl", batch)
		blocked := filepath.Join(d.layout.StateDir, "ended")
		if err := os.WriteFile(blocked, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		d.exit("batch", "web", 0)
		d.did()
		if st := d.status("batch"); st.State != shim.Running || !strings.Contains(st.Error, "whether group batch has ended") {
			t.Errorf("%s, error %q", st.State, st.Error)
		}
		if err := os.Remove(blocked); err != nil {
			t.Fatal(err)
		}
		d.wait(time.Minute)
		if st := d.status("batch"); st.State != shim.Completed {
			t.Errorf("written down at last: %s, error %q", st.State, st.Error)
		}
	})
}

// Who applies an ended group as it is learns how it has ended, and how it runs again.
func TestPreviewOfAnEndedGroupThatIsUnchanged(t *testing.T) {
	for _, tt := range []struct {
		name   string
		status uint32
		want   string
	}{
		{"well", 0, "it has completed; an unchanged file doesn't run it again, \"sallyport start batch\" does"},
		{"with a failure", 5, "it has completed, web (app) ended with status 5; an unchanged file doesn't run it again, \"sallyport start batch\" does"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			at(t, func(t *testing.T, d *desk) {
				preview := func(text string) shim.Preview {
					t.Helper()
					all, err := d.keeper.Preview(t.Context(), bundles("batch.hcl", text))
					if err != nil {
						t.Fatal(err)
					}
					return all[0]
				}
				d.mustApply("batch.hcl", batch)
				d.exit("batch", "web", tt.status)
				if p := preview(batch); p.Ended != tt.want || len(p.Steps) > 0 {
					t.Errorf("unchanged: %+v, want %q", p, tt.want)
				}
				if p := preview(edited(batch, "web:1", "web:2")); p.Ended != "" || len(p.Steps) == 0 {
					t.Errorf("changed: %+v", p)
				}
				if err := d.keeper.Stop(t.Context(), "batch", nil); err != nil {
					t.Fatal(err)
				}
				if p := preview(batch); p.Ended != "" {
					t.Errorf("stopped: %+v", p)
				}
			})
		})
	}
}
