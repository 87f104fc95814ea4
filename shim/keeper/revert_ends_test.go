package keeper_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/keeper"
)

// hasty is shop with an update block that gives it two minutes, and ends them early by default.
var (
	hasty  = updated("auto_revert = true")
	hasty2 = edited(hasty, `web:1"`, `web:2"`)
)

// withOutput runs a test with a keeper that reads the same output of each container: a line that
// moves a cursor, and an empty one.
func withOutput(t *testing.T, do func(t *testing.T, h *harness)) {
	t.Helper()
	withHarness(t, func(t *testing.T, h *harness) {
		h.end()
		h.config = func(c *keeper.Config) {
			c.LastOutput = func(_, container string, _ time.Time) []string {
				return []string{"reading", container + ": no \x1b[2Jsettings", ""}
			}
		}
		h.begin()
		do(t, h)
	})
}

// An update whose app keeps ending is reverted at its third end, and not after two minutes. The
// caller gets each end with the last line of output. No error has that line.
func TestUpdateWhoseContainerKeepsEndingIsRevertedEarly(t *testing.T) {
	withOutput(t, func(t *testing.T, h *harness) {
		h.mustApply("shop.hcl", hasty)
		before := h.host.String()
		h.host.BreakImage("registry.example/web:2", 137)
		began := time.Now()
		lines, err := h.apply("shop.hcl", hasty2)
		const why = "generation 2 was taken back: web (app) ended 3 times, the last time with status 137 (SIGKILL)"
		if err == nil || err.Error() != "group shop: "+why {
			t.Errorf("apply: %v", err)
		}
		if took := time.Since(began); took < 3*time.Second || took > 6*time.Second {
			t.Errorf("it took %s", took)
		}
		const end = "shop: web (app) ended with status 137 (SIGKILL); its last output: web: no \ufffd[2Jsettings\n"
		if all := strings.Join(lines, "\n") + "\n"; strings.Count(all, end) != 3 || strings.Count(all, "ended with") != 3 {
			t.Errorf("apply printed:\n%s", all)
		}
		if diff := cmp.Diff(before, h.host.String()); diff != "" {
			t.Errorf("the host is not as before (-before +after):\n%s", diff)
		}
		if st := h.status("shop"); st.State != group.Running || st.Generation != 3 || st.Error != why || h.text("shop.hcl") != hasty {
			t.Errorf("%s, generation %d, error %q", st.State, st.Generation, st.Error)
		}
		h.wait(proof)
		h.checkHistory("shop", "3 revert proved", "2 apply taken back: "+strings.TrimPrefix(why, "generation 2 was taken back: "), "1 apply proved")
	})
}

// A failure that ends the whole group is reported to the caller as well, before the group is taken
// down.
func TestApplyReportsTheEndThatEndsItsGroup(t *testing.T) {
	for name, tt := range map[string]struct{ file, text, end, err string }{
		"a job": {"job.hcl", job, "job: once (app) ended with status 3; its last output: once: no ", "group job: once (app) ended with status 3"},
		"an app that stops its group": {"shop.hcl", edited(shop, `web:1"`, "web:1\"\n on_failure = \"stop-group\""), "shop: web (app) ended with status 3; its last output: web: no ",
			"group shop: web (app) ended with status 3, and its on_failure stops the group"},
	} {
		t.Run(name, func(t *testing.T) {
			withOutput(t, func(t *testing.T, h *harness) {
				h.host.BreakImage("registry.example/web:1", 3)
				h.host.BreakImage("registry.example/once:1", 3)
				lines, err := h.apply(tt.file, tt.text)
				if err == nil || err.Error() != tt.err {
					t.Errorf("apply: %v", err)
				}
				if all := strings.Join(lines, "\n"); strings.Count(all, tt.end) != 1 {
					t.Errorf("apply printed:\n%s", all)
				}
			})
		})
	}
}

// Which ends count, and how soon the update ends. Each case applies an update that is never ready.
func TestEndsInARollout(t *testing.T) {
	const none = "no health_timeout at all"
	for _, tt := range []struct {
		name   string
		update string
		edits  []string // of the second generation. Nil: another image of the app
		do     func(h *harness)
		want   string
		within time.Duration
	}{
		{"without auto_revert the caller is told early, too", `health_timeout = "2m"`, nil, nil,
			"generation 2: web (app) ended 3 times, the last time with status 3", 6 * time.Second},
		{"one end is enough", "auto_revert = true\n max_ends = 1", nil, nil,
			"generation 2 was taken back: web (app) ended with status 3", 2 * time.Second},
		{"five", "auto_revert = true\n max_ends = 5", nil, nil,
			"generation 2 was taken back: web (app) ended 5 times, the last time with status 3", 25 * time.Second},
		{"without an update block the first end is told", none, nil, nil,
			"web (app) ended with status 3", 2 * time.Second},
		{"one that is not started again needs no second end", "auto_revert = true", []string{`web:1"`, "web:2\"\n restart { policy = \"never\" }\n}\napp \"other\" {\n image = \"registry.example/web:1\""}, nil,
			"generation 2 was taken back: web (app) ended with status 3", 2 * time.Second},
		{"a good end counts where it is followed by a restart", "auto_revert = true", nil, func(h *harness) { h.host.BreakImage("registry.example/web:2", 0) },
			"generation 2 was taken back: web (app) ended 3 times, the last time with status 0", 6 * time.Second},
		{"ends before the update do not count", "auto_revert = true\n max_ends = 2", []string{`shipper:3"`, `shipper:4"`}, func(h *harness) {
			h.host.ExitAtOnce("shop", "proxy", 4)
			h.exit("shop", "proxy", 4)
			h.wait(30 * time.Second)
		}, "generation 2 was taken back: proxy (ambassador) ended 2 times, the last time with status 4", 3 * time.Minute},
		{"an operator's restart begins anew", `health_timeout = "2m"`, nil, func(h *harness) {
			go func() { time.Sleep(2500 * time.Millisecond); _ = h.keeper.Restart(h.t.Context(), "shop", "web", nil) }()
		}, "generation 2: web (app) ended 3 times, the last time with status 3", 10 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			withHarness(t, func(t *testing.T, h *harness) {
				text := updated(tt.update)
				if tt.update == none {
					text = shop
				}
				h.mustApply("shop.hcl", text)
				h.host.BreakImage("registry.example/web:2", 3)
				if tt.do != nil {
					tt.do(h)
				}
				edits := tt.edits
				if edits == nil {
					edits = []string{`web:1"`, `web:2"`}
				}
				began := time.Now()
				lines, err := h.apply("shop.hcl", edited(text, edits...))
				if err == nil || err.Error() != "group shop: "+tt.want {
					t.Errorf("apply: %v", err)
				}
				if took := time.Since(began); took > tt.within {
					t.Errorf("it took %s", took)
				}
				if t.Failed() {
					t.Log("apply printed:\n" + strings.Join(lines, "\n"))
				}
			})
		})
	}
}

// Ends that are as they should be, and those of a container without which the group counts as
// whole, end no update.
func TestEndsThatDoNotCountInARollout(t *testing.T) {
	for _, tt := range []struct {
		name  string
		edits []string // of the second generation
		do    func(h *harness)
	}{
		{"a sidecar that may fail", []string{`shipper:3"`, "shipper:4\"\n on_failure = \"ignore\""}, func(h *harness) { h.host.BreakImage("registry.example/shipper:4", 3) }},
		{"an init that may fail", []string{`sidecar "shipper"`, "init \"once\" {\n image = \"registry.example/init:1\"\n on_failure = \"ignore\"\n restart { policy = \"never\" }\n}\nsidecar \"shipper\""},
			func(h *harness) { h.host.BreakImage("registry.example/init:1", 3) }},
		{"a sidecar that is done", []string{`shipper:3"`, "shipper:4\"\n restart { policy = \"on-failure\" }"}, func(h *harness) { h.host.BreakImage("registry.example/shipper:4", 0) }},
		{"one that is mended before its third end", nil, func(h *harness) {
			h.host.BreakImage("registry.example/web:2", 3)
			go func() { time.Sleep(2500 * time.Millisecond); h.host.MendImage("registry.example/web:2") }()
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			withHarness(t, func(t *testing.T, h *harness) {
				h.mustApply("shop.hcl", hasty)
				tt.do(h)
				h.mustApply("shop.hcl", edited(hasty2, tt.edits...))
				h.checkHistory("shop", "2 apply proved", "1 apply proved")
				if st := h.status("shop"); st.Error != "" {
					t.Errorf("error %q", st.Error)
				}
			})
		})
	}
}

// A group that stays although it was given up proves itself once it is ready. Until then its status
// has the reason, also while the container runs.
func TestAGenerationThatWasGivenUpMayProveItself(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.mustApply("shop.hcl", updated(`health_timeout = "1m"`))
		h.host.BreakImage("registry.example/web:2", 3)
		if _, err := h.apply("shop.hcl", edited(updated(`health_timeout = "1m"`), `web:1"`, `web:2"`)); err == nil {
			t.Fatal("apply succeeds")
		}
		for n := 3; n < 6; n++ {
			want := fmt.Sprintf("generation 2: web (app) ended %d times, the last time with status 3", n)
			if st := h.status("shop"); st.Error != want {
				t.Errorf("error %q, want %q", st.Error, want)
			}
			h.wait(time.Duration(5<<(n-3)) * time.Second)
		}
		h.host.MendImage("registry.example/web:2")
		h.wait(2 * time.Minute)
		if st := h.status("shop"); st.Error != "" {
			t.Errorf("error %q", st.Error)
		}
		h.checkHistory("shop", "2 apply proved", "1 apply proved")
	})
}

// The next daemon counts anew, as it gives the whole time again.
func TestEndsInARolloutAreCountedByEachDaemon(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.mustApply("shop.hcl", hasty)
		h.host.BreakImage("registry.example/web:2", 3)
		h.write("shop.hcl", hasty2)
		h.wait(2500 * time.Millisecond)
		h.end()
		h.begin()
		h.wait(4 * time.Second)
		h.checkHistory("shop", "2 file on trial", "1 apply proved")
		h.wait(30 * time.Second)
		if st := h.status("shop"); st.Generation != 3 || st.Error != "generation 2 was taken back: web (app) ended 3 times, the last time with status 3" {
			t.Errorf("generation %d, error %q", st.Generation, st.Error)
		}
	})
}
