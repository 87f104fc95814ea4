package shim_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim"
)

// A keeper that has done nothing of a group tells since when it is as it is by what there is of it.
func TestSinceOutlivesTheKeeper(t *testing.T) {
	for _, tt := range []struct {
		name string
		text string
		do   func(d *desk)
	}{
		{"running", shop, func(*desk) {}},
		{"running, with probes", till, func(d *desk) {
			for _, name := range []string{"fetch", "migrate"} {
				d.exit("till", name, 0)
			}
		}},
		{"completed", job, func(d *desk) { d.exit("job", "once", 0) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			at(t, func(t *testing.T, d *desk) {
				d.end()
				d.config = func(c *shim.Config) { c.Prober = d.host.Prober() }
				d.begin()
				d.write("a.hcl", tt.text)
				tt.do(d)
				d.wait(time.Minute)
				all, err := d.keeper.Status("")
				if err != nil {
					t.Fatal(err)
				}
				since := all[0].Since
				d.wait(time.Hour)
				d.end()
				d.begin()
				d.wait(time.Minute)
				now, err := d.keeper.Status("")
				if err != nil {
					t.Fatal(err)
				}
				if now[0].State != all[0].State || now[0].Since.Sub(since).Abs() > 30*time.Second {
					t.Errorf("%s since %s, and was %s since %s", now[0].State, now[0].Since, all[0].State, since)
				}
				if all[0].State == shim.Running {
					d.end()
					d.host.Reboot()
					d.wait(time.Hour)
					d.begin()
					tt.do(d)
					d.wait(time.Minute)
					if st, _ := d.keeper.Status(""); st[0].State != shim.Running || time.Since(st[0].Since) > 2*time.Minute {
						t.Errorf("after a boot: %s since %s", st[0].State, st[0].Since)
					}
				}
			})
		})
	}
}

// Each generation is told of once, whatever made it.
func TestGenerationsAreToldOf(t *testing.T) {
	at(t, func(t *testing.T, d *desk) {
		d.end()
		journal, err := shim.OpenJournal(shim.JournalConfig{Layout: d.layout})
		if err != nil {
			t.Fatal(err)
		}
		defer journal.Close()
		d.config = func(c *shim.Config) { c.Journal = journal }
		d.begin()
		d.mustApply("shop.hcl", shop)
		d.mustApply("shop.hcl", shop)
		d.write("shop.hcl", version(2))
		if err := d.rollback("shop", 0); err != nil {
			t.Fatal(err)
		}
		d.host.FailNext("create web", errBoom)
		if _, err := d.apply("shop.hcl", version(3)); err == nil {
			t.Fatal("it did not fail")
		}
		d.end()
		d.begin()
		d.remove("shop.hcl")
		d.mustApply("shop.hcl", shop)
		var got []string
		err = journal.Events(t.Context(), shim.EventQuery{}, func(e shim.Event) error {
			if e.Kind != shim.EventState {
				got = append(got, string(e.Kind)+": "+e.Text)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		want := []string{
			"accepted: generation 1, by apply of shop.hcl",
			"accepted: generation 2, by an edit of shop.hcl",
			"rollback: an earlier generation is put back as generation 3",
			"accepted: generation 4, by apply of shop.hcl",
			"reverted: generation 4 was taken back, the one before it is put in its place as generation 5: create web (app): create web: boom",
			"accepted: generation 1, by apply of shop.hcl",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
}
