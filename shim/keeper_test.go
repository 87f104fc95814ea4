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
	"github.com/sallyport/sallyport/shim/shimtest"
)

var errBoom = errors.New("boom")

// A desk is an operator's place: a host in memory, a store in a temporary folder, and one keeper after the other. The clock
// is synctest's.
type desk struct {
	t      *testing.T
	host   *shimtest.Host
	layout shim.Layout
	config func(*shim.Config) // optional: changes the next keeper's

	keeper  *shim.Keeper
	changed chan struct{}
	end     func() // the keeper's
}

// at runs a test at a desk whose keeper has begun.
func at(t *testing.T, do func(t *testing.T, d *desk)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.begin()
		defer func() { d.end() }()
		do(t, d)
		d.end()
		if v := d.host.Violations(); len(v) > 0 {
			t.Errorf("the promise was broken:\n%s", strings.Join(v, "\n"))
		}
	})
}

func newDesk(t *testing.T) *desk {
	dir := t.TempDir()
	return &desk{t: t, host: shimtest.New(nil), end: func() {}, layout: shim.Layout{
		GroupsDir: filepath.Join(dir, "groups.d"), StateDir: filepath.Join(dir, "state"), RunDir: filepath.Join(dir, "run"),
		LogDir: filepath.Join(dir, "log"), CgroupRoot: "/sallyport",
	}}
}

// begin starts a keeper and waits until it has nothing to do.
func (d *desk) begin() {
	d.t.Helper()
	c := shim.Config{
		RunnerConfig: shim.RunnerConfig{
			Runtime: d.host.Runtime(), Network: d.host.Network(), Volumes: d.host.Volumes(), Cgroups: d.host.Cgroups(),
			Images: d.host.Images(), Store: shim.NewStore(d.layout), Rand: func() float64 { return 0 },
		},
		Watcher: d.host,
	}
	if d.config != nil {
		d.config(&c)
	}
	k, err := shim.New(c)
	if err != nil {
		d.t.Fatal(err)
	}
	d.changed = make(chan struct{})
	changes := d.changed
	d.keeper = k.WithFolder(func(ctx context.Context, _ string, _ time.Duration, changed func()) error {
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-changes:
				changed()
			}
		}
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- k.Run(ctx) }()
	d.end = func() {
		d.t.Helper()
		cancel()
		if err := <-done; err != nil {
			d.t.Errorf("Run: %v", err)
		}
		d.end = func() {}
	}
	synctest.Wait()
}

// apply applies files given as name, text, name, text, and returns the progress.
func (d *desk) apply(files ...string) ([]string, error) {
	var lines []string
	err := d.keeper.Apply(context.Background(), bundles(files...), func(l string) { lines = append(lines, l) })
	synctest.Wait()
	return lines, err
}

func (d *desk) mustApply(files ...string) {
	d.t.Helper()
	if _, err := d.apply(files...); err != nil {
		d.t.Fatalf("apply: %v", err)
	}
	d.host.ForgetOperations()
}

func bundles(files ...string) []shim.Bundle {
	var out []shim.Bundle
	for i := 0; i < len(files); i += 2 {
		out = append(out, shim.Bundle{Name: files[i], Path: "/home/op/" + files[i], HCL: []byte(files[i+1])})
	}
	return out
}

// write puts a file into the folder by hand, remove takes it away; both let the keeper notice.
func (d *desk) write(name, text string) {
	d.t.Helper()
	if err := os.WriteFile(filepath.Join(d.layout.GroupsDir, name), []byte(text), 0o600); err != nil {
		d.t.Fatal(err)
	}
	d.notice()
}

func (d *desk) remove(name string) {
	d.t.Helper()
	if err := os.Remove(filepath.Join(d.layout.GroupsDir, name)); err != nil {
		d.t.Fatal(err)
	}
	d.notice()
}

func (d *desk) notice() {
	d.changed <- struct{}{}
	synctest.Wait()
}

func (d *desk) wait(t time.Duration) {
	time.Sleep(t) // synctest's clock: it takes no time
	synctest.Wait()
}

func (d *desk) status(group string) shim.GroupStatus {
	d.t.Helper()
	st, err := d.keeper.Status(group)
	if err != nil {
		d.t.Fatalf("status of %s: %v", group, err)
	}
	return st[0]
}

// did compares what was done on the host since the last time with what was to be done. Asking for
// images does not count.
func (d *desk) did(want ...string) {
	d.t.Helper()
	var got []string
	for _, op := range d.host.Operations() {
		if !strings.HasPrefix(op, "image ") {
			got = append(got, op)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		d.t.Errorf("operations (-want +got):\n%s", diff)
	}
	d.host.ForgetOperations()
}

func (d *desk) installed() []string {
	d.t.Helper()
	names := []string{}
	entries, err := os.ReadDir(d.layout.GroupsDir)
	if err != nil {
		d.t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

const shop = shimtest.Shop

// job is one app that is not to be restarted.
const job = shimtest.Job

// edited is a text with replacements: old, new, old, new.
func edited(text string, pairs ...string) string { return shimtest.Edited(text, pairs...) }

// newWeb is shop with another command for its app.
var newWeb = edited(shop, `web:1"`, `web:1"`+"\n    command = [\"/bin/web\"]")

func TestKeeperAdoptsWhatRuns(t *testing.T) {
	at(t, func(t *testing.T, d *desk) {
		d.mustApply("shop.hcl", shop)
		before := d.host.String()
		d.end()
		d.did()
		if diff := cmp.Diff(before, d.host.String()); diff != "" {
			t.Fatalf("the end of a keeper changed the host (-before +after):\n%s", diff)
		}
		d.begin()
		d.did()
		if st := d.status("shop"); st.State != shim.Running || st.Error != "" || st.Generation != 1 {
			t.Errorf("after adoption the group is %s, generation %d, error %q", st.State, st.Generation, st.Error)
		}
	})
}

func TestKeeperCatchesUpWithFilesChangedWhileItWasAway(t *testing.T) {
	at(t, func(t *testing.T, d *desk) {
		d.mustApply("shop.hcl", shop, "job.hcl", job)
		d.end()
		if err := os.WriteFile(filepath.Join(d.layout.GroupsDir, "shop.hcl"), []byte(newWeb), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(filepath.Join(d.layout.GroupsDir, "job.hcl")); err != nil {
			t.Fatal(err)
		}
		d.begin()
		if got := d.status("shop").Generation; got != 2 {
			t.Errorf("generation %d, want 2", got)
		}
		if strings.Contains(d.host.String(), "job") {
			t.Errorf("the job is still there:\n%s", d.host)
		}
	})
}

func TestKeeperRemovesOrphans(t *testing.T) {
	for _, tt := range []struct {
		name   string
		before func(d *desk)
		gone   bool
	}{
		{"nobody wants it", func(*desk) {}, true},
		{"a broken file may want it", func(d *desk) { d.put("broken.hcl", "group {") }, false},
		{"the folder can't be read", func(d *desk) { d.block() }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDesk(t)
				d.begin()
				d.mustApply("job.hcl", job)
				d.end()
				for _, dir := range []string{d.layout.GroupsDir, d.layout.StateDir} { // nothing is known any more
					if err := os.RemoveAll(dir); err != nil {
						t.Fatal(err)
					}
				}
				tt.before(d)
				d.begin()
				d.end()
				if gone := d.host.String() == "\n" || d.host.String() == ""; gone != tt.gone {
					t.Errorf("gone: %v, want %v; the host:\n%s", gone, tt.gone, d.host)
				}
			})
		})
	}
}

// exit ends a program, and lets the keeper notice.
func (d *desk) exit(group, name string, status uint32) {
	d.host.Exit(group, name, status)
	synctest.Wait()
}

// put writes a file while no keeper looks.
func (d *desk) put(name, text string) {
	d.t.Helper()
	if err := os.MkdirAll(d.layout.GroupsDir, 0o755); err != nil {
		d.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(d.layout.GroupsDir, name), []byte(text), 0o600); err != nil {
		d.t.Fatal(err)
	}
}

// block makes the folder one that can't be read, even by root.
func (d *desk) block() {
	d.t.Helper()
	if err := os.WriteFile(d.layout.GroupsDir, nil, 0o600); err != nil {
		d.t.Fatal(err)
	}
}

func TestKeeperFollowsTheFolder(t *testing.T) {
	at(t, func(t *testing.T, d *desk) {
		d.write("shop.hcl", shop)
		if got := d.host.Running("shop"); got != 3 {
			t.Fatalf("%d containers run, want 3", got)
		}
		d.host.ForgetOperations()

		d.write("shop.hcl", shop+"group {")
		d.did()
		st := d.status("shop")
		if st.State != shim.Running || !strings.Contains(st.Error, "file shop.hcl can't be used (line ") {
			t.Errorf("with a broken file: %s, error %q", st.State, st.Error)
		}
		if len(d.keeper.Problems()) != 1 {
			t.Errorf("problems: %v", d.keeper.Problems())
		}

		d.write("shop.hcl", newWeb)
		d.did("stop web", "remove web", "create web", "start web")
		if st := d.status("shop"); st.Error != "" || st.Generation != 2 {
			t.Errorf("mended: generation %d, error %q", st.Generation, st.Error)
		}

		d.remove("shop.hcl")
		if _, err := d.keeper.Status("shop"); err != shim.ErrNoGroup {
			t.Errorf("status after its file is gone: %v", err)
		}
		if d.host.Running("shop") != 0 {
			t.Errorf("still there:\n%s", d.host)
		}
	})
}

func TestKeeperLeavesGroupsWhoseFolderVanishes(t *testing.T) {
	at(t, func(t *testing.T, d *desk) {
		d.mustApply("shop.hcl", shop)
		if err := os.Rename(d.layout.GroupsDir, d.layout.GroupsDir+".away"); err != nil {
			t.Fatal(err)
		}
		d.notice()
		d.did()
		if st := d.status("shop"); st.State != shim.Running || st.Error == "" {
			t.Errorf("%s, error %q", st.State, st.Error)
		}
	})
}

func TestNewAsksForItsParts(t *testing.T) {
	if _, err := shim.New(shim.Config{}); err == nil {
		t.Error("a Keeper without parts was made")
	}
}

func TestKeeperThatIsStoppingSaysSo(t *testing.T) {
	at(t, func(t *testing.T, d *desk) {
		d.end()
		if _, err := d.apply("shop.hcl", shop); err == nil || !strings.Contains(err.Error(), "stopping") {
			t.Errorf("apply: %v", err)
		}
	})
}
