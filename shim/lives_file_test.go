package shim_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/shim"
)

// spoil makes what was written down of the ends of a group's containers unreadable.
func (d *desk) spoil(group string) {
	d.t.Helper()
	if err := os.MkdirAll(filepath.Dir(d.lives(group)), 0o700); err != nil {
		d.t.Fatal(err)
	}
	if err := os.WriteFile(d.lives(group), []byte("{"), 0o600); err != nil {
		d.t.Fatal(err)
	}
}

// Where an end may have been for good, or the keeper's doing, nothing is started until somebody says so.
func TestLivesThatCantBeReadAndDecide(t *testing.T) {
	for _, tt := range []struct {
		name string
		with string        // what web has beside its image
		do   func(d *desk) // while no keeper runs
		stop bool          // before the start: what had ended for good would run once more by it
	}{
		{"an init has no task", "", func(d *desk) {
			d.host.LoseEnded()
			d.host.Exit("till", "web", 1)
		}, true},
		{"an app that runs once has no task", `restart { policy = "never" }`, func(d *desk) {
			d.host.Exit("till", "web", 0)
			d.host.LoseEnded()
		}, true},
		{"an app that runs once has ended, or was stopped", `restart { policy = "never" }`, func(d *desk) {
			d.host.Exit("till", "web", 143)
		}, false},
		{"an app that stops the group has ended, or was stopped", `on_failure = "stop-group"`, func(d *desk) {
			d.host.Exit("till", "web", 143)
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			atTill(t, func(t *testing.T, d *desk) {
				d.host.ExitAtOnce("till", "fetch", 0)
				d.host.ExitAtOnce("till", "migrate", 0)
				d.mustApply("till.hcl", edited(till, `web:1"`, `web:1"`+"\n    "+tt.with))
				d.end()
				tt.do(d)
				d.spoil("till")
				d.begin()
				d.wait(time.Minute)
				d.did()
				if err := d.keeper.Restart(context.Background(), "till", "shipper", nil); err == nil {
					t.Error("a restart of something else goes on")
				}
				d.did()
				st := d.status("till")
				if !strings.Contains(st.Error, "how the containers of group till have ended") || st.Hint == "" || d.host.Running("till") != 3 {
					t.Errorf("%s, error %q, hint %q:\n%s", st.State, st.Error, st.Hint, d.host)
				}
				if tt.stop {
					if err := d.keeper.Stop(context.Background(), "till", nil); err != nil {
						t.Errorf("stop: %v", err)
					}
				}
				if err := d.keeper.Start(context.Background(), "till", nil); err != nil {
					t.Errorf("start: %v", err)
				}
				if d.host.PID("till", "web") == 0 {
					t.Errorf("it is not started:\n%s", d.host)
				}
				if _, err := shim.NewStore(d.layout).Lives("till"); err != nil {
					t.Errorf("it is not mended: %v", err)
				}
			})
		})
	}
}

// What can't be read and decides nothing keeps nobody from anything.
func TestLivesThatCantBeReadAndDecideNothing(t *testing.T) {
	for _, tt := range []struct {
		name  string
		group string
		text  string
		do    func(d *desk) // while no keeper runs
	}{
		{"all runs", "shop", shop, func(*desk) {}},
		{"an app has ended", "shop", shop, func(d *desk) { d.host.Exit("shop", "web", 1) }},
		{"an app has no task", "shop", shop, func(d *desk) {
			d.host.Exit("shop", "web", 1)
			d.host.LoseEnded()
		}},
		{"inits have ended well", "till", till, func(*desk) {}},
		{"an app has ended after its inits", "till", till, func(d *desk) { d.host.Exit("till", "web", 1) }},
		{"after a boot", "till", till, func(d *desk) { d.host.Reboot() }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			atTill(t, func(t *testing.T, d *desk) {
				d.host.ExitAtOnce("till", "fetch", 0)
				d.host.ExitAtOnce("till", "migrate", 0)
				d.mustApply(tt.group+".hcl", tt.text)
				d.end()
				tt.do(d)
				d.spoil(tt.group)
				d.begin()
				d.wait(time.Minute)
				if st := d.status(tt.group); st.State != shim.Running || st.Error != "" {
					t.Errorf("%s, error %q:\n%s", st.State, st.Error, d.host)
				}
				d.exit(tt.group, "web", 1)
				if h, err := shim.NewStore(d.layout).Lives(tt.group); err != nil || !h["web"].Ended {
					t.Errorf("it is not written anew: %+v, error %v", h, err)
				}
				d.wait(2 * time.Second)
				if d.host.PID(tt.group, "web") == 0 {
					t.Errorf("it is not kept:\n%s", d.host)
				}
			})
		})
	}
}

// hinder makes the store fail to write the lives down as long as *so.
func hinder(s *shim.Store, l shim.Layout, so *bool) *shim.Store {
	dir := filepath.Join(l.StateDir, "lives")
	hidden := false
	s.Begin = func(change string) {
		if *so && change == "write lives" {
			hidden = os.Rename(dir, dir+".away") == nil
		}
	}
	s.End = func(string) {
		if hidden {
			hidden = os.Rename(dir+".away", dir) != nil
		}
	}
	return s
}

// The disk is full when an app is replaced whose end was noted before: that the inits have ended well is known to the next keeper.
func TestInitsStayEndedThoughAnAppsLifeCantBeWritten(t *testing.T) {
	atTill(t, func(t *testing.T, d *desk) {
		full := false
		d.end()
		config := d.config
		d.config = func(c *shim.Config) {
			config(c)
			hinder(c.Store, d.layout, &full)
		}
		d.begin()
		d.mustOpen()
		d.exit("till", "web", 1)
		full = true
		d.mustApply("till.hcl", edited(till, "web:1", "web:2"))
		d.wait(time.Minute)
		d.end()
		d.host.LoseEnded()
		d.host.ForgetOperations()
		d.begin()
		d.wait(time.Minute)
		d.did()
		if st := d.status("till"); st.State != shim.Running {
			t.Errorf("%s, error %q", st.State, st.Error)
		}
	})
}

func TestLivesThatCantBeWrittenHoldNobodyUp(t *testing.T) {
	at(t, func(t *testing.T, d *desk) {
		blocked := filepath.Dir(d.lives("shop"))
		d.mustApply("shop.hcl", shop)
		if err := os.WriteFile(blocked, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		d.exit("shop", "web", 1)
		d.wait(time.Second)
		d.did("remove web", "create web", "start web")
		if err := os.Remove(blocked); err != nil {
			t.Fatal(err)
		}
		d.wait(time.Minute)
		if h, err := shim.NewStore(d.layout).Lives("shop"); err != nil || h["web"].Row != 1 {
			t.Errorf("written down at last: %v, error %v", h, err)
		}
		d.remove("shop.hcl")
		if _, err := os.Stat(d.lives("shop")); !os.IsNotExist(err) {
			t.Errorf("what was written down is not forgotten: %v", err)
		}
	})
}
