package shim_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport/sallyport/shim"
	"github.com/sallyport/sallyport/spec"
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

// What lives in a namespace that is lost goes at once.
func TestWhatCantBeHadKeepsNothingInALostNamespace(t *testing.T) {
	at(t, func(t *testing.T, d *desk) {
		d.mustApply("shop.hcl", shop)
		d.end()
		d.host.LoseImage("registry.example/web:1")
		d.host.Unpin("shop")
		d.begin()
		d.wait(time.Second)
		if strings.Contains(d.host.String(), "running") {
			t.Errorf("something lives on:\n%s", d.host)
		}
	})
}

// A port of the host that somebody else has is asked for when nobody applies, too: an edit by hand stops nothing for it.
func TestEditThatPublishesAPortThatIsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		var taken atomic.Uint32 // asked for by the runners
		taken.Store(22)
		d.config = func(c *shim.Config) {
			c.PortInUse = func(p spec.Publish) (string, error) {
				if uint32(p.Host) == taken.Load() {
					return "sshd", nil
				}
				return "", nil
			}
		}
		d.begin()
		d.mustApply("shop.hcl", shop)
		before := d.host.String()
		d.write("shop.hcl", edited(newWeb, "8443", "22"))
		d.wait(time.Hour)
		if st := d.status("shop"); st.Error != "port 22/tcp of the host is taken by sshd" || st.Hint != `give publish "http" another host port, or end what has it` {
			t.Errorf("error %q, hint %q", st.Error, st.Hint)
		}
		if now := d.host.String(); now != before {
			t.Errorf("before:\n%s\nafter:\n%s", before, now)
		}
		taken.Store(0)
		d.wait(time.Minute)
		if st := d.status("shop"); st.State != shim.Running || st.Error != "" {
			t.Errorf("%s, error %q", st.State, st.Error)
		}
		// What it publishes is its own, whoever listens there too: its link is put back.
		taken.Store(22)
		d.host.Unlink("shop")
		d.wait(time.Minute)
		if st := d.status("shop"); st.State != shim.Running || st.Error != "" {
			t.Errorf("with a link that was deleted: %s, error %q", st.State, st.Error)
		}
		d.end()
	})
}
