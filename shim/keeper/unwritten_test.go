package keeper_test

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/disk"
	"github.com/sallyport/sallyport/shim/keeper"
	"github.com/sallyport/sallyport/shim/store"
)

// fullDisk makes the disk of the next keepers one that can be full. The run folder is in memory.
func (h *harness) fullDisk() (full *atomic.Bool) {
	full = &atomic.Bool{}
	h.end()
	h.config = func(c *keeper.Config) {
		c.Store = store.New(h.layout)
		c.Store.Disk.Before = func(op disk.Op, path string) error {
			if op == disk.OpWrite && full.Load() && !strings.HasPrefix(path, h.layout.RunDir) {
				return &fs.PathError{Op: "write", Path: path, Err: unix.ENOSPC}
			}
			return nil
		}
	}
	h.begin()
	return full
}

// copies returns the names of the files that wait in the run folder.
func (h *harness) copies() (names []string) {
	_ = filepath.WalkDir(filepath.Join(h.layout.RunDir, "unwritten"), func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			names = append(names, e.Name())
		}
		return nil
	})
	return names
}

// A group on a full disk is stopped, stays stopped over daemons, and the wish is on disk soon after
// there is space.
func TestStopOnAFullDisk(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		full := h.fullDisk()
		h.mustApply("shop.hcl", shop)
		full.Store(true)
		if _, err := h.apply("shop.hcl", edited(shop, "web:1", "web:2")); err == nil || !strings.Contains(err.Error(), "no space left") {
			t.Errorf("control: an apply on a full disk: %v", err)
		}
		lines, err := h.stop("shop")
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, "power cut") }) {
			t.Errorf("nothing was said about the disk: %q", lines)
		}
		h.checkStopped("shop")
		h.end()
		h.begin()
		h.checkStopped("shop")
		if len(h.copies()) == 0 {
			t.Error("control: no copy while the disk is full")
		}
		full.Store(false)
		h.wait(time.Minute)
		if left := h.copies(); len(left) > 0 {
			t.Errorf("the disk has space, and these are left: %q", left)
		}
		h.end()
		if err := os.RemoveAll(filepath.Join(h.layout.RunDir, "unwritten")); err != nil { // a boot
			t.Fatal(err)
		}
		h.begin()
		h.checkStopped("shop")
	})
}

// What an operator asks for later counts, on a full disk too.
func TestStartAfterAStopOnAFullDisk(t *testing.T) {
	for _, space := range []string{"none", "before the start", "after the start"} {
		t.Run(space, func(t *testing.T) {
			withHarness(t, func(t *testing.T, h *harness) {
				full := h.fullDisk()
				h.mustApply("shop.hcl", shop)
				before := h.host.String()
				full.Store(true)
				if _, err := h.stop("shop"); err != nil {
					t.Fatal(err)
				}
				h.checkStopped("shop")
				full.Store(space != "before the start")
				if err := h.start("shop"); err != nil {
					t.Fatal(err)
				}
				full.Store(space == "none")
				for range 2 {
					if now := h.host.String(); now != before {
						t.Errorf("the group did not come back:\n%s", now)
					}
					h.end()
					h.begin()
					h.wait(time.Minute)
				}
			})
		})
	}
}

// A group on a full disk is removed, with its volumes or without, and no later daemon brings it
// back. Applied again when there is space, it runs.
func TestRemoveOnAFullDisk(t *testing.T) {
	for name, remove := range map[string]func(h *harness) error{
		"group":   func(h *harness) error { return h.keeper.Remove(context.Background(), "shop", nil) },
		"volumes": func(h *harness) error { _, err := h.purge("shop"); return err },
		"file":    func(h *harness) error { return h.keeper.RemoveFile(context.Background(), "shop.hcl", false, nil) },
		"stopped": func(h *harness) error {
			if _, err := h.stop("shop"); err != nil {
				return err
			}
			return h.keeper.Remove(context.Background(), "shop", nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			withHarness(t, func(t *testing.T, h *harness) {
				full := h.fullDisk()
				h.mustApply("shop.hcl", shop)
				full.Store(true)
				if err := remove(h); err != nil {
					t.Fatal(err)
				}
				gone := func(when string) {
					t.Helper()
					if groups, err := h.keeper.Status(""); err != nil || len(groups) > 0 || strings.Contains(h.host.String(), "shop") {
						t.Errorf("%s: %v, %v:\n%s", when, groups, err, h.host)
					}
				}
				gone("at once")
				h.end()
				h.begin()
				gone("the next daemon")
				full.Store(false)
				h.wait(time.Minute)
				if left := h.copies(); len(left) > 0 {
					t.Errorf("left in the run folder: %q", left)
				}
				h.mustApply("shop.hcl", shop)
				h.end()
				h.begin()
				if st := h.status("shop"); st.File == "" || st.Error != "" || h.host.Running("shop") == 0 {
					t.Errorf("applied again: %+v", st)
				}
			})
		})
	}
}

// A job that ends on a full disk has ended: no later daemon runs it again.
func TestJobEndsOnAFullDisk(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		full := h.fullDisk()
		h.mustApply("batch.hcl", batch)
		full.Store(true)
		h.exit("batch", "web", 0)
		h.wait(time.Minute)
		if n := h.host.Running("batch"); n != 0 {
			t.Errorf("%d containers run after the job has ended", n)
		}
		h.end()
		h.host.Reboot()
		h.begin()
		h.wait(time.Minute)
		if n := h.host.Running("batch"); n != 0 {
			t.Errorf("%d containers run in the next daemon", n)
		}
	})
}

// An apply was accepted, and the disk is full before it is in the folder. The group runs. It is
// stopped and removed all the same, and no daemon brings it back when there is space.
func TestRemoveWhileAnApplyIsPending(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		full := h.fullDisk()
		h.end()
		small := h.config
		var fills atomic.Bool
		h.config = func(c *keeper.Config) {
			small(c)
			before := c.Store.Disk.Before
			c.Store.Disk.Before = func(op disk.Op, path string) error {
				if op == disk.OpSyncFolder && path == h.layout.StateDir && fills.Swap(false) {
					full.Store(true)
				}
				return before(op, path)
			}
		}
		h.begin()
		fills.Store(true)
		h.mustApply("shop.hcl", shop)
		if problems := h.keeper.Problems(); !full.Load() || len(problems) == 0 || h.host.Running("shop") == 0 {
			t.Fatalf("control: full %v, problems %v, %d containers run", full.Load(), problems, h.host.Running("shop"))
		}
		if _, err := h.stop("shop"); err != nil {
			t.Fatal(err)
		}
		h.end()
		h.begin()
		h.checkStopped("shop")
		if err := h.keeper.Remove(context.Background(), "shop", nil); err != nil {
			t.Fatal(err)
		}
		for _, when := range []string{"at once", "the next daemon", "with space"} {
			h.wait(time.Minute)
			if groups, err := h.keeper.Status(""); err != nil || len(groups) > 0 || strings.Contains(h.host.String(), "shop") {
				t.Errorf("%s: %v, %v:\n%s", when, groups, err, h.host)
			}
			full.Store(when == "at once")
			h.end()
			h.begin()
		}
		if problems := h.keeper.Problems(); len(problems) > 0 {
			t.Errorf("with space: %v", problems)
		}
	})
}
