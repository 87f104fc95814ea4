package ctrd

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestImageHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h imageHolds
		first, err := h.hold(t.Context(), "web:1", "sha256:1")
		if err != nil {
			t.Fatal(err)
		}
		second, err := h.hold(t.Context(), "web:1")
		if err != nil {
			t.Fatal(err)
		}
		if _, free := h.remove([]string{"other", "sha256:1"}); free {
			t.Error("what is held can be removed")
		}
		first()
		first() // a second call does nothing
		if _, free := h.remove([]string{"web:1"}); free {
			t.Error("what is still held can be removed")
		}
		second()
		done, free := h.remove([]string{"web:1", "sha256:1"})
		if !free {
			t.Fatal("what is no longer held can't be removed")
		}
		if _, free := h.remove([]string{"sha256:1"}); free {
			t.Error("it can be removed twice at a time")
		}
		bounded, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := h.hold(bounded, "web:1"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a hold during the removal: %v", err)
		}
		var held atomic.Bool
		var waiting sync.WaitGroup
		waiting.Go(func() {
			if release, err := h.hold(t.Context(), "sha256:1"); err == nil {
				held.Store(true)
				release()
			}
		})
		synctest.Wait()
		if held.Load() {
			t.Error("a hold does not wait for the removal")
		}
		done()
		waiting.Wait()
		if !held.Load() || len(h.held) > 0 || len(h.removing) > 0 {
			t.Errorf("held %t, left %v, %v", held.Load(), h.held, h.removing)
		}
	})
}

// A hold and a removal exclude each other, whichever begins first.
func TestImageHoldsExcludeRemovals(t *testing.T) {
	var h imageHolds
	var holders, removers atomic.Int32
	var all sync.WaitGroup
	removed := 0
	for range 4 {
		all.Go(func() {
			for range 2000 {
				release, err := h.hold(t.Context(), "a", "b")
				if err != nil {
					t.Error(err)
					return
				}
				holders.Add(1)
				if removers.Load() > 0 {
					t.Error("held while it is being removed")
				}
				holders.Add(-1)
				release()
			}
		})
	}
	all.Go(func() {
		for range 20000 {
			done, free := h.remove([]string{"b", "c"})
			if !free {
				continue
			}
			removers.Add(1)
			if holders.Load() > 0 {
				t.Error("removed while it is held")
			}
			removed++
			removers.Add(-1)
			done()
		}
	})
	all.Wait()
	if removed == 0 {
		t.Error("nothing was removed, so this test can't fail")
	}
}
