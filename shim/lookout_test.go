package shim_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim"
)

// watched runs a test at a desk whose keepers have a lookout and a journal.
func watched(t *testing.T, do func(t *testing.T, d *desk, said func(want ...string))) {
	t.Helper()
	at(t, func(t *testing.T, d *desk) {
		d.end()
		journal, err := shim.OpenJournal(shim.JournalConfig{Layout: d.layout})
		if err != nil {
			t.Fatal(err)
		}
		defer journal.Close()
		d.config = func(c *shim.Config) { c.Changes, c.Drift, c.Journal = d.host, d.host, journal }
		d.begin()
		told := 0
		do(t, d, func(want ...string) {
			t.Helper()
			synctest.Wait()
			got := []string{}
			if err := journal.Events(t.Context(), shim.EventQuery{}, func(e shim.Event) error {
				got = append(got, strings.Trim(e.Group+"."+e.Container, ".")+" "+string(e.Kind)+": "+e.Text)
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			fresh := got[told:]
			told = len(got)
			if diff := cmp.Diff(append([]string{}, want...), fresh); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
		})
	})
}

func TestDriftIsPutBackAtOnce(t *testing.T) {
	const putBack = ": gone or changed by others, put back"
	for _, tt := range []struct {
		name   string
		change func(d *desk)
		did    []string
		said   []string
	}{
		{"rules", func(d *desk) { d.host.Flush("shop") }, []string{"seal", "admit"}, []string{
			"shop state: degraded", "shop drift: its namespace" + putBack, "shop state: running",
		}},
		{"link", func(d *desk) { d.host.Unlink("shop") }, []string{"connect"}, []string{
			"shop state: degraded", "shop drift: its link" + putBack, "shop state: running",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			watched(t, func(t *testing.T, d *desk, said func(...string)) {
				d.mustApply("shop.hcl", shop)
				d.wait(5 * time.Second)
				said("shop accepted: generation 1, by apply of shop.hcl", "shop state: starting", "shop state: running")
				d.did()
				tt.change(d)
				d.wait(time.Second)
				d.did(tt.did...)
				said(tt.said...)
				d.wait(5 * time.Second)
				d.did()
				said()
			})
		})
	}
}

func TestDriftThatCannotBePutBack(t *testing.T) {
	watched(t, func(t *testing.T, d *desk, said func(...string)) {
		d.mustApply("shop.hcl", shop)
		said("shop accepted: generation 1, by apply of shop.hcl", "shop state: starting", "shop state: running")
		for range 5 {
			d.host.FailNext("admit", errBoom)
		}
		d.host.Flush("shop")
		d.wait(5 * time.Second)
		said("shop state: degraded",
			"shop drift: its namespace: gone or changed by others, not yet put back: admit: boom")
		d.wait(time.Minute)
		said("shop drift: its namespace: gone or changed by others, put back", "shop state: running")
	})
}

// One who changes it back each time is told of less and less often; it is put back each time.
func TestDriftThatGoesOn(t *testing.T) {
	watched(t, func(t *testing.T, d *desk, said func(...string)) {
		d.mustApply("shop.hcl", shop)
		said("shop accepted: generation 1, by apply of shop.hcl", "shop state: starting", "shop state: running")
		d.did()
		fight := func(times int) {
			for range times {
				d.host.Flush("shop")
				d.wait(2 * time.Second)
			}
		}
		const changed = "shop drift: its namespace: gone or changed by others, put back"
		for range 20 {
			fight(1)
			said("shop state: degraded", changed, "shop state: running")
			d.did("seal", "admit")
		}
		fight(150)
		if did := d.host.Operations(); len(did) != 300 {
			t.Errorf("%d steps, want 300", len(did))
		}
		var want []string
		for _, times := range []string{"", " 2 times", " 4 times", " 8 times", " 16 times", " 30 times", " 30 times", " 30 times"} {
			want = append(want, "shop state: degraded", changed+times, "shop state: running")
		}
		said(want...)
		d.host.ForgetOperations()
		d.wait(2 * time.Minute)
		said(changed + " 29 times")
		fight(1)
		said("shop state: degraded", changed, "shop state: running")
	})
}

// A group of which a step fails over and over waits longer and longer before it is tried again; its
// rules don't wait for that.
func TestDriftIsPutBackWhileARetryWaits(t *testing.T) {
	watched(t, func(t *testing.T, d *desk, said func(...string)) {
		d.mustApply("shop.hcl", shop)
		for range 20 {
			d.host.FailNext("create web", errBoom)
		}
		d.exit("shop", "web", 1)
		d.wait(40 * time.Second)
		d.host.ForgetOperations()
		d.host.Flush("shop")
		d.wait(time.Second)
		if did := d.host.Operations(); len(did) < 2 || did[0] != "seal" || did[1] != "admit" {
			t.Errorf("did %q", did)
		}
	})
}

// What an operator or a new daemon changes is no drift.
func TestNoDrift(t *testing.T) {
	watched(t, func(t *testing.T, d *desk, said func(...string)) {
		d.mustApply("shop.hcl", shop)
		said("shop accepted: generation 1, by apply of shop.hcl", "shop state: starting", "shop state: running")
		d.mustApply("shop.hcl", edited(shop, "host = 8443", "host = 8444"))
		d.wait(time.Minute)
		said("shop accepted: generation 2, by apply of shop.hcl", "shop state: degraded", "shop state: running")
		d.end()
		d.begin()
		d.wait(time.Minute)
		said()
		if err := d.keeper.Remove(context.Background(), "shop", nil); err != nil {
			t.Fatal(err)
		}
		said("shop state: stopping", "shop state: gone")
	})
}

func TestRestartsAreRecorded(t *testing.T) {
	watched(t, func(t *testing.T, d *desk, said func(...string)) {
		d.mustApply("shop.hcl", shop)
		said("shop accepted: generation 1, by apply of shop.hcl", "shop state: starting", "shop state: running")
		d.exit("shop", "web", 137)
		d.wait(time.Second)
		said("shop state: degraded: web (app) ended with status 137 (SIGKILL)", "shop.web restarted: ended with status 137 (SIGKILL), started again", "shop state: running")
		if err := d.keeper.Restart(context.Background(), "shop", "web", nil); err != nil {
			t.Fatal(err)
		}
		d.wait(time.Second)
		said()
	})
}
