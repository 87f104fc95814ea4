package keeper_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/keeper"
	"github.com/sallyport/sallyport/shim/runner"
	"github.com/sallyport/sallyport/spec"
)

// conf is a group whose app reads its file again at a signal.
const conf = `
group "conf" {
  egress = "none"
  update {
    health_timeout = "1m"
    auto_revert    = true
  }
  app "web" {
    image = "registry.example/web:1"
    probe "ready" { http = { port = 8080, path = "/healthz" } }
    file "/etc/web.cfg" {
      content = "one"
      reload  = "HUP"
    }
  }
}
`

var conf2 = edited(conf, `"one"`, `"two"`)

// withConf runs a test with the group conf, which has proved itself.
func withReloadable(t *testing.T, do func(t *testing.T, h *harness, events func(...group.EventKind) []string)) {
	t.Helper()
	withHarness(t, func(t *testing.T, h *harness) {
		events := h.journaled()
		h.mustApply("conf.hcl", conf)
		do(t, h, events)
	})
}

// loaded checks which contents the app of conf has, and how many signals it got for them.
func (h *harness) loaded(text string, signals int) {
	h.t.Helper()
	got := h.host.Signals("conf", "web")
	if len(got) != signals || slices.ContainsFunc(got, func(s string) bool { return s != "SIGHUP" }) {
		h.t.Errorf("it got %q, want SIGHUP %d times", got, signals)
	}
	states, err := h.host.Runtime().Observe(context.Background(), "conf")
	if err != nil || len(states) != 1 {
		h.t.Fatalf("%+v, error %v", states, err)
	}
	f := spec.File{Content: []byte(text), Reload: "SIGHUP"}
	if f.Seal(); states[0].Loaded != f.Sum {
		h.t.Errorf("it has not loaded %q", text)
	}
}

func TestReload(t *testing.T) {
	withReloadable(t, func(t *testing.T, h *harness, events func(...group.EventKind) []string) {
		pid := h.host.PID("conf", "web")
		previews, err := h.keeper.Preview(t.Context(), bundles("conf.hcl", conf2))
		if err != nil {
			t.Fatal(err)
		}
		const step = "reload web (app) by SIGHUP: file /etc/web.cfg changed"
		if len(previews) == 1 {
			previews[0].Differs = nil // tested on its own
		}
		if diff := cmp.Diff([]group.Preview{{Group: "conf", Steps: []string{step}, Changes: []string{"web (app): file /etc/web.cfg (SIGHUP)"}}}, previews); diff != "" {
			t.Errorf("preview (-want +got):\n%s", diff)
		}
		lines, err := h.apply("conf.hcl", conf2)
		if err != nil {
			t.Fatal(err)
		}
		want := []string{"conf: " + step, "conf: waits for web (app) to be ready: its ready probe has not answered yet", "conf: running"}
		if diff := cmp.Diff(want, lines); diff != "" {
			t.Errorf("progress (-want +got):\n%s", diff)
		}
		h.did("reload web")
		h.loaded("two", 1)
		h.wait(proof)
		h.checkHistory("conf", "2 apply proved", "1 apply proved")
		c := h.status("conf").Containers[0]
		if h.host.PID("conf", "web") != pid || c.PID != pid || c.Restarts != 0 || !c.Ready || c.ReloadedAt.IsZero() {
			t.Errorf("it was process %d, and now it is %+v", pid, c)
		}
		if diff := cmp.Diff([]string{"reloaded: reloaded by SIGHUP: file /etc/web.cfg changed"}, events(group.EventReloaded)); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
		if states := events(group.EventState); slices.ContainsFunc(states, func(s string) bool { return strings.Contains(s, "degraded") }) {
			t.Errorf("a reload that goes well is no failure: %q", states)
		}

		// Nothing else sends it a signal: not the same file, a resync, nor the next daemon.
		h.mustApply("conf.hcl", conf2)
		h.wait(time.Hour)
		h.end()
		h.begin()
		h.wait(time.Hour)
		h.loaded("two", 1)

		// A rollback and an edit by hand are changes like an apply.
		if err := h.rollback("conf", 0); err != nil {
			t.Fatal(err)
		}
		h.loaded("one", 2)
		h.write("conf.hcl", conf2)
		h.wait(time.Minute)
		h.loaded("two", 3)
		if h.host.PID("conf", "web") != pid {
			t.Error("it is another process")
		}
		// The signal alone may change, and nothing is sent for that.
		h.host.ForgetOperations()
		h.mustApply("conf.hcl", edited(conf2, `"HUP"`, `"USR1"`))
		h.did()
	})
}

// The control: without a reload the container is replaced. So it is where anything else of it has
// changed too, and then there is no signal.
func TestWithoutReloadItIsReplaced(t *testing.T) {
	replaced := []string{"stop web", "remove web", "create web", "start web"}
	for _, tt := range []struct{ name, before, after string }{
		{"no reload", edited(conf, `reload  = "HUP"`, ""), edited(conf2, `reload  = "HUP"`, "")},
		{"another image", conf, edited(conf2, "web:1", "web:2")},
		{"another path", conf, edited(conf, "/etc/web.cfg", "/etc/other.cfg")},
		{"a reload from now on", edited(conf, `reload  = "HUP"`, ""), conf},
	} {
		t.Run(tt.name, func(t *testing.T) {
			withHarness(t, func(t *testing.T, h *harness) {
				h.mustApply("conf.hcl", tt.before)
				if _, err := h.apply("conf.hcl", tt.after); err != nil {
					t.Fatal(err)
				}
				h.did(replaced...)
				if got := h.host.Signals("conf", "web"); len(got) > 0 {
					t.Errorf("it got %q", got)
				}
			})
		})
	}
}

// What isn't running starts with the new contents, and gets no signal for them.
func TestWhatStartsNeedsNoReload(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(t *testing.T, h *harness)
	}{
		{"stopped meanwhile", func(t *testing.T, h *harness) {
			_, err := h.stop("conf")
			h.mustApply("conf.hcl", conf2)
			if err := errors.Join(err, h.start("conf")); err != nil {
				t.Fatal(err)
			}
		}},
		{"ended, and waiting for its restart", func(t *testing.T, h *harness) {
			for range 5 {
				h.exit("conf", "web", 1)
				h.wait(time.Minute)
			}
			h.exit("conf", "web", 1)
			h.mustApply("conf.hcl", conf2)
		}},
		{"after a boot", func(t *testing.T, h *harness) {
			h.end()
			h.host.Reboot()
			h.put("conf.hcl", conf2)
			h.begin()
			h.wait(time.Minute)
		}},
		{"restarted", func(t *testing.T, h *harness) {
			h.mustApply("conf.hcl", conf2)
			h.loaded("two", 1)
			if err := h.keeper.Restart(t.Context(), "conf", "web", nil); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			withReloadable(t, func(t *testing.T, h *harness, _ func(...group.EventKind) []string) {
				tt.do(t, h)
				h.loaded("two", 0)
			})
		})
	}
}

// A job that has completed runs again when its file has changed, with a reload or without.
func TestJobWithReloadRunsAgain(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		text := edited(job, `restart {`, "file \"/in\" {\n content = \"one\"\n reload = \"HUP\"\n }\n restart {")
		h.host.ExitAtOnce("job", "once", 0)
		h.mustApply("job.hcl", text)
		h.mustApply("job.hcl", text)
		h.did()
		if _, err := h.apply("job.hcl", edited(text, `"one"`, `"two"`)); err != nil {
			t.Fatal(err)
		}
		if ops := h.host.Operations(); !slices.Contains(ops, "start once") || slices.Contains(ops, "reload once") {
			t.Errorf("operations %q", ops)
		}
	})
}

// Readiness from before the signal proves nothing of the new contents.
func TestReloadThatMakesItUnreadyIsReverted(t *testing.T) {
	withReloadable(t, func(t *testing.T, h *harness, events func(...group.EventKind) []string) {
		pid := h.host.PID("conf", "web")
		h.host.Answer("conf", "web", "ready", err503)
		go func() { time.Sleep(65 * time.Second); h.host.Answer("conf", "web", "ready", nil) }()
		_, err := h.apply("conf.hcl", conf2)
		if err == nil || !strings.Contains(err.Error(), "generation 2 was taken back: not ready within 1m0s: waits for web (app) to be ready") || !strings.Contains(err.Error(), "status 503") {
			t.Errorf("apply: %v", err)
		}
		h.did("reload web", "reload web")
		h.loaded("one", 2)
		h.wait(time.Minute)
		h.checkHistory("conf", "3 revert proved", h.history("conf")[1], "1 apply proved")
		if st := h.status("conf"); st.State != group.Running || h.host.PID("conf", "web") != pid || h.text("conf.hcl") != conf {
			t.Errorf("%s, process %d, was %d", st.State, h.host.PID("conf", "web"), pid)
		}
		if got := events(group.EventReloaded); len(got) != 2 {
			t.Errorf("events %q", got)
		}
	})
}

// A program that ends by the signal is started again with the new contents, and goes back with its
// generation if it keeps ending.
func TestReloadThatEndsItIsReverted(t *testing.T) {
	withReloadable(t, func(t *testing.T, h *harness, _ func(...group.EventKind) []string) {
		h.host.ExitOnReload("conf", "web", 3)
		h.host.ExitAtOnce("conf", "web", 3)
		go func() { time.Sleep(30 * time.Second); h.host.Stay("conf", "web") }()
		_, err := h.apply("conf.hcl", conf2)
		if err == nil || !strings.Contains(err.Error(), "generation 2 was taken back: web (app) ended 3 times, the last time with status 3") {
			t.Errorf("apply: %v", err)
		}
		h.wait(time.Minute)
		h.loaded("one", 0)
		if st := h.status("conf"); st.State != group.Running || st.Generation != 3 {
			t.Errorf("%s, generation %d, error %q", st.State, st.Generation, st.Error)
		}
	})
}

// The signal of a reload whose answer is lost is sent again, by this daemon or by the next.
func TestReloadIsSentAtLeastOnce(t *testing.T) {
	for _, tt := range []struct {
		name    string
		fail    func(h *harness)
		signals int
	}{
		{"it did nothing", func(h *harness) { h.host.FailNext("reload web", errBoom) }, 1},
		{"the daemon was killed before the signal", func(h *harness) { h.host.LoseReload("conf", "web") }, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			withReloadable(t, func(t *testing.T, h *harness, _ func(...group.EventKind) []string) {
				pid := h.host.PID("conf", "web")
				tt.fail(h)
				h.write("conf.hcl", conf2) // no call waits, so nothing is put back
				h.end()
				h.begin()
				h.wait(time.Minute)
				h.loaded("two", tt.signals)
				if h.host.PID("conf", "web") != pid {
					t.Error("it was restarted")
				}
			})
		})
	}
}

// An apply whose reload can't be done is put back. Where the new contents were in their place
// already, the earlier ones come back with a signal.
func TestReloadThatFailsIsPutBack(t *testing.T) {
	for _, tt := range []struct {
		name    string
		fail    func(h *harness)
		signals int
	}{
		{"nothing was done", func(h *harness) { h.host.FailNext("reload web", errBoom) }, 0},
		{"the contents were there", func(h *harness) { h.host.LoseReload("conf", "web") }, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			withReloadable(t, func(t *testing.T, h *harness, _ func(...group.EventKind) []string) {
				tt.fail(h)
				if _, err := h.apply("conf.hcl", conf2); err == nil || !strings.Contains(err.Error(), "reload web (app): ") {
					t.Errorf("apply: %v", err)
				}
				h.wait(time.Minute)
				h.loaded("one", tt.signals)
				if st := h.status("conf"); st.State != group.Running || h.text("conf.hcl") != conf {
					t.Errorf("%s, error %q, file\n%s", st.State, st.Error, h.text("conf.hcl"))
				}
			})
		})
	}
}

// A container that ends before its signal comes is no failure of the reload.
func TestReloadOfWhatHasJustEnded(t *testing.T) {
	withReloadable(t, func(t *testing.T, h *harness, events func(...group.EventKind) []string) {
		h.end()
		config := h.config
		ended := false
		h.config = func(c *keeper.Config) {
			config(c)
			c.Runtime = endsFirst{c.Runtime, func() {
				if !ended {
					ended = true
					h.host.Exit("conf", "web", 1)
				}
			}}
		}
		h.begin()
		if _, err := h.apply("conf.hcl", conf2); err != nil {
			t.Errorf("apply: %v", err)
		}
		h.wait(time.Minute)
		h.loaded("two", 0)
		if got := events(group.EventReloaded); len(got) != 0 {
			t.Errorf("events %q", got)
		}
	})
}

// endsFirst is a runtime with an end before each reload.
type endsFirst struct {
	runner.Runtime
	end func()
}

func (r endsFirst) Reload(ctx context.Context, group string, c spec.Container) error {
	r.end()
	return r.Runtime.Reload(ctx, group, c)
}

// refusesReloads is a runtime on which no reload succeeds while refuse is set.
type refusesReloads struct {
	runner.Runtime
	refuse *atomic.Bool
	tries  *atomic.Int32
}

func (r refusesReloads) Reload(ctx context.Context, group string, c spec.Container) error {
	r.tries.Add(1)
	if r.refuse.Load() {
		return errBoom
	}
	return r.Runtime.Reload(ctx, group, c)
}

// A reload that fails again and again is reported once, and tried with growing waits. Meanwhile the
// rest of the group goes on: what ends is started again. When it succeeds at last, all is well.
func TestReloadThatKeepsFailing(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		events := h.journaled()
		config := h.config
		var refuse atomic.Bool
		var tries atomic.Int32
		h.end()
		h.config = func(c *keeper.Config) {
			config(c)
			c.Runtime = refusesReloads{c.Runtime, &refuse, &tries}
		}
		h.begin()
		const update = "  update {\n    health_timeout = \"1m\"\n    auto_revert    = true\n  }\n"
		const other = "  app \"other\" { image = \"registry.example/other:1\" }\n}\n"
		one := strings.TrimSuffix(edited(conf, update, ""), "}\n") + other
		two := edited(one, `"one"`, `"two"`)
		h.mustApply("conf.hcl", one)
		h.wait(time.Minute)

		refuse.Store(true)
		h.write("conf.hcl", two)
		h.wait(time.Minute)
		if st := h.status("conf"); st.State != group.Running || !strings.Contains(st.Error, "reload web (app): boom") {
			t.Errorf("%s, error %q", st.State, st.Error)
		}
		tries.Store(0)
		h.exit("conf", "other", 1)
		h.wait(time.Hour)
		if n := tries.Load(); n < 50 || n > 62 { // once in a minute at last, and a little more
			t.Errorf("it was tried %d times in an hour", n)
		}
		if st := h.status("conf"); st.State != group.Running || h.host.PID("conf", "other") == 0 {
			t.Errorf("%s, error %q: what has ended was not started again", st.State, st.Error)
		}
		if got := events(group.EventReloaded); len(got) != 1 || !strings.Contains(got[0], "not reloaded by SIGHUP: file /etc/web.cfg changed, tried again: reload web (app): boom") {
			t.Errorf("events %q", got)
		}

		// An operator who applies it again doesn't wait, and hears of it.
		tries.Store(0)
		if _, err := h.apply("conf.hcl", two); err == nil || tries.Load() == 0 {
			t.Errorf("applied again: %v after %d tries", err, tries.Load())
		}
		refuse.Store(false)
		h.wait(2 * time.Minute)
		if st := h.status("conf"); st.State != group.Running || st.Error != "" {
			t.Errorf("in the end it is %s, error %q", st.State, st.Error)
		}
	})
}
