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

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hosttest"
	"github.com/sallyport/sallyport/shim/keeper"
	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/shim/runner"
	"github.com/sallyport/sallyport/shim/store"
)

var errBoom = errors.New("boom")

// A harness has a host in memory, a store in a temporary folder, and one keeper at a time. The
// clock is synctest's.
type harness struct {
	t      *testing.T
	host   *hosttest.Host
	layout layout.Layout
	config func(*keeper.Config) // optional: changes the configuration of the next keeper

	keeper  *keeper.Keeper
	changed chan struct{}
	end     func() // ends the keeper
}

// withHarness runs a test with a harness whose keeper has begun.
func withHarness(t *testing.T, do func(t *testing.T, h *harness)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		h.begin()
		defer func() { h.end() }()
		do(t, h)
		h.end()
		if v := h.host.Violations(); len(v) > 0 {
			t.Errorf("the promise was broken:\n%s", strings.Join(v, "\n"))
		}
	})
}

func newHarness(t *testing.T) *harness {
	dir := t.TempDir()
	return &harness{t: t, host: hosttest.New(nil), end: func() {}, layout: layout.Layout{
		GroupsDir: filepath.Join(dir, "groups.d"), StateDir: filepath.Join(memoryDir(t), "state"), RunDir: filepath.Join(dir, "run"),
		LogDir: filepath.Join(dir, "log"), CgroupRoot: "/sallyport",
	}}
}

// memoryDir returns a folder in memory, or one on the disk on a host that has no such folder. The
// store syncs each file that it writes, more than 10,000 in these tests. On a busy disk each takes
// milliseconds. The group files stay on the disk: a file block refuses a source below /dev.
func memoryDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "sallyport-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// begin starts a keeper and waits until it has nothing to do.
func (h *harness) begin() {
	h.t.Helper()
	c := keeper.Config{
		Config: runner.Config{
			Runtime: h.host.Runtime(), Network: h.host.Network(), Volumes: h.host.Volumes(), Cgroups: h.host.Cgroups(),
			Images: h.host.Images(), Rand: func() float64 { return 0 },
		},
		Store:   store.New(h.layout),
		Watcher: h.host,
	}
	if h.config != nil {
		h.config(&c)
	}
	k, err := keeper.New(c)
	if err != nil {
		h.t.Fatal(err)
	}
	h.changed = make(chan struct{})
	changes := h.changed
	h.keeper = k.WithFolder(func(ctx context.Context, _ string, _ time.Duration, changed func()) error {
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
	h.end = func() {
		h.t.Helper()
		cancel()
		if err := <-done; err != nil {
			h.t.Errorf("Run: %v", err)
		}
		h.end = func() {}
	}
	synctest.Wait()
}

// apply applies files given as name, text, name, text, and returns the progress.
func (h *harness) apply(files ...string) ([]string, error) {
	var lines []string
	err := h.keeper.Apply(context.Background(), bundles(files...), func(l string) { lines = append(lines, l) })
	synctest.Wait()
	return lines, err
}

// mustApply applies files and waits until what has stayed ready has proved itself.
func (h *harness) mustApply(files ...string) {
	h.t.Helper()
	if _, err := h.apply(files...); err != nil {
		h.t.Fatalf("apply: %v", err)
	}
	h.wait(proof)
	h.host.ForgetOperations()
}

// How long a generation must be ready to prove itself: one with a time limit, and one without.
const (
	proof    = 2 * time.Second
	earlyEnd = 500 * time.Millisecond
)

func bundles(files ...string) []group.Bundle {
	var out []group.Bundle
	for i := 0; i < len(files); i += 2 {
		out = append(out, group.Bundle{Name: files[i], Path: "/home/op/" + files[i], HCL: []byte(files[i+1])})
	}
	return out
}

// removalDelay is how long a file must be gone.
const removalDelay = 2 * time.Second

// write writes a file into the folder by hand. remove removes one for good. Both let the keeper
// notice.
func (h *harness) write(name, text string) {
	h.t.Helper()
	if err := os.WriteFile(filepath.Join(h.layout.GroupsDir, name), []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
	h.notice()
}

func (h *harness) remove(name string) {
	h.t.Helper()
	if err := os.Remove(filepath.Join(h.layout.GroupsDir, name)); err != nil {
		h.t.Fatal(err)
	}
	h.notice()
	h.wait(removalDelay)
}

func (h *harness) notice() {
	h.changed <- struct{}{}
	synctest.Wait()
}

func (h *harness) wait(t time.Duration) {
	time.Sleep(t) // on synctest's clock, which takes no real time
	synctest.Wait()
}

func (h *harness) status(group string) group.Status {
	h.t.Helper()
	st, err := h.keeper.Status(group)
	if err != nil {
		h.t.Fatalf("status of %s: %v", group, err)
	}
	return st[0]
}

// did compares the operations on the host since the last call with the wanted ones. It ignores
// those on images.
func (h *harness) did(want ...string) {
	h.t.Helper()
	var got []string
	for _, op := range h.host.Operations() {
		if !strings.HasPrefix(op, "image ") {
			got = append(got, op)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		h.t.Errorf("operations (-want +got):\n%s", diff)
	}
	h.host.ForgetOperations()
}

func (h *harness) installed() []string {
	h.t.Helper()
	names := []string{}
	entries, err := os.ReadDir(h.layout.GroupsDir)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

const shop = hosttest.Shop

// job is one app that is never restarted.
const job = hosttest.Job

// edited returns a text after replacements: old, new, old, new.
func edited(text string, pairs ...string) string { return hosttest.Edited(text, pairs...) }

// newWeb is shop with another command for its app.
var newWeb = edited(shop, `web:1"`, `web:1"`+"\n    command = [\"/bin/web\"]")

func TestKeeperAdoptsWhatRuns(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.mustApply("shop.hcl", shop)
		before := h.host.String()
		h.end()
		h.did()
		if diff := cmp.Diff(before, h.host.String()); diff != "" {
			t.Fatalf("the end of a keeper changed the host (-before +after):\n%s", diff)
		}
		h.begin()
		h.did()
		if st := h.status("shop"); st.State != group.Running || st.Error != "" || st.Generation != 1 {
			t.Errorf("after adoption the group is %s, generation %d, error %q", st.State, st.Generation, st.Error)
		}
	})
}

func TestKeeperCatchesUpWithFilesChangedWhileItWasAway(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.mustApply("shop.hcl", shop, "job.hcl", job)
		h.end()
		if err := os.WriteFile(filepath.Join(h.layout.GroupsDir, "shop.hcl"), []byte(newWeb), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(filepath.Join(h.layout.GroupsDir, "job.hcl")); err != nil {
			t.Fatal(err)
		}
		h.begin()
		if got := h.status("shop").Generation; got != 2 {
			t.Errorf("generation %d, want 2", got)
		}
		if strings.Contains(h.host.String(), "job") {
			t.Errorf("the job is still there:\n%s", h.host)
		}
	})
}

func TestKeeperRemovesOrphans(t *testing.T) {
	for _, tt := range []struct {
		name   string
		before func(h *harness)
		gone   bool
	}{
		{"no file defines it", func(*harness) {}, true},
		{"a broken file may want it", func(h *harness) { h.put("broken.hcl", "group {") }, false},
		{"the folder can't be read", func(h *harness) { h.block() }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHarness(t)
				h.begin()
				h.mustApply("job.hcl", job)
				h.end()
				for _, dir := range []string{h.layout.GroupsDir, h.layout.StateDir} { // no group is known
					if err := os.RemoveAll(dir); err != nil {
						t.Fatal(err)
					}
				}
				tt.before(h)
				h.begin()
				h.end()
				if gone := h.host.String() == "\n" || h.host.String() == ""; gone != tt.gone {
					t.Errorf("gone: %v, want %v; the host:\n%s", gone, tt.gone, h.host)
				}
			})
		})
	}
}

// exit ends a program, and lets the keeper notice.
func (h *harness) exit(group, name string, status uint32) {
	h.host.Exit(group, name, status)
	synctest.Wait()
}

// put writes a file while no keeper watches.
func (h *harness) put(name, text string) {
	h.t.Helper()
	if err := os.MkdirAll(h.layout.GroupsDir, 0o755); err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(h.layout.GroupsDir, name), []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// block makes the folder unreadable, even for root.
func (h *harness) block() {
	h.t.Helper()
	if err := os.WriteFile(h.layout.GroupsDir, nil, 0o600); err != nil {
		h.t.Fatal(err)
	}
}

func TestKeeperFollowsTheFolder(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.write("shop.hcl", shop)
		if got := h.host.Running("shop"); got != 3 {
			t.Fatalf("%d containers run, want 3", got)
		}
		h.host.ForgetOperations()

		h.write("shop.hcl", shop+"group {")
		h.did()
		st := h.status("shop")
		if st.State != group.Running || !strings.Contains(st.Error, "file shop.hcl can't be used (line ") {
			t.Errorf("with a broken file: %s, error %q", st.State, st.Error)
		}
		if len(h.keeper.Problems()) != 1 {
			t.Errorf("problems: %v", h.keeper.Problems())
		}

		h.write("shop.hcl", newWeb)
		h.did("stop web", "remove web", "create web", "start web")
		if st := h.status("shop"); st.Error != "" || st.Generation != 2 {
			t.Errorf("mended: generation %d, error %q", st.Generation, st.Error)
		}

		h.remove("shop.hcl")
		if _, err := h.keeper.Status("shop"); err != group.ErrNoGroup {
			t.Errorf("status after its file is gone: %v", err)
		}
		if h.host.Running("shop") != 0 {
			t.Errorf("still there:\n%s", h.host)
		}
	})
}

func TestKeeperLeavesGroupsWhenTheFolderVanishes(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.mustApply("shop.hcl", shop)
		if err := os.Rename(h.layout.GroupsDir, h.layout.GroupsDir+".away"); err != nil {
			t.Fatal(err)
		}
		h.notice()
		h.did()
		if st := h.status("shop"); st.State != group.Running || st.Error == "" {
			t.Errorf("%s, error %q", st.State, st.Error)
		}
		if err := os.Rename(h.layout.GroupsDir+".away", h.layout.GroupsDir); err != nil {
			t.Fatal(err)
		}
		h.mustApply("shop.hcl", newWeb) // before the watch is there again
		if st := h.status("shop"); st.Generation != 2 || st.Error != "" {
			t.Errorf("the folder is back: generation %d, error %q", st.Generation, st.Error)
		}
	})
}

func TestNewAsksForItsParts(t *testing.T) {
	if _, err := keeper.New(keeper.Config{}); err == nil {
		t.Error("a Keeper without parts was made")
	}
}

func TestCallsFailWhileTheKeeperStops(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.end()
		if _, err := h.apply("shop.hcl", shop); err == nil || !strings.Contains(err.Error(), "stopping") {
			t.Errorf("apply: %v", err)
		}
	})
}
