package shim_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim"
)

// boot is a boot of the host.
func (d *desk) boot() {
	d.t.Helper()
	d.end()
	d.host.Reboot()
	d.begin()
	d.wait(time.Minute)
}

// Nobody sees the ends that a boot brings: they end no run of a row, and are no reason to forget that a long run did.
func TestALongRunEndsARowThoughABootEndsTheRun(t *testing.T) {
	at(t, func(t *testing.T, d *desk) {
		d.mustApply("shop.hcl", shop)
		for range 3 {
			d.exit("shop", "web", 7)
			if c := d.status("shop").Containers[2]; c.Row != 1 || time.Until(c.NextStart) != time.Second {
				t.Errorf("it starts in %s, %+v", time.Until(c.NextStart), c)
			}
			d.wait(2 * time.Minute)
			if h, _ := shim.NewStore(d.layout).Lives("shop"); h["web"].Row != 1 {
				t.Errorf("after two minutes: %+v", h["web"])
			}
			d.wait(10 * time.Minute)
			if h, _ := shim.NewStore(d.layout).Lives("shop"); h["web"].Row != 0 {
				t.Errorf("after twelve: %+v", h["web"])
			}
			d.boot()
		}
	})
}

func TestACrashLoopGoesOnAfterABoot(t *testing.T) {
	at(t, func(t *testing.T, d *desk) {
		d.mustApply("shop.hcl", shop)
		d.host.ExitAtOnce("shop", "web", 7)
		d.exit("shop", "web", 7)
		d.wait(time.Second)
		if c := d.status("shop").Containers[2]; c.Row != 2 {
			t.Fatalf("%+v", c)
		}
		d.end()
		d.host.Reboot()
		d.begin()
		if c := d.status("shop").Containers[2]; c.Row != 3 || time.Until(c.NextStart) != 4*time.Second {
			t.Errorf("it starts in %s, %+v", time.Until(c.NextStart), c)
		}
	})
}

func TestAnOperatorsStartForgivesARow(t *testing.T) {
	for _, tt := range []struct {
		name string
		then func(d *desk) // between the stop and the start
	}{
		{"at once", func(*desk) {}},
		{"after a boot", func(d *desk) { d.boot() }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			at(t, func(t *testing.T, d *desk) {
				d.mustApply("shop.hcl", shop)
				d.host.ExitAtOnce("shop", "web", 7)
				d.exit("shop", "web", 7)
				d.wait(time.Minute)
				if c := d.status("shop").Containers[2]; c.Row < 5 {
					t.Fatalf("%+v", c)
				}
				if err := d.keeper.Stop(context.Background(), "shop", nil); err != nil {
					t.Fatal(err)
				}
				tt.then(d)
				d.host.Stay("shop", "web")
				if err := d.keeper.Start(context.Background(), "shop", nil); err != nil {
					t.Fatal(err)
				}
				d.exit("shop", "web", 7)
				if c := d.status("shop").Containers[2]; c.Row != 1 || time.Until(c.NextStart) != time.Second {
					t.Errorf("it starts in %s, %+v", time.Until(c.NextStart), c)
				}
			})
		})
	}
}

// What runs again after a boot was not restarted: no count grows, and no event tells of a crash.
func TestABootIsNoRestart(t *testing.T) {
	atTill(t, func(t *testing.T, d *desk) {
		d.end()
		journal, err := shim.OpenJournal(shim.JournalConfig{Layout: d.layout})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = journal.Close() }()
		config := d.config
		d.config = func(c *shim.Config) {
			config(c)
			c.Journal = journal
		}
		d.begin()
		d.mustOpen()
		d.exit("till", "web", 1)
		d.wait(time.Minute)
		for range 2 {
			d.boot()
		}
		var restarts []int
		for _, c := range d.status("till").Containers {
			restarts = append(restarts, c.Restarts)
		}
		if diff := cmp.Diff([]int{0, 0, 0, 0, 0, 1}, restarts); diff != "" {
			t.Errorf("restarts (-want +got):\n%s", diff)
		}
		var got []string
		if err := journal.Events(t.Context(), shim.EventQuery{}, func(e shim.Event) error {
			if e.Kind == shim.EventRestarted {
				got = append(got, e.Group+"."+e.Container)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"till.web"}, got); diff != "" {
			t.Errorf("told to be restarted (-want +got):\n%s", diff)
		}
	})
}
