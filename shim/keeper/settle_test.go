package keeper_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/journal"
	"github.com/sallyport/sallyport/shim/keeper"
)

// journaled gives the next keepers a journal, and returns what it has.
func (h *harness) journaled() (events func(kinds ...group.EventKind) []string) {
	h.t.Helper()
	h.end()
	j, err := journal.Open(journal.Config{Layout: h.layout})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = j.Close() })
	h.config = func(c *keeper.Config) { c.Journal, c.Prober = j, h.host.Prober() }
	h.begin()
	return func(kinds ...group.EventKind) (texts []string) {
		h.t.Helper()
		err := j.Events(h.t.Context(), group.EventQuery{Kinds: kinds}, func(e group.Event) error {
			texts = append(texts, string(e.Kind)+": "+e.Text)
			return nil
		})
		if err != nil {
			h.t.Fatal(err)
		}
		return texts
	}
}

// An apply ends when its group is ready. Nothing of synctest's time passes but that of the probes:
// the trial of an update, and the watch for an early end, are the keeper's own.
func TestApplyEndsWhenTheGroupIsReady(t *testing.T) {
	for _, tt := range []struct {
		name  string
		text  string
		ready time.Duration // the app's probe says so after that
		took  time.Duration
		want  string // the history at the end of apply
	}{
		{"without an update block", shop, 0, 0, "1 apply on trial"},
		{"on trial", careful, 0, 0, "1 apply on trial"},
		{"with a probe that says so at once", probed, 0, 0, "1 apply on trial"},
		{"with a probe that says so later", probed, 15 * time.Second, 20 * time.Second, "1 apply on trial"}, // it is asked every 10 s
		{"a job", job, 0, 0, "1 apply on trial"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			withHarness(t, func(t *testing.T, h *harness) {
				h.journaled()
				if tt.ready > 0 {
					h.host.Answer("probed", "web", "ready", err503)
					time.AfterFunc(tt.ready, func() { h.host.Answer("probed", "web", "ready", nil) })
				}
				began := time.Now()
				if _, err := h.apply("a.hcl", tt.text); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(began); took > tt.took {
					t.Errorf("it took %s, want %s", took, tt.took)
				}
				all, err := h.keeper.Status("")
				if err != nil || len(all) != 1 || all[0].State != group.Running {
					t.Fatalf("%v, error %v", all, err)
				}
				h.checkHistory(all[0].Name, tt.want)
				h.wait(proof)
				h.checkHistory(all[0].Name, "1 apply proved")
				// There is nothing to do, so nothing is waited for.
				began = time.Now()
				if _, err := h.apply("a.hcl", tt.text); err != nil || time.Since(began) > 0 {
					t.Errorf("applied again: %v after %s", err, time.Since(began))
				}
			})
		})
	}
}

// An app that ends soon after its start proves nothing, also without an update block. So a rollback
// does not go back to it.
func TestAnEarlyEndProvesNothing(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		events := h.journaled()
		h.mustApply("shop.hcl", shop)
		if _, err := h.apply("shop.hcl", version(2)); err != nil {
			t.Fatal(err)
		}
		h.wait(earlyEnd - time.Millisecond)
		h.exit("shop", "web", 3)
		h.wait(earlyEnd)
		h.checkHistory("shop", "2 apply on trial", "1 apply proved")
		if st := h.status("shop"); st.State != group.Degraded || st.Error != "web (app) ended with status 3" || st.Hint == "" {
			t.Errorf("%s, error %q, hint %q", st.State, st.Error, st.Hint)
		}
		if got := events(group.EventState); got[len(got)-1] != "state: degraded: web (app) ended with status 3" {
			t.Errorf("events %q", got)
		}
		h.mustApply("shop.hcl", version(3))
		h.checkHistory("shop", "3 apply proved", "2 apply replaced", "1 apply proved")
		if err := h.rollback("shop", 0); err != nil || h.text("shop.hcl") != shop {
			t.Errorf("rollback: %v\n%s", err, h.text("shop.hcl"))
		}
	})
}

// A generation that fails after its apply has ended is judged as its update block has it. Events,
// status and history have the verdict.
func TestATrialGoesOnAfterItsApply(t *testing.T) {
	for _, tt := range []struct {
		name    string
		update  string
		events  []string // the last of them
		err     string
		history []string
	}{
		{"taken back", "auto_revert = true",
			[]string{
				"reverted: generation 2 was taken back, the one before it is put in its place as generation 3: web (app) ended 3 times, the last time with status 3",
				"state: running",
			},
			"generation 2 was taken back: web (app) ended 3 times, the last time with status 3",
			[]string{"3 revert proved", "2 apply taken back: web (app) ended 3 times, the last time with status 3", "1 apply proved"}},
		{"not taken back", `health_timeout = "2m"`,
			[]string{"state: degraded: generation 2: web (app) ended 3 times, the last time with status 3"},
			"generation 2: web (app) ended 3 times, the last time with status 3",
			[]string{"2 apply not ready: web (app) ended 3 times, the last time with status 3", "1 apply proved"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			withHarness(t, func(t *testing.T, h *harness) {
				events := h.journaled()
				text := updated(tt.update)
				h.mustApply("shop.hcl", text)
				if _, err := h.apply("shop.hcl", edited(text, `web:1"`, `web:2"`)); err != nil {
					t.Fatal(err)
				}
				if st := h.status("shop"); st.State != group.Running || st.TrialEnds.IsZero() {
					t.Errorf("%s, the trial ends %s", st.State, st.TrialEnds)
				}
				h.wait(proof - time.Millisecond)
				h.host.BreakImage("registry.example/web:2", 3)
				h.exit("shop", "web", 3)
				h.wait(6 * time.Second)
				got := events(group.EventState, group.EventReverted)
				if len(got) < len(tt.events) {
					t.Fatalf("events %q", got)
				}
				if diff := cmp.Diff(tt.events, got[len(got)-len(tt.events):]); diff != "" {
					t.Errorf("the last events (-want +got):\n%s", diff)
				}
				if st := h.status("shop"); st.Error != tt.err || st.Hint == "" {
					t.Errorf("error %q, hint %q", st.Error, st.Hint)
				}
				h.checkHistory("shop", tt.history...)
			})
		})
	}
}

func TestSettle(t *testing.T) {
	const d = time.Minute
	for _, tt := range []struct {
		name  string
		file  []string // applied one after the other
		after func(h *harness)
		took  time.Duration // the longest
		err   string        // the beginning. Empty: none
	}{
		{"it runs on", []string{shop}, nil, d, ""},
		{"it has run for that long", []string{shop}, func(h *harness) { h.wait(d) }, 0, ""},
		{"a container ends", []string{shop}, func(h *harness) { h.soon(40*time.Second, "shop", "web", 3) }, 40 * time.Second, "group shop: web (app) ended with status 3"},
		{"one ends well that is to run", []string{shop}, func(h *harness) { h.soon(time.Second, "shop", "web", 0) }, time.Second, "group shop: web (app) ended with status 0"},
		{"one ends before", []string{shop}, func(h *harness) { h.exit("shop", "web", 3) }, 0, "group shop: web (app) ended with status 3"},
		{"one ends that counts as whole", []string{edited(shop, `shipper:3"`, "shipper:3\"\n on_failure = \"ignore\"")}, func(h *harness) { h.soon(time.Second, "shop", "shipper", 3) }, d, ""},
		{"a job ends well", []string{edited(job, `"job"`, `"shop"`)}, func(h *harness) { h.soon(time.Second, "shop", "once", 0) }, time.Second, ""},
		{"a job fails", []string{edited(job, `"job"`, `"shop"`)}, func(h *harness) { h.soon(time.Second, "shop", "once", 2) }, time.Second, "group shop: once (app) ended with status 2"},
		{"it is stopped", []string{shop}, func(h *harness) {
			go func() { time.Sleep(time.Second); _ = h.keeper.Stop(context.Background(), "shop", nil) }()
		}, time.Second, ""},
		{"it is removed", []string{shop}, func(h *harness) {
			go func() { time.Sleep(time.Second); _ = h.keeper.Remove(context.Background(), "shop", nil) }()
		}, time.Second, "group shop: was removed meanwhile"},
		{"another definition comes", []string{shop}, func(h *harness) {
			go func() {
				time.Sleep(time.Second)
				_ = h.keeper.Apply(context.Background(), bundles("shop.hcl", newWeb), nil)
			}()
		}, time.Second, "group shop: another definition was put in the place of this one meanwhile: generation 2"},
		{"its probe fails for a while", []string{edited(probed, `"probed"`, `"shop"`)}, func(h *harness) {
			h.wait(proof)
			h.host.Answer("shop", "web", "ready", err503)
			time.AfterFunc(45*time.Second, func() { h.host.Answer("shop", "web", "ready", nil) })
		}, 45*time.Second + d + 10*time.Second, ""},
		{"its probe fails for good", []string{edited(probed, `"probed"`, `"shop"`)}, func(h *harness) {
			h.wait(proof)
			h.host.Answer("shop", "web", "ready", err503)
		}, d + 2*time.Minute, "group shop: not ready after 3m0s: waits for web (app) to be ready"},
		{"it proves itself", []string{hasty, hasty2}, nil, d, ""},
		{"it is taken back", []string{hasty, hasty2}, func(h *harness) {
			h.host.BreakImage("registry.example/web:2", 3)
			h.soon(time.Second, "shop", "web", 3)
		}, 10 * time.Second, "group shop: generation 2 was taken back: web (app) ended 3 times"},
		{"it was taken back earlier, and what runs is whole", []string{hasty, hasty2}, func(h *harness) {
			h.host.BreakImage("registry.example/web:2", 3)
			h.exit("shop", "web", 3)
			h.wait(10 * time.Second)
		}, d, ""},
		{"no such group", nil, nil, 0, group.ErrNoGroup.Error()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			withHarness(t, func(t *testing.T, h *harness) {
				h.journaled()
				for i, text := range tt.file {
					if i > 0 {
						h.wait(proof)
					}
					if _, err := h.apply("shop.hcl", text); err != nil {
						t.Fatal(err)
					}
				}
				if tt.after != nil {
					tt.after(h)
				}
				began := time.Now()
				var lines []string
				err := h.keeper.Settle(context.Background(), "shop", d, func(line string) { lines = append(lines, line) })
				took := time.Since(began)
				synctest.Wait()
				if (err == nil) != (tt.err == "") || err != nil && !strings.HasPrefix(err.Error(), tt.err) {
					t.Errorf("error %v, want %q", err, tt.err)
				}
				if took > tt.took || tt.err == "" && tt.took == d && took < d-10*time.Second {
					t.Errorf("it took %s, want %s", took, tt.took)
				}
				if t.Failed() {
					t.Logf("progress %q, status %+v", lines, h.status("shop"))
				}
				h.wait(time.Minute) // what goes on ends within the test
			})
		})
	}
}

// soon ends a program after a while.
func (h *harness) soon(after time.Duration, group, name string, status uint32) {
	time.AfterFunc(after, func() { h.host.Exit(group, name, status) })
}

// The caller gets each end with the last line of output, as that of an apply does.
func TestSettleReportsEnds(t *testing.T) {
	withOutput(t, func(t *testing.T, h *harness) {
		h.mustApply("shop.hcl", hasty)
		if _, err := h.apply("shop.hcl", hasty2); err != nil {
			t.Fatal(err)
		}
		h.host.BreakImage("registry.example/web:2", 3)
		h.soon(time.Second, "shop", "web", 3)
		var lines []string
		if err := h.keeper.Settle(context.Background(), "shop", time.Second, func(line string) { lines = append(lines, line) }); err == nil {
			t.Error("it has settled")
		}
		const end = "shop: web (app) ended with status 3; its last output: web: no \ufffd[2Jsettings\n"
		all := strings.Join(lines, "\n") + "\n"
		if n := strings.Count(all, end); n < 2 || n > 3 { // the third is in the error, too
			t.Errorf("progress:\n%s", all)
		}
	})
}

// A caller that leaves, and a keeper that ends, end the wait.
func TestSettleEnds(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.mustApply("shop.hcl", shop)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := h.keeper.Settle(ctx, "shop", time.Hour, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the caller leaves: %v", err)
		}
		done := make(chan error, 1)
		go func() { done <- h.keeper.Settle(context.Background(), "shop", time.Hour, nil) }()
		synctest.Wait()
		h.end()
		if err := <-done; err == nil || !strings.Contains(err.Error(), "stopping") {
			t.Errorf("the keeper ends: %v", err)
		}
	})
}
