package shim_test

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

	"github.com/sallyport/sallyport/shim"
	"github.com/sallyport/sallyport/spec"
)

func TestApplyBringsAGroupUp(t *testing.T) {
	at(t, func(t *testing.T, d *desk) {
		lines, err := d.apply("shop.hcl", shop)
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
		st := d.status("shop")
		if st.State != shim.Running || st.File != "shop.hcl" || st.Generation != 1 || len(st.Addrs) == 0 || len(st.Publish) != 1 {
			t.Errorf("status %+v", st)
		}
		for _, c := range st.Containers {
			if c.Task != shim.TaskRunning || c.PID == 0 || c.Restarts != 0 || c.Image == "" {
				t.Errorf("container %+v", c)
			}
		}
		d.host.ForgetOperations()
		if _, err := d.apply("shop.hcl", shop); err != nil {
			t.Fatal(err)
		}
		d.did()
	})
}

// The status has the door's own value, so a new field of the door is in it.
func TestStatusHasTheDoor(t *testing.T) {
	at(t, func(t *testing.T, d *desk) {
		text := edited(shop, "publish \"http\"", "intercept { port = 15001 }\n rate { out = \"2Mbit\" }\n quota = \"5GiB\"\n allow = [\"192.0.2.1:443/tcp\"]\n publish \"http\"")
		d.mustApply("shop.hcl", text)
		want := spec.Door{
			Publish:   []spec.Publish{{Name: "http", Host: 8443, Port: 443, Protocol: "tcp"}},
			Intercept: 15001, Rate: spec.Rate{Out: 2_000_000}, Quota: 5 << 30,
		}
		if diff := cmp.Diff(want, d.status("shop").Door); diff != "" {
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
			at(t, func(t *testing.T, d *desk) {
				d.mustApply("shop.hcl", shop)
				if _, err := d.apply("shop.hcl", tt.text); err != nil {
					t.Fatal(err)
				}
				d.did(tt.want...)
				if st := d.status("shop"); st.Generation != 2 || st.State != shim.Running {
					t.Errorf("generation %d, %s", st.Generation, st.State)
				}
			})
		})
	}
}

func TestApplyThatFailsChangesNothing(t *testing.T) {
	for _, tt := range []struct {
		name   string
		before func(*desk)
		files  []string
		want   string // part of the error
		hint   bool
	}{
		{"a mistake in the file", nil, []string{"shop.hcl", edited(shop, "publish", "publsh")}, "publsh", false},
		{"a mistake in the second file", nil, []string{"shop.hcl", shop, "job.hcl", "group {"}, "job.hcl", false},
		{"two of one name", nil, []string{"shop.hcl", shop, "shop.hcl", shop}, "two files are named shop.hcl", true},
		{"no name for a group file", nil, []string{"../shop.hcl", shop}, `"../shop.hcl" can't be`, true},
		{"an image that is not there", func(d *desk) { d.host.LoseImage("registry.example/web:1") }, []string{"shop.hcl", shop}, "web (app): image registry.example/web:1: not found", true},
		{"a group that another file has", func(d *desk) { d.mustApply("other.hcl", job) }, []string{"job.hcl", job}, "job", false},
		{"a port that another group has", func(d *desk) { d.mustApply("other.hcl", edited(shop, `"shop"`, `"other"`)) }, []string{"shop.hcl", shop}, "8443", false},
		{"a port that is taken", nil, []string{"shop.hcl", edited(shop, "8443", "22")}, "port 22/tcp of the host is taken by sshd", true},
		{"a port nobody can tell of", nil, []string{"shop.hcl", edited(shop, "8443", "23")}, "boom", false},
		{"a create that fails", func(d *desk) { d.host.FailNext("create web", errBoom) }, []string{"shop.hcl", shop}, "create web (app): create web: boom", false},
		{"a start that fails", func(d *desk) { d.host.FailNext("start web", errBoom) }, []string{"shop.hcl", shop}, "start web (app): start web: boom", false},
		{"rules that can't be had", func(d *desk) { d.host.FailNext("admit", errBoom) }, []string{"shop.hcl", shop}, "admit: boom", false},
		{"one file of two", func(d *desk) { d.host.FailNext("create web", errBoom) }, []string{"shop.hcl", shop + job}, "group shop: create web", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDesk(t)
				d.config = func(c *shim.Config) { c.PortInUse = sshd }
				d.begin()
				if tt.before != nil {
					tt.before(d)
				}
				host, files := d.host.String(), d.installed()
				_, err := d.apply(tt.files...)
				if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
					t.Errorf("error %v, want one line with %q", err, tt.want)
				}
				var p *shim.Problem
				if hint := errors.As(err, &p) && p.Hint != ""; hint != tt.hint {
					t.Errorf("a hint: %v, want %v", hint, tt.hint)
				}
				if diff := cmp.Diff(host, d.host.String()); diff != "" {
					t.Errorf("the host changed (-before +after):\n%s", diff)
				}
				if diff := cmp.Diff(files, d.installed()); diff != "" {
					t.Errorf("the folder changed (-before +after):\n%s", diff)
				}
				d.wait(5 * time.Minute)
				if diff := cmp.Diff(host, d.host.String()); diff != "" {
					t.Errorf("the host changed later (-before +after):\n%s", diff)
				}
				d.end()
			})
		})
	}
}

// sshd has port 22, and nobody can tell of port 23.
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
	at(t, func(t *testing.T, d *desk) {
		d.mustApply("shop.hcl", shop)
		before := d.host.String()
		d.host.FailNext("create web", &shim.Problem{Err: errBoom, Hint: "Duck."})
		lines, err := d.apply("shop.hcl", newWeb)
		var p *shim.Problem
		if !errors.As(err, &p) || p.Hint != "Duck." {
			t.Fatalf("error %v", err)
		}
		if !strings.Contains(strings.Join(lines, "\n"), "shop.hcl: put back as it was before") {
			t.Errorf("progress says nothing of it: %q", lines)
		}
		if diff := cmp.Diff(before, d.host.String()); diff != "" {
			t.Errorf("the host is not as before (-before +after):\n%s", diff)
		}
		text, err := os.ReadFile(filepath.Join(d.layout.GroupsDir, "shop.hcl"))
		if err != nil || string(text) != shop {
			t.Errorf("the file is not as before: %v\n%s", err, text)
		}
	})
}

func TestApplyTellsOfAnEndAtOnce(t *testing.T) {
	at(t, func(t *testing.T, d *desk) {
		d.host.ExitAtOnce("shop", "web", 3)
		_, err := d.apply("shop.hcl", shop)
		if err == nil || !strings.Contains(err.Error(), "group shop: web (app) ended with status 3") {
			t.Fatalf("error %v", err)
		}
		if diff := cmp.Diff([]string{"shop.hcl"}, d.installed()); diff != "" {
			t.Errorf("folder (-want +got):\n%s", diff)
		}
		d.host.Stay("shop", "web")
		d.wait(time.Second)
		if st := d.status("shop"); st.State != shim.Running || st.Error != "" || st.Containers[2].Restarts != 1 {
			t.Errorf("later: %+v", st)
		}
	})
}

func TestApplyTakesAwayWhatTheFileHasNoMore(t *testing.T) {
	at(t, func(t *testing.T, d *desk) {
		d.mustApply("all.hcl", shop+job)
		d.mustApply("all.hcl", job)
		if _, err := d.keeper.Status("shop"); !errors.Is(err, shim.ErrNoGroup) || strings.Contains(d.host.String(), "shop") {
			t.Errorf("shop is still there: %v\n%s", err, d.host)
		}
	})
}

func TestApplyOfAnothersNameTakesNothingAway(t *testing.T) {
	at(t, func(t *testing.T, d *desk) {
		d.mustApply("all.hcl", shop)
		other := bundles("all.hcl", job)
		other[0].Path = "/home/other/all.hcl"
		err := d.keeper.Apply(t.Context(), other, nil)
		if problem, ok := errors.AsType[*shim.Problem](err); !ok || !strings.Contains(problem.Hint, "sallyport rm shop") {
			t.Errorf("error %v", err)
		}
		d.did()
		if st := d.status("shop"); st.State != shim.Running {
			t.Errorf("shop is %s", st.State)
		}
	})
}

func TestApplyOfAGroupThatIsRemovedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		var removal error
		d.config = func(c *shim.Config) {
			c.Trace = func(_ string, s shim.Step, _ time.Duration) {
				if s.Kind == shim.Connect {
					go func() { removal = d.keeper.Remove(context.Background(), "shop", nil) }()
					time.Sleep(time.Second) // the removal is under way before the next step; this is synctest's time
				}
			}
		}
		d.begin()
		_, err := d.apply("shop.hcl", shop)
		d.end()
		if removal != nil || err == nil || !strings.Contains(err.Error(), "removed meanwhile") {
			t.Errorf("apply said %v, remove %v", err, removal)
		}
	})
}

func TestApplyThatIsGivenUpGoesOn(t *testing.T) {
	at(t, func(t *testing.T, d *desk) {
		d.end()
		d.config = func(c *shim.Config) { // no step is so fast that it is done before the caller has given up
			c.Trace = func(string, shim.Step, time.Duration) { time.Sleep(time.Second) }
		}
		d.begin()
		ctx, cancel := context.WithCancel(context.Background())
		err := d.keeper.Apply(ctx, bundles("shop.hcl", shop), func(string) { cancel() })
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		d.wait(time.Minute)
		if got := d.host.Running("shop"); got != 3 {
			t.Errorf("%d containers run, want 3", got)
		}
	})
}

func TestPreviewChangesNothing(t *testing.T) {
	at(t, func(t *testing.T, d *desk) {
		d.mustApply("all.hcl", shop+job)
		got, err := d.keeper.Preview(context.Background(), bundles("all.hcl", edited(newWeb, "8443", "9443")))
		if err != nil {
			t.Fatal(err)
		}
		want := []shim.Preview{
			{
				Group: "shop",
				Steps: []string{
					"connect shop, publish 9443/tcp to port 443",
					"stop web (app), grace 10s", "remove web (app)", "create web (app)", "start web (app)",
				},
				Opens:  []string{"the world may reach port 443 of proxy (ambassador) through 9443/tcp of the host"},
				Closes: []string{"the world may reach port 443 of proxy (ambassador) through 8443/tcp of the host"},
			},
			{Group: "job", Steps: []string{"stop once (app), grace 10s", "remove once (app)", "disconnect job, unpin its namespace"}},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("preview (-want +got):\n%s", diff)
		}
		d.did()
		if st := d.status("shop"); st.Generation != 1 {
			t.Errorf("generation %d", st.Generation)
		}
	})
}

func TestPreviewSaysWhatIsUnknown(t *testing.T) {
	at(t, func(t *testing.T, d *desk) {
		d.host.FailNext("observe containers", errBoom)
		got, err := d.keeper.Preview(context.Background(), bundles("job.hcl", job))
		if err != nil || len(got) != 1 || !strings.Contains(got[0].Error, "look at its containers") {
			t.Errorf("preview %+v, error %v", got, err)
		}
	})
}

func TestTraceTellsOfEachStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		var begun, kinds []shim.Kind
		d.config = func(c *shim.Config) {
			c.Before = func(_ string, s shim.Step) { begun = append(begun, s.Kind) }
			c.Trace = func(_ string, s shim.Step, _ time.Duration) {
				kinds = append(kinds, s.Kind)
				if len(begun) != len(kinds) {
					t.Errorf("%d have ended of %d that have begun", len(kinds), len(begun))
				}
			}
		}
		d.begin()
		d.mustApply("job.hcl", job)
		d.end()
		want := []shim.Kind{shim.Seal, shim.Admit, shim.Create, shim.Start}
		if diff := cmp.Diff(want, kinds); diff != "" {
			t.Errorf("traced (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(want, begun); diff != "" {
			t.Errorf("begun (-want +got):\n%s", diff)
		}
	})
}
