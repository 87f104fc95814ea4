package keeper_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/keeper"
)

func TestWatchFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "groups.d")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	changes, done := make(chan struct{}), make(chan error, 1)
	ctx := t.Context()
	go func() {
		done <- keeper.WatchFolder(ctx, dir, time.Millisecond, func() {
			select {
			case changes <- struct{}{}:
			case <-ctx.Done():
			}
		})
	}()
	<-changes // for changes before the watch began
	if err := os.WriteFile(filepath.Join(dir, "a.hcl"), []byte(job), 0o600); err != nil {
		t.Fatal(err)
	}
	<-changes
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	for {
		select {
		case <-changes: // about the removal of the file
			continue
		case err := <-done:
			if err == nil {
				t.Error("a watch of nothing went on")
			}
		}
		return
	}
}

func TestWatchFolderEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := keeper.WatchFolder(ctx, t.TempDir(), time.Hour, func() {}); err != nil {
		t.Error(err)
	}
}

func TestWatchFolderThatIsNotThere(t *testing.T) {
	if err := keeper.WatchFolder(context.Background(), filepath.Join(t.TempDir(), "none"), time.Hour, func() {}); err == nil {
		t.Error("a folder that is not there was watched")
	}
}

// A note that is rewritten all the time doesn't keep a folder from being read.
func TestWatchFolderThatIsNeverQuiet(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	var writer, watcher sync.WaitGroup
	writer.Go(func() {
		for ctx.Err() == nil {
			_ = os.WriteFile(filepath.Join(dir, "note"), []byte("x"), 0o600)
		}
	})
	calls := make(chan struct{})
	watcher.Go(func() {
		_ = keeper.WatchFolder(ctx, dir, 200*time.Millisecond, func() {
			select {
			case calls <- struct{}{}:
			case <-ctx.Done():
			}
		})
	})
	deadline := time.After(30 * time.Second)
	for range 2 {
		select {
		case <-calls:
		case <-deadline:
			t.Error("the folder was not read")
		}
	}
	cancel()
	writer.Wait()
	watcher.Wait()
}

// withVariable declares a variable, whose default differs from what the file is applied with.
var withVariable = "variable \"tag\" {\n  type    = string\n  default = \"0\"\n}\n" + edited(job, "once:1", "once:${var.tag}")

// A file that is gone for a moment keeps its group, and what it was applied with.
func TestKeeperKeepsTheGroupOfAFileThatIsGoneForAMoment(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		b := bundles("job.hcl", withVariable)
		b[0].Vars = map[string]string{"tag": "7"}
		if err := h.keeper.Apply(t.Context(), b, nil); err != nil {
			t.Fatal(err)
		}
		h.mustApply("shop.hcl", shop)
		before := h.host.String()
		job := filepath.Join(h.layout.GroupsDir, "job.hcl")
		for range 2 { // the second time counts from anew
			if err := os.Rename(job, job+"~"); err != nil {
				t.Fatal(err)
			}
			h.notice()
			h.wait(removalDelay - time.Millisecond)
			h.notice() // something else has changed
			if err := os.Rename(job+"~", job); err != nil {
				t.Fatal(err)
			}
			h.notice()
			h.wait(2 * removalDelay)
			h.did()
		}
		if diff := cmp.Diff(before, h.host.String()); diff != "" {
			t.Errorf("the host (-before +after):\n%s", diff)
		}
		if st := h.status("job"); st.Generation != 1 || st.File != "job.hcl" {
			t.Errorf("generation %d of %q", st.Generation, st.File)
		}
		if err := os.Remove(job); err != nil {
			t.Fatal(err)
		}
		h.notice()
		h.wait(removalDelay)
		if _, err := h.keeper.Status("job"); err != group.ErrNoGroup {
			t.Errorf("the control, a file that stays away: %v", err)
		}
	})
}

// A file that is being copied may hold only its first groups for a moment.
func TestKeeperKeepsAGroupThatIsMissingInAnEditedFile(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.write("both.hcl", job+shop)
		h.host.ForgetOperations()
		h.write("both.hcl", job)
		h.wait(removalDelay / 2)
		h.write("both.hcl", job+shop)
		h.wait(2 * removalDelay)
		h.did()
		h.write("both.hcl", job)
		h.wait(removalDelay)
		if h.host.Running("shop") != 0 {
			t.Errorf("the shop is still there:\n%s", h.host)
		}
	})
}

// A group that was removed by a command, or that is in the way of another, goes at once.
func TestKeeperRemovesAtOnceWhatIsMeant(t *testing.T) {
	other := edited(shop, `group "shop"`, `group "till"`) // publishes the same port
	for _, tt := range []struct {
		name string
		do   func(h *harness) error
	}{
		{"rm", func(h *harness) error { return h.keeper.Remove(h.t.Context(), "shop", nil) }},
		{"apply without it", func(h *harness) error { _, err := h.apply("shop.hcl", job); return err }},
		{"another file in its place", func(h *harness) error {
			err := os.Remove(filepath.Join(h.layout.GroupsDir, "shop.hcl"))
			h.write("till.hcl", other)
			return err
		}},
		{"another file applied in its place", func(h *harness) error {
			err := os.Remove(filepath.Join(h.layout.GroupsDir, "shop.hcl"))
			h.notice()
			_, applyErr := h.apply("till.hcl", other)
			return errors.Join(err, applyErr)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			withHarness(t, func(t *testing.T, h *harness) {
				h.mustApply("shop.hcl", shop)
				begun := time.Now()
				if err := tt.do(h); err != nil {
					t.Fatal(err)
				}
				h.wait(removalDelay / 2)
				if _, err := h.keeper.Status("shop"); err != group.ErrNoGroup {
					t.Errorf("after %v: %v", time.Since(begun), err)
				}
			})
		})
	}
}

// The watch names what has changed. At first anything may have.
func TestWatchFolderNames(t *testing.T) {
	dir := t.TempDir()
	changes := make(chan []string)
	ctx, cancel := context.WithCancel(t.Context())
	var watcher sync.WaitGroup
	watcher.Go(func() {
		_ = keeper.WatchNames(ctx, dir, 50*time.Millisecond, func(names []string) {
			select {
			case changes <- names:
			case <-ctx.Done():
			}
		})
	})
	defer watcher.Wait()
	defer cancel()
	if first := <-changes; len(first) > 0 {
		t.Errorf("at first %q, want no names", first)
	}
	for _, name := range []string{"a.hcl", "b.hcl"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[string]bool{}
	for !seen["a.hcl"] || !seen["b.hcl"] {
		names := <-changes
		if len(names) == 0 {
			t.Fatal("a change without a name")
		}
		for _, name := range names {
			seen[name] = true
		}
	}
	if len(seen) != 2 {
		t.Errorf("changed: %v", seen)
	}
}
