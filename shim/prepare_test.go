package shim_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/shim"
)

// An edit by hand is not looked into before it is taken up, as an apply is. It stops nothing for what can't be had all the same.
func TestEditThatCantBeHadStopsNothing(t *testing.T) {
	for _, tt := range []struct {
		name   string
		lose   func(d *desk)
		after  string // the edit
		want   string // in the status
		mended func(d *desk)
	}{
		{
			"an image that is nowhere", func(d *desk) { d.host.LoseImage("registry.example/web:2") },
			edited(shop, "web:1", "web:2"), "create web (app): image registry.example/web:2: not found",
			func(d *desk) { d.host.FindImage("registry.example/web:2") },
		},
		{
			"a folder that is nowhere", func(d *desk) { d.host.LosePath("/srv/conf") },
			edited(shop, `{ size = "64MiB" }`, `{ host_path = "/srv/conf" }`), "/srv/conf does not exist",
			func(d *desk) { d.host.FindPath("/srv/conf") },
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			at(t, func(t *testing.T, d *desk) {
				d.mustApply("shop.hcl", shop)
				tt.lose(d)
				before := d.host.String()
				d.write("shop.hcl", tt.after)
				d.wait(time.Hour)
				if now := d.host.String(); now != before {
					t.Errorf("before:\n%s\nafter:\n%s", before, now)
				}
				if st := d.status("shop"); st.Generation != 2 || !strings.Contains(st.Error, tt.want) || st.Hint == "" {
					t.Errorf("generation %d, error %q, hint %q", st.Generation, st.Error, st.Hint)
				}
				tt.mended(d)
				d.wait(time.Minute)
				if st := d.status("shop"); st.State != shim.Running || st.Error != "" || d.host.Running("shop") != 3 {
					t.Errorf("mended: %s, error %q\n%s", st.State, st.Error, d.host)
				}
			})
		})
	}
}

// Rules that somebody has flushed are put back, whatever else can't be had.
func TestWhatCantBeHadKeepsNoRulesAway(t *testing.T) {
	at(t, func(t *testing.T, d *desk) {
		d.mustApply("shop.hcl", shop)
		whole := d.host.String()
		d.host.LoseImage("registry.example/web:1")
		d.end()
		d.host.Flush("shop")
		d.host.Exit("shop", "web", 1)
		d.begin()
		d.wait(time.Minute)
		namespace := whole[strings.Index(whole, "namespace shop"):]
		if namespace, _, _ = strings.Cut(namespace, "\n"); !strings.Contains(d.host.String(), namespace) {
			t.Errorf("the rules are not back:\n%s", d.host)
		}
	})
}
