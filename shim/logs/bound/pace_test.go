package bound

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestPause(t *testing.T) {
	const limit = 50 << 20
	for _, tt := range []struct {
		name      string
		allocated int64
		rate      float64
		most      time.Duration
		least     time.Duration
	}{
		{"far from the limit", 0, 0, time.Second, 50 * time.Millisecond},
		{"at the limit", limit, 0, 3 * time.Millisecond, 2 * time.Millisecond},
		{"at the limit at full speed", limit, fullSpeed, 1500 * time.Microsecond, time.Millisecond},
		{"above it", 2 * limit, 0, minPause, minPause},
		{"faster than that", limit, 100 * fullSpeed, minPause, minPause},
	} {
		if got := pause(room(limit, tt.allocated), tt.rate); got > tt.most || got < tt.least {
			t.Errorf("%s: %v, want %v to %v", tt.name, got, tt.least, tt.most)
		}
	}
	if got := pause(room(1<<40, 0), 0); got != maxPause {
		t.Errorf("no limit: %v", got)
	}
}

// What comes at full speed until the next look, and until it is 2 ms late, stays within 1.1.
func TestPauseHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.Int64Range(50<<20, 1<<40).Draw(t, "limit")
		allocated := limit + rapid.Int64Range(-limit, limit/trimAt).Draw(t, "beyond")
		rate := rapid.Float64Range(0, fullSpeed).Draw(t, "rate")
		d := pause(room(limit, allocated), rate) + 2*time.Millisecond
		if after := float64(allocated) + d.Seconds()*fullSpeed; after > 1.1*float64(limit) {
			t.Fatalf("%.0f bytes, limit %d", after, limit)
		}
	})
}

func TestLevel(t *testing.T) {
	for _, tt := range []struct {
		name   string
		sizes  []int64
		budget int64
		want   int64
	}{
		{"no file", nil, 0, unlimited},
		{"all fit", []int64{1 << 20, 2 << 20}, 3 << 20, unlimited},
		{"the largest alone", []int64{1 << 20, 9 << 20, 1 << 20}, 5 << 20, 3 << 20},
		{"the two largest", []int64{1 << 20, 9 << 20, 8 << 20}, 5 << 20, 2 << 20},
		{"hardly any room", []int64{1 << 20, 1 << 20}, 10, minLevel},
		{"less than none", []int64{1 << 20}, -10, minLevel},
	} {
		if got := level(tt.sizes, tt.budget); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}

func TestLevelKeepsTheBudget(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sizes := rapid.SliceOfN(rapid.Int64Range(0, 1<<30), 1, 20).Draw(t, "sizes")
		budget := rapid.Int64Range(int64(len(sizes))*minLevel, 1<<32).Draw(t, "budget")
		before := slices.Clone(sizes)
		limit, sum, all := level(sizes, budget), int64(0), int64(0)
		for _, size := range sizes {
			sum, all = sum+min(size, limit), all+size
		}
		if sum > budget || sum < min(budget, all)-int64(len(sizes)) || !slices.Equal(before, sizes) {
			t.Fatalf("limit %d: %d bytes of %d, budget %d", limit, sum, all, budget)
		}
	})
}

func TestBudget(t *testing.T) {
	const gib = 1 << 30
	for _, tt := range []struct {
		name        string
		total, used int64
		disk        disk
		want        int64
	}{
		{"a large disk", 0, 0, disk{1000 * gib, 900 * gib}, 4 * gib},
		{"a small disk", 0, 0, disk{20 * gib, 10 * gib}, 2 * gib},
		{"a total", gib, 0, disk{20 * gib, 10 * gib}, gib},
		{"100 MiB free", 0, 0, disk{20 * gib, 100 << 20}, 50 << 20},
		{"as much as is free", 0, 50 << 20, disk{20 * gib, 50 << 20}, 50 << 20},
		{"no room", 0, 50 << 20, disk{20 * gib, 0}, 25 << 20},
		{"a disk of unknown size", 0, 0, disk{}, 4 * gib},
	} {
		if got := budget(tt.total, tt.used, tt.disk); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}
