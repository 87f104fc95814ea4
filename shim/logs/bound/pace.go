package bound

import (
	"cmp"
	"slices"
	"time"
)

const (
	// excess is the part of a limit that output may take beyond it before the next look: 1/20.
	// Another 1/20 is for a look that comes late.
	excess = 20
	// trimAt is the part of a limit beyond which output is trimmed. Below, a look would free a few
	// blocks each time.
	trimAt = 4 * excess
	// fullSpeed is how many bytes a container may print in a second without notice. A pipe to a
	// shim and from there to a file took up to 890 MB/s where it was measured.
	fullSpeed = 1e9

	minPause = 300 * time.Microsecond
	maxPause = time.Second // between two looks at a file that grows, and between two of its marks

	// minLevel is the part of each output file that stays where the total or the disk has no room.
	minLevel = 64 << 10

	defaultTotal = 4 << 30 // and a tenth of the disk at most
	unlimited    = int64(1) << 62
)

// pause returns how long the next look may wait. room is how many more bytes there may be, and rate
// is how many came in a second. It allows for twice that rate, and for full speed at any time.
func pause(room int64, rate float64) time.Duration {
	seconds := float64(max(room, 0)) / max(fullSpeed, 2*rate)
	return min(max(time.Duration(seconds*float64(time.Second)), minPause), maxPause)
}

// room returns how many more bytes there may be before the next look, where there is a limit.
func room(limit, allocated int64) int64 { return limit + limit/excess - allocated }

// level returns the limit for each of the sizes that makes their sum at most budget. It takes from
// the largest first. A sum that is not above the budget needs no limit. A limit is at least
// minLevel.
func level(sizes []int64, budget int64) int64 {
	sizes = slices.Sorted(slices.Values(sizes))
	for i, size := range sizes {
		share := budget / int64(len(sizes)-i) // of each that is left
		if size > share {
			return max(share, minLevel)
		}
		budget -= size
	}
	return unlimited
}

// A disk has the bytes of a file system.
type disk struct{ size, free int64 }

// budget returns how many bytes all output may take, which takes used now. It is the total, and at
// most as much as it leaves free: output never takes more than half of what others leave.
// A size of 0 is unknown.
func budget(total, used int64, d disk) int64 {
	if d.size == 0 {
		return cmp.Or(total, defaultTotal)
	}
	if total == 0 {
		total = min(d.size/10, defaultTotal)
	}
	return min(total, (d.free+used)/2)
}
