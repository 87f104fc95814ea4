package keeper_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/diff"
	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/keeper"
	"github.com/sallyport/sallyport/shim/plan"
	"github.com/sallyport/sallyport/spec"
)

func TestApplyBringsAGroupUp(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		lines, err := h.apply("shop.hcl", shop)
		if err != nil {
			t.Fatal(err)
		}
		want := []string{
			"shop: pin namespace shop, deny everything in it",
			"shop: admit proxy (ambassador) to the world: cgroup /sallyport/shop/ambassador",
			"shop: connect shop, publish 8443/tcp to port 443",
			"shop: mount volume logs (64MiB)",
			"shop: create proxy (ambassador), shipper (sidecar), web (app)",
			"shop: start proxy (ambassador)",
			"shop: start shipper (sidecar)",
			"shop: start web (app)",
			"shop: running",
		}
		if diff := cmp.Diff(want, lines); diff != "" {
			t.Errorf("progress (-want +got):\n%s", diff)
		}
		st := h.status("shop")
		if st.State != group.Running || st.File != "shop.hcl" || st.Generation != 1 || len(st.Addrs) == 0 || len(st.Publish) != 1 {
			t.Errorf("status %+v", st)
		}
		for _, c := range st.Containers {
			if c.Task != host.TaskRunning || c.PID == 0 || c.Restarts != 0 || c.Image == "" {
				t.Errorf("container %+v", c)
			}
		}
		h.host.ForgetOperations()
		if _, err := h.apply("shop.hcl", shop); err != nil {
			t.Fatal(err)
		}
		h.did()
	})
}

// The status has the door's own value, so a new field of the door is in it.
func TestStatusHasTheDoor(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		text := edited(shop, "publish \"http\"", "intercept { port = 15001 }\n rate { out = \"2Mbit\" }\n quota = \"5GiB\"\n allow = [\"192.0.2.1:443/tcp\"]\n publish \"http\"")
		h.mustApply("shop.hcl", text)
		want := spec.Door{
			Publish:   []spec.Publish{{Name: "http", Host: 8443, Port: 443, Protocol: "tcp"}},
			Intercept: 15001, Rate: spec.Rate{Out: 2_000_000}, Quota: 5 << 30,
		}
		if diff := cmp.Diff(want, h.status("shop").Door); diff != "" {
			t.Errorf("door in the status (-want +got):\n%s", diff)
		}
	})
}

func TestApplyReplacesOnlyWhatChanged(t *testing.T) {
	for _, tt := range []struct {
		name string
		text string
		want []string
	}{
		{"the app", newWeb, []string{"stop web", "remove web", "create web", "start web"}},
		{"the policy", edited(shop, `haproxy:2"`, `haproxy:2"`+"\n    allow = [\"192.0.2.0/24:443/tcp\"]"), []string{"admit"}},
		{"a port", edited(shop, "8443", "9443"), []string{"connect"}},
		{"a stop block", edited(shop, `web:1"`, `web:1"`+"\n    stop { timeout = \"1s\" }"), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			withHarness(t, func(t *testing.T, h *harness) {
				h.mustApply("shop.hcl", shop)
				if _, err := h.apply("shop.hcl", tt.text); err != nil {
					t.Fatal(err)
				}
				h.did(tt.want...)
				if st := h.status("shop"); st.Generation != 2 || st.State != group.Running {
					t.Errorf("generation %d, %s", st.Generation, st.State)
				}
			})
		})
	}
}

func TestApplyThatFailsChangesNothing(t *testing.T) {
	for _, tt := range []struct {
		name   string
		before func(*harness)
		files  []string
		want   string // part of the error
		hint   bool
	}{
		{"a mistake in the file", nil, []string{"shop.hcl", edited(shop, "publish", "publsh")}, "publsh", false},
		{"a mistake in the second file", nil, []string{"shop.hcl", shop, "job.hcl", "group {"}, "job.hcl", false},
		{"two of one name", nil, []string{"shop.hcl", shop, "shop.hcl", shop}, "two files are named shop.hcl", true},
		{"no name for a group file", nil, []string{"../shop.hcl", shop}, `"../shop.hcl" can't be`, true},
		{"an absent image", func(h *harness) { h.host.LoseImage("registry.example/web:1") }, []string{"shop.hcl", shop}, "web (app): image registry.example/web:1: not found", true},
		{"a group that another file has", func(h *harness) { h.mustApply("other.hcl", job) }, []string{"job.hcl", job}, "job", false},
		{"a port that another group has", func(h *harness) { h.mustApply("other.hcl", edited(shop, `"shop"`, `"other"`)) }, []string{"shop.hcl", shop}, "8443", false},
		{"a port that is taken", nil, []string{"shop.hcl", edited(shop, "8443", "22")}, "port 22/tcp of the host is taken by sshd", true},
		{"a port that cannot be asked about", nil, []string{"shop.hcl", edited(shop, "8443", "23")}, "boom", false},
		{"a create that fails", func(h *harness) { failAlways(h, "create web", errBoom) }, []string{"shop.hcl", shop}, "create web (app): create web: boom", false},
		{"a start that fails", func(h *harness) { failAlways(h, "start web", errBoom) }, []string{"shop.hcl", shop}, "start web (app): start web: boom", false},
		{"rules that can't be set", func(h *harness) { failAlways(h, "admit", errBoom) }, []string{"shop.hcl", shop}, "admit: boom", false},
		{"one file of two", func(h *harness) { failAlways(h, "create web", errBoom) }, []string{"shop.hcl", shop + job}, "group shop: create web", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHarness(t)
				h.config = func(c *keeper.Config) { c.PortInUse = sshd }
				h.begin()
				if tt.before != nil {
					tt.before(h)
				}
				host, files := h.host.String(), h.installed()
				_, err := h.apply(tt.files...)
				if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
					t.Errorf("error %v, want one line with %q", err, tt.want)
				}
				var p *hint.Error
				if hint := errors.As(err, &p) && p.Hint != ""; hint != tt.hint {
					t.Errorf("a hint: %v, want %v", hint, tt.hint)
				}
				if diff := cmp.Diff(host, h.host.String()); diff != "" {
					t.Errorf("the host changed (-before +after):\n%s", diff)
				}
				if diff := cmp.Diff(files, h.installed()); diff != "" {
					t.Errorf("the folder changed (-before +after):\n%s", diff)
				}
				h.wait(5 * time.Minute)
				if diff := cmp.Diff(host, h.host.String()); diff != "" {
					t.Errorf("the host changed later (-before +after):\n%s", diff)
				}
				h.end()
			})
		})
	}
}

// sshd uses port 22. Port 23 cannot be asked about.
func sshd(p spec.Publish) (string, error) {
	switch p.Host {
	case 22:
		return "sshd", nil
	case 23:
		return "", errBoom
	}
	return "", nil
}

func TestApplyThatCantBuildGoesBackToTheDefinitionBefore(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.mustApply("shop.hcl", shop)
		before := h.host.String()
		h.host.FailNext("create web", &hint.Error{Err: errBoom, Hint: "Duck."})
		lines, err := h.apply("shop.hcl", newWeb)
		var p *hint.Error
		if !errors.As(err, &p) || p.Hint != "Duck." {
			t.Fatalf("error %v", err)
		}
		if !strings.Contains(strings.Join(lines, "\n"), "shop.hcl: put back as it was before") {
			t.Errorf("progress does not report it: %q", lines)
		}
		if diff := cmp.Diff(before, h.host.String()); diff != "" {
			t.Errorf("the host is not as before (-before +after):\n%s", diff)
		}
		text, err := os.ReadFile(filepath.Join(h.layout.GroupsDir, "shop.hcl"))
		if err != nil || string(text) != shop {
			t.Errorf("the file is not as before: %v\n%s", err, text)
		}
	})
}

// A new file had nothing before, so it is not put back.
func TestApplyThatCantBuildANewFile(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		failAlways(h, "create web", errBoom)
		lines, err := h.apply("shop.hcl", shop)
		if err == nil || len(h.installed()) > 0 {
			t.Fatalf("error %v, installed %v, progress %q", err, h.installed(), lines)
		}
		text := strings.Join(lines, "\n")
		if !strings.Contains(text, "shop.hcl: removed again, as it is new") || strings.Contains(text, "before") {
			t.Errorf("progress:\n%s", text)
		}
	})
}

func TestApplyReportsAnEndAtOnce(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.host.ExitAtOnce("shop", "web", 3)
		_, err := h.apply("shop.hcl", shop)
		if err == nil || !strings.Contains(err.Error(), "group shop: web (app) ended with status 3") {
			t.Fatalf("error %v", err)
		}
		if diff := cmp.Diff([]string{"shop.hcl"}, h.installed()); diff != "" {
			t.Errorf("folder (-want +got):\n%s", diff)
		}
		h.host.Stay("shop", "web")
		h.wait(time.Second)
		if st := h.status("shop"); st.State != group.Running || st.Error != "" || st.Containers[2].Restarts != 1 {
			t.Errorf("later: %+v", st)
		}
	})
}

func TestApplyRemovesGroupsThatTheFileDropped(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.mustApply("all.hcl", shop+job)
		h.mustApply("all.hcl", job)
		if _, err := h.keeper.Status("shop"); !errors.Is(err, group.ErrNoGroup) || strings.Contains(h.host.String(), "shop") {
			t.Errorf("shop is still there: %v\n%s", err, h.host)
		}
	})
}

func TestApplyUnderAnothersFileNameRemovesNothing(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.mustApply("all.hcl", shop)
		other := bundles("all.hcl", job)
		other[0].Path = "/home/other/all.hcl"
		err := h.keeper.Apply(t.Context(), other, nil)
		if problem, ok := errors.AsType[*hint.Error](err); !ok || !strings.Contains(problem.Hint, "sallyport rm shop") {
			t.Errorf("error %v", err)
		}
		h.did()
		if st := h.status("shop"); st.State != group.Running {
			t.Errorf("shop is %s", st.State)
		}
	})
}

func TestApplyOfAGroupThatIsRemovedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		var removal error
		h.config = func(c *keeper.Config) {
			c.Trace = func(_ string, s plan.Step, _ time.Duration) {
				if s.Kind == plan.Connect {
					go func() { removal = h.keeper.Remove(context.Background(), "shop", nil) }()
					time.Sleep(time.Second) // the removal is in progress before the next step; this is synctest's time
				}
			}
		}
		h.begin()
		_, err := h.apply("shop.hcl", shop)
		h.end()
		if removal != nil || err == nil || !strings.Contains(err.Error(), "removed meanwhile") {
			t.Errorf("apply returned %v, remove %v", err, removal)
		}
	})
}

func TestApplyThatIsGivenUpGoesOn(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.end()
		h.config = func(c *keeper.Config) { // each step takes so long that the caller gives up first
			c.Trace = func(string, plan.Step, time.Duration) { time.Sleep(time.Second) }
		}
		h.begin()
		ctx, cancel := context.WithCancel(context.Background())
		err := h.keeper.Apply(ctx, bundles("shop.hcl", shop), func(string) { cancel() })
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		h.wait(time.Minute)
		if got := h.host.Running("shop"); got != 3 {
			t.Errorf("%d containers run, want 3", got)
		}
	})
}

func TestPreviewChangesNothing(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.mustApply("all.hcl", shop+job)
		got, err := h.keeper.Preview(context.Background(), bundles("all.hcl", edited(newWeb, "8443", "9443")))
		if err != nil {
			t.Fatal(err)
		}
		want := []group.Preview{
			{
				Group: "shop",
				Steps: []string{
					"connect shop, publish 9443/tcp to port 443",
					"stop web (app), grace 10s", "remove web (app)", "create web (app)", "start web (app)",
				},
				Replaces: []string{"web (app): changed: command"},
				Differs: []diff.Change{
					{Container: "proxy", Attribute: "publish http.host", Kind: diff.Changed, Before: "8443", Now: "9443"},
					{Container: "web", Attribute: "command", Kind: diff.Added, Now: `["/bin/web"]`},
				},
				Opens:  []string{"the world may reach port 443 of proxy (ambassador) through 9443/tcp of the host"},
				Closes: []string{"the world may reach port 443 of proxy (ambassador) through 8443/tcp of the host"},
			},
			{Group: "job", Steps: []string{"stop once (app), grace 10s", "remove once (app)", "disconnect job, unpin its namespace"}},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("preview (-want +got):\n%s", diff)
		}
		h.did()
		if st := h.status("shop"); st.Generation != 1 {
			t.Errorf("generation %d", st.Generation)
		}
	})
}

func TestPreviewReportsWhatIsUnknown(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.host.FailNext("observe containers", errBoom)
		got, err := h.keeper.Preview(context.Background(), bundles("job.hcl", job))
		if err != nil || len(got) != 1 || !strings.Contains(got[0].Error, "look at its containers") {
			t.Errorf("preview %+v, error %v", got, err)
		}
	})
}

func TestTraceGetsEachStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		var begun, kinds []plan.Kind
		h.config = func(c *keeper.Config) {
			c.Before = func(_ string, s plan.Step) { begun = append(begun, s.Kind) }
			c.Trace = func(_ string, s plan.Step, _ time.Duration) {
				kinds = append(kinds, s.Kind)
				if len(begun) != len(kinds) {
					t.Errorf("%d steps have ended, %d have begun", len(kinds), len(begun))
				}
			}
		}
		h.begin()
		h.mustApply("job.hcl", job)
		h.end()
		want := []plan.Kind{plan.Seal, plan.Admit, plan.Create, plan.Start}
		if diff := cmp.Diff(want, kinds); diff != "" {
			t.Errorf("traced (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(want, begun); diff != "" {
			t.Errorf("begun (-want +got):\n%s", diff)
		}
	})
}
