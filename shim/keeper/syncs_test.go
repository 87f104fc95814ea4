package keeper_test

import (
	"sync"
	"testing"

	"github.com/sallyport/sallyport/shim/disk"
	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/keeper"
)

// An apply waits for the disk eight times until its group has proved itself, and writes each file
// once. One that replaces a container also writes that its stop was the keeper's.
func TestSyncsOfAnApply(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.end()
		var mu sync.Mutex
		syncs, written := 0, map[string]int{}
		h.config = func(c *keeper.Config) {
			c.Store.Disk.Before = func(op disk.Op, path string) error {
				mu.Lock()
				defer mu.Unlock()
				switch op {
				case disk.OpSync, disk.OpSyncFolder:
					syncs++
				case disk.OpRename:
					written[path]++
				}
				return nil
			}
		}
		h.begin()
		for _, tt := range []struct {
			text         string
			syncs, files int
		}{{shop, 8, 6}, {newWeb, 9, 7}} {
			syncs = 0
			clear(written)
			h.mustApply("shop.hcl", tt.text)
			if all, err := h.keeper.History(t.Context(), "shop"); err != nil || all[0].Outcome != group.Proved {
				t.Errorf("history %v, error %v", all, err)
			}
			if syncs != tt.syncs || len(written) != tt.files {
				t.Errorf("%d syncs, want %d; %d files were written, want %d: %v", syncs, tt.syncs, len(written), tt.files, written)
			}
			for path, n := range written {
				if n > 1 {
					t.Errorf("%s was written %d times", path, n)
				}
			}
		}
	})
}
