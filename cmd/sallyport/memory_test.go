package main

import (
	"runtime/debug"
	"testing"
)

// TestGarbageOfVerbs checks how early a verb collects its garbage: late if it is short, early if it
// is the daemon, and as GOGC says if that is set.
func TestGarbageOfVerbs(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	for _, c := range []struct {
		name    string
		spare   func(environ []string)
		environ []string
		want    int
	}{
		{"short verb", spareTime, nil, shortGarbagePercent},
		{"short verb with GOGC", spareTime, []string{"GOGC=70"}, 100},
		{"daemon's start", spareStart, nil, startGarbagePercent},
		{"daemon's start with GOGC", spareStart, []string{"GOGC=70"}, 100},
		{"daemon", spareMemory, nil, garbagePercent},
		{"daemon with GOGC", spareMemory, []string{"GOGC=70"}, 100},
	} {
		debug.SetGCPercent(100)
		c.spare(c.environ)
		if got := debug.SetGCPercent(100); got != c.want {
			t.Errorf("%s: collects at %d %%, want %d", c.name, got, c.want)
		}
	}
}
