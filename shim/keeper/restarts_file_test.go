package keeper_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/keeper"
	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/shim/store"
)

// corruptRecords makes the records of how a group's containers have ended unreadable.
func (h *harness) corruptRecords(group string) {
	h.t.Helper()
	if err := os.MkdirAll(filepath.Dir(h.recordsFile(group)), 0o700); err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(h.recordsFile(group), []byte("{"), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// If an end may have been for good, or caused by the keeper, nothing starts until an operator asks
// for it.
func TestUnreadableRecordsThatDecide(t *testing.T) {
	for _, tt := range []struct {
		name string
		with string           // more attributes of web
		do   func(h *harness) // while no keeper runs
		stop bool             // stop before the start, which would otherwise repeat what has ended for good
	}{
		{"an init has no task", "", func(h *harness) {
			h.host.LoseEnded()
			h.host.Exit("till", "web", 1)
		}, true},
		{"an app that runs once has no task", `restart { policy = "never" }`, func(h *harness) {
			h.host.Exit("till", "web", 0)
			h.host.LoseEnded()
		}, true},
		{"an app that runs once has ended, or was stopped", `restart { policy = "never" }`, func(h *harness) {
			h.host.Exit("till", "web", 143)
		}, false},
		{"an app that stops the group has ended, or was stopped", `on_failure = "stop-group"`, func(h *harness) {
			h.host.Exit("till", "web", 143)
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			withTill(t, func(t *testing.T, h *harness) {
				h.host.ExitAtOnce("till", "fetch", 0)
				h.host.ExitAtOnce("till", "migrate", 0)
				h.mustApply("till.hcl", edited(till, `web:1"`, `web:1"`+"\n    "+tt.with))
				h.end()
				tt.do(h)
				h.corruptRecords("till")
				h.begin()
				h.wait(time.Minute)
				h.did()
				if err := h.keeper.Restart(context.Background(), "till", "shipper", nil); err == nil {
					t.Error("a restart of another container succeeds")
				}
				h.did()
				st := h.status("till")
				if !strings.Contains(st.Error, "how the containers of group till have ended") || st.Hint == "" || h.host.Running("till") != 3 {
					t.Errorf("%s, error %q, hint %q:\n%s", st.State, st.Error, st.Hint, h.host)
				}
				if tt.stop {
					if err := h.keeper.Stop(context.Background(), "till", nil); err != nil {
						t.Errorf("stop: %v", err)
					}
				}
				if err := h.keeper.Start(context.Background(), "till", nil); err != nil {
					t.Errorf("start: %v", err)
				}
				if h.host.PID("till", "web") == 0 {
					t.Errorf("it is not started:\n%s", h.host)
				}
				if _, err := store.New(h.layout).Restarts("till"); err != nil {
					t.Errorf("the file is not repaired: %v", err)
				}
			})
		})
	}
}

// Unreadable records that decide nothing stop nothing.
func TestUnreadableRecordsThatDecideNothing(t *testing.T) {
	for _, tt := range []struct {
		name  string
		group string
		text  string
		do    func(h *harness) // while no keeper runs
	}{
		{"all runs", "shop", shop, func(*harness) {}},
		{"an app has ended", "shop", shop, func(h *harness) { h.host.Exit("shop", "web", 1) }},
		{"an app has no task", "shop", shop, func(h *harness) {
			h.host.Exit("shop", "web", 1)
			h.host.LoseEnded()
		}},
		{"inits have ended well", "till", till, func(*harness) {}},
		{"an app has ended after its inits", "till", till, func(h *harness) { h.host.Exit("till", "web", 1) }},
		{"after a boot", "till", till, func(h *harness) { h.host.Reboot() }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			withTill(t, func(t *testing.T, h *harness) {
				h.host.ExitAtOnce("till", "fetch", 0)
				h.host.ExitAtOnce("till", "migrate", 0)
				h.mustApply(tt.group+".hcl", tt.text)
				h.end()
				tt.do(h)
				h.corruptRecords(tt.group)
				h.begin()
				h.wait(time.Minute)
				if st := h.status(tt.group); st.State != group.Running || st.Error != "" {
					t.Errorf("%s, error %q:\n%s", st.State, st.Error, h.host)
				}
				h.exit(tt.group, "web", 1)
				if records, err := store.New(h.layout).Restarts(tt.group); err != nil || !records["web"].Ended {
					t.Errorf("it is not saved again: %+v, error %v", records, err)
				}
				h.wait(2 * time.Second)
				if h.host.PID(tt.group, "web") == 0 {
					t.Errorf("web does not run:\n%s", h.host)
				}
			})
		})
	}
}

// failRecords makes the store fail to write the records while *fail is true.
func failRecords(s *store.Store, l layout.Layout, fail *bool) *store.Store {
	dir := filepath.Join(l.StateDir, "lives")
	hidden := false
	s.Begin = func(change string) {
		if *fail && change == "write lives" {
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

// The disk is full when an app is replaced whose end was recorded. The next keeper still knows that
// the inits have ended well.
func TestInitsStayEndedWhenRecordsCannotBeWritten(t *testing.T) {
	withTill(t, func(t *testing.T, h *harness) {
		full := false
		h.end()
		config := h.config
		h.config = func(c *keeper.Config) {
			config(c)
			failRecords(c.Store, h.layout, &full)
		}
		h.begin()
		h.mustStartTill()
		h.exit("till", "web", 1)
		full = true
		h.mustApply("till.hcl", edited(till, "web:1", "web:2"))
		h.wait(time.Minute)
		h.end()
		h.host.LoseEnded()
		h.host.ForgetOperations()
		h.begin()
		h.wait(time.Minute)
		h.did()
		if st := h.status("till"); st.State != group.Running {
			t.Errorf("%s, error %q", st.State, st.Error)
		}
	})
}

func TestUnwritableRecordsDelayNothing(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		blocked := filepath.Dir(h.recordsFile("shop"))
		h.mustApply("shop.hcl", shop)
		if err := os.WriteFile(blocked, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		h.exit("shop", "web", 1)
		h.wait(time.Second)
		h.did("remove web", "create web", "start web")
		if err := os.Remove(blocked); err != nil {
			t.Fatal(err)
		}
		h.wait(time.Minute)
		if records, err := store.New(h.layout).Restarts("shop"); err != nil || records["web"].EndsInARow != 1 {
			t.Errorf("recorded at last: %v, error %v", records, err)
		}
		h.remove("shop.hcl")
		if _, err := os.Stat(h.recordsFile("shop")); !os.IsNotExist(err) {
			t.Errorf("the record is not forgotten: %v", err)
		}
	})
}
