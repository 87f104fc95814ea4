package keeper_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hosttest"
	"github.com/sallyport/sallyport/shim/keeper"
	"github.com/sallyport/sallyport/shim/store"
	"github.com/sallyport/sallyport/spec"
)

// overrideGroups edits the groups of the next files after they are parsed.
func (h *harness) overrideGroups(edits ...func(*spec.Group)) {
	h.end()
	h.config = func(c *keeper.Config) {
		c.Store = store.New(h.layout)
		c.Store.Parse = func(s spec.Source) ([]spec.Group, hcl.Diagnostics) {
			groups, diags := spec.Parse(s)
			for i := range groups {
				for _, edit := range edits {
					edit(&groups[i])
				}
				groups[i].Pos = spec.Pos{}
				hosttest.Digested(&groups[i])
			}
			return groups, diags
		}
	}
	h.begin()
}

// stopped compares the stopped containers, in order, with the wanted ones.
func (h *harness) stopped(want ...string) {
	h.t.Helper()
	var got []string
	for _, op := range h.host.Operations() {
		if name, ok := strings.CutPrefix(op, "stop "); ok {
			got = append(got, name)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		h.t.Errorf("stopped (-want +got):\n%s", diff)
	}
	h.host.ForgetOperations()
}

// batch is a job with a sidecar and an ambassador.
var batch = edited(shop, `"shop"`, `"batch"`, `web:1"`, `web:1"`+"\n    restart { policy = \"never\" }")

func TestSidecarsAndAmbassadorEndWithTheJob(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.mustApply("batch.hcl", batch)
		h.exit("batch", "web", 3)
		h.stopped("shipper", "proxy")
		for _, when := range []string{"at once", "after a boot", "applied again"} {
			st := h.status("batch")
			if st.State != group.Completed || st.Error != "web (app) ended with status 3" || *st.Containers[2].ExitStatus != 3 {
				t.Errorf("%s: %s, error %q, %+v", when, st.State, st.Error, st.Containers)
			}
			if h.host.String() != "" {
				t.Errorf("%s there is still:\n%s", when, h.host)
			}
			switch when {
			case "at once":
				h.end()
				h.host.Reboot()
				h.begin()
			case "after a boot":
				if _, err := h.apply("batch.hcl", batch); err == nil {
					t.Error("apply does not report the job's failure")
				}
			}
		}
	})
}

func TestAGroupThatHasEndedRunsAgain(t *testing.T) {
	for _, tt := range []struct {
		name  string
		again func(h *harness) error
	}{
		{"restarted", func(h *harness) error { return h.keeper.Restart(context.Background(), "batch", "", nil) }},
		{"started", func(h *harness) error { return h.keeper.Start(context.Background(), "batch", nil) }},
		{"another definition", func(h *harness) error {
			_, err := h.apply("batch.hcl", edited(batch, "web:1", "web:2"))
			return err
		}},
		{"started, and how it ended can't be read", func(h *harness) error {
			if err := os.WriteFile(filepath.Join(h.layout.StateDir, "ended", "batch.json"), nil, 0o600); err != nil {
				return err
			}
			return h.keeper.Start(context.Background(), "batch", nil)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			withHarness(t, func(t *testing.T, h *harness) {
				h.mustApply("batch.hcl", batch)
				h.exit("batch", "web", 0)
				if err := tt.again(h); err != nil {
					t.Fatal(err)
				}
				if st := h.status("batch"); st.State != group.Running || h.host.Running("batch") != 3 {
					t.Errorf("%s, error %q:\n%s", st.State, st.Error, h.host)
				}
				h.wait(time.Hour)
				if st := h.status("batch"); st.State != group.Running || st.Containers[2].Restarts != 1 && tt.name == "restarted" {
					t.Errorf("an hour later: %s, %+v", st.State, st.Containers)
				}
			})
		})
	}
}

// The app has ended and is still there, since it could not be removed at once. An end before a
// start does not count after it.
func TestAGroupRunsAgainBeforeItIsDown(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.mustApply("batch.hcl", batch)
		h.host.FailNext("stop shipper", errBoom)
		h.exit("batch", "web", 0)
		if st := h.status("batch"); h.host.Running("batch") == 0 {
			t.Fatalf("the group is down, so this tests nothing: %s", st.State)
		}
		if err := h.keeper.Start(context.Background(), "batch", nil); err != nil {
			t.Fatal(err)
		}
		h.wait(time.Hour)
		if st := h.status("batch"); st.State != group.Running || h.host.Running("batch") != 3 {
			t.Errorf("%s, error %q:\n%s", st.State, st.Error, h.host)
		}
	})
}

func TestAFailureStopsTheGroup(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.overrideGroups(hosttest.EditContainer("shipper", func(c *spec.Container) { c.OnFailure = spec.FailureStopsGroup }))
		h.mustApply("shop.hcl", shop)
		h.exit("shop", "shipper", 0)
		h.wait(time.Minute)
		if st := h.status("shop"); st.State != group.Running {
			t.Fatalf("an end that is no failure: %s", st.State)
		}
		h.exit("shop", "shipper", 9)
		for _, when := range []string{"at once", "after a boot"} {
			st := h.status("shop")
			if st.State != group.Stopped || !strings.HasPrefix(st.Error, "shipper (sidecar) ended with status 9, and its on_failure") || st.Hint == "" {
				t.Errorf("%s: %s, error %q, hint %q", when, st.State, st.Error, st.Hint)
			}
			if h.host.String() != "" {
				t.Errorf("%s there is still:\n%s", when, h.host)
			}
			h.end()
			h.host.Reboot()
			h.begin()
		}
		h.remove("shop.hcl")
		if _, err := os.Stat(filepath.Join(h.layout.StateDir, "ended", "shop.json")); !os.IsNotExist(err) {
			t.Errorf("the record is not forgotten: %v", err)
		}
	})
}

func TestAnUnrecordedEndTakesNothingDown(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.mustApply("batch.hcl", batch)
		blocked := filepath.Join(h.layout.StateDir, "ended")
		if err := os.WriteFile(blocked, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		h.exit("batch", "web", 0)
		h.did()
		if st := h.status("batch"); st.State != group.Running || !strings.Contains(st.Error, "whether group batch has ended") {
			t.Errorf("%s, error %q", st.State, st.Error)
		}
		if err := os.Remove(blocked); err != nil {
			t.Fatal(err)
		}
		h.wait(time.Minute)
		if st := h.status("batch"); st.State != group.Completed {
			t.Errorf("recorded at last: %s, error %q", st.State, st.Error)
		}
	})
}

// An operator who applies an ended group unchanged sees how it has ended, and how to run it again.
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
			withHarness(t, func(t *testing.T, h *harness) {
				preview := func(text string) group.Preview {
					t.Helper()
					all, err := h.keeper.Preview(t.Context(), bundles("batch.hcl", text))
					if err != nil {
						t.Fatal(err)
					}
					return all[0]
				}
				h.mustApply("batch.hcl", batch)
				h.exit("batch", "web", tt.status)
				if p := preview(batch); p.Ended != tt.want || len(p.Steps) > 0 {
					t.Errorf("unchanged: %+v, want %q", p, tt.want)
				}
				if p := preview(edited(batch, "web:1", "web:2")); p.Ended != "" || len(p.Steps) == 0 {
					t.Errorf("changed: %+v", p)
				}
				if err := h.keeper.Stop(t.Context(), "batch", nil); err != nil {
					t.Fatal(err)
				}
				if p := preview(batch); p.Ended != "" {
					t.Errorf("stopped: %+v", p)
				}
			})
		})
	}
}

// The error of a start has how the job ended, and nothing that sounds as if it ran on.
func TestStartOfAJobThatFails(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.mustApply("batch.hcl", batch)
		h.exit("batch", "web", 3)
		h.host.ExitAtOnce("batch", "web", 4)
		const want = "group batch: web (app) ended with status 4"
		if err := h.start("batch"); err == nil || err.Error() != want {
			t.Errorf("got %v, want %q", err, want)
		}
	})
}
