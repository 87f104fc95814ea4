package shim_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/shim"
)

var withData = strings.Replace(withConf, `host_path = "/srv/conf"`, "persistent = true", 1)

func (d *desk) purge(group string) ([]string, error) {
	var lines []string
	err := d.keeper.Purge(context.Background(), group, func(l string) { lines = append(lines, l) })
	return lines, err
}

// checkKept wants the group's persistent volumes there, or gone.
func (d *desk) checkKept(group string, want bool) {
	d.t.Helper()
	if got := len(d.host.Kept(group)) > 0; got != want {
		d.t.Errorf("volumes kept: %v, want %v", got, want)
	}
}

func TestPurgeDeletesTheVolumesWhenAllIsDown(t *testing.T) {
	at(t, func(t *testing.T, d *desk) {
		d.mustApply("shop.hcl", withData)
		lines, err := d.purge("shop")
		if err != nil {
			t.Fatal(err)
		}
		if n := len(lines); n < 2 || lines[n-2] != "shop: delete its persistent volumes" || lines[n-1] != "shop: gone" {
			t.Errorf("progress %q", lines)
		}
		d.checkKept("shop", false)
		if _, err := d.purge("shop"); !errors.Is(err, shim.ErrNoGroup) {
			t.Errorf("once more: %v", err)
		}
	})
}

func TestVolumesOutliveAllElse(t *testing.T) {
	at(t, func(t *testing.T, d *desk) {
		d.mustApply("shop.hcl", withData)
		if _, err := d.stop("shop"); err != nil {
			t.Fatal(err)
		}
		d.checkKept("shop", true)
		if err := d.keeper.Remove(context.Background(), "shop", nil); err != nil {
			t.Fatal(err)
		}
		d.checkKept("shop", true)
		// What is left on the disk tells that there is something to delete.
		if err := os.MkdirAll(filepath.Dir(d.layout.PersistentPath("shop", "conf")), 0o700); err != nil {
			t.Fatal(err)
		}
		if _, err := d.purge("shop"); err != nil {
			t.Error(err)
		}
		d.checkKept("shop", false)
	})
}

func TestPurgeIsFinishedWhateverHappens(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(d *desk)
	}{
		{"a failure", func(d *desk) {
			d.host.FailNext("discard shop", errBoom)
			if _, err := d.purge("shop"); err == nil || !strings.Contains(err.Error(), "boom") {
				d.t.Errorf("error %v", err)
			}
			d.wait(time.Minute)
		}},
		{"a daemon that is killed", func(d *desk) {
			d.end()
			d.config = func(c *shim.Config) {
				c.Trace = func(string, shim.Step, time.Duration) { time.Sleep(time.Second) }
			}
			d.begin()
			ctx, cancel := context.WithCancel(context.Background())
			if err := d.keeper.Purge(ctx, "shop", func(string) { cancel() }); !errors.Is(err, context.Canceled) {
				d.t.Errorf("error %v", err)
			}
			d.end()
			d.begin()
			d.wait(time.Minute)
		}},
		{"a removal that was under way", func(d *desk) {
			d.host.FailNext("stop web", errBoom)
			if err := d.keeper.Remove(context.Background(), "shop", nil); err == nil {
				d.t.Error("no error")
			}
			if _, err := d.purge("shop"); err != nil {
				d.t.Error(err)
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			at(t, func(t *testing.T, d *desk) {
				d.mustApply("shop.hcl", withData)
				tt.do(d)
				d.checkKept("shop", false)
				if _, err := d.keeper.Status("shop"); !errors.Is(err, shim.ErrNoGroup) {
					t.Errorf("the group is still there: %v", err)
				}
			})
		})
	}
}

// A group that is applied again before it was gone keeps what a plain removal keeps.
func TestApplyEndsAPurgeThatHasNotBegunToDelete(t *testing.T) {
	at(t, func(t *testing.T, d *desk) {
		d.mustApply("shop.hcl", withData)
		d.host.FailNext("stop web", errBoom)
		if _, err := d.purge("shop"); err == nil {
			t.Error("no error")
		}
		d.mustApply("shop.hcl", withData)
		d.wait(time.Hour)
		d.checkKept("shop", true)
		if st := d.status("shop"); st.State != shim.Running {
			t.Errorf("%s: %s", st.State, st.Error)
		}
	})
}

// A group that was just written into the file by hand does not go with the one that is removed.
func TestRemoveSparesAGroupThatNobodyHasNoticed(t *testing.T) {
	for _, volumes := range []bool{false, true} {
		at(t, func(t *testing.T, d *desk) {
			d.mustApply("shop.hcl", withData)
			if err := os.WriteFile(filepath.Join(d.layout.GroupsDir, "shop.hcl"), []byte(withData+job), 0o600); err != nil {
				t.Fatal(err)
			}
			remove := d.keeper.Remove
			if volumes {
				remove = d.keeper.Purge
			}
			if err := remove(context.Background(), "shop", nil); err == nil || !strings.Contains(err.Error(), "defines group job too") {
				t.Errorf("error %v", err)
			}
			if got := d.text("shop.hcl"); got != withData+job {
				t.Errorf("the file is\n%s", got)
			}
			d.checkKept("shop", true)
		})
	}
}
