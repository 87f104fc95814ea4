package runner

import (
	"fmt"
	"testing"
	"time"
)

// Groups that were observed at the same time have their turns spread over the resync, at as many
// moments, and keep them.
func TestTurnsAreSpread(t *testing.T) {
	const resync, groups = 30 * time.Second, 1000
	now := time.Date(2026, 11, 30, 3, 0, 7, 123456789, time.UTC)
	at := map[time.Time]int{}
	for n := range groups {
		name := fmt.Sprintf("shop%d", n)
		first := ownTurn(name, now, resync)
		if wait := first.Sub(now); wait <= 0 || wait > resync {
			t.Errorf("%s waits %s", name, wait)
		}
		late := first.Add(170 * time.Millisecond) // the timer's delay, and an observation
		for _, next := range []time.Time{nextTurn(late, resync), ownTurn(name, late, resync)} {
			if next.Sub(first) != resync {
				t.Errorf("%s has its turn after that in %s, want %s", name, next.Sub(first), resync)
			}
		}
		at[first]++
	}
	if len(at) != ownMoments {
		t.Errorf("%d moments, want %d", len(at), ownMoments)
	}
	for when, n := range at {
		if n > 2*groups/ownMoments {
			t.Errorf("%d of %d groups have their turn at %s", n, groups, when)
		}
	}
}

// A group that was observed for a cause of its own has its turn after nearly a resync, and at a
// moment that it shares with others.
func TestTurnsAreShared(t *testing.T) {
	const resync = 30 * time.Second
	at := map[time.Time]bool{}
	for n := range 1000 {
		now := time.Unix(1_800_000_000, 0).Add(time.Duration(n) * 30 * time.Millisecond)
		next := nextTurn(now, resync)
		if wait := next.Sub(now); wait > resync || wait <= resync-resync/moments {
			t.Errorf("the turn is in %s", wait)
		}
		at[next] = true
	}
	if len(at) != moments {
		t.Errorf("1,000 groups have their turns at %d moments, want %d", len(at), moments)
	}
}

// A resync of any length has turns.
func TestTurnsOfAnyResync(t *testing.T) {
	now := time.Unix(7, 1)
	for _, resync := range []time.Duration{1, ownMoments - 1, time.Millisecond, time.Hour} {
		for name, next := range map[string]time.Time{"own": ownTurn("shop", now, resync), "next": nextTurn(now, resync)} {
			if wait := next.Sub(now); wait <= 0 || wait > resync {
				t.Errorf("resync %s: the %s turn is in %s", resync, name, wait)
			}
		}
	}
}
