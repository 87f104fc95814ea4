package restart_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/hosttest"
	"github.com/sallyport/sallyport/shim/restart"
)

// Within a boot only the clock counts that can't be set. Over a boot the wall clock does, and one
// that is behind adds nothing.
func TestRunTaken(t *testing.T) {
	const minute = time.Minute
	begun := restart.BeginRun(host.Moment{Wall: hosttest.Noon, Boot: "a", Up: time.Hour})
	unknown := restart.BeginRun(host.Moment{Wall: hosttest.Noon})
	for _, tt := range []struct {
		name string
		run  restart.Run
		wall time.Duration // since noon
		boot string
		up   time.Duration
		want time.Duration
	}{
		{"at once", begun, 0, "a", time.Hour, 0},
		{"a minute later", begun, minute, "a", time.Hour + minute, minute},
		{"the wall clock was set ahead", begun, 24 * time.Hour, "a", time.Hour + minute, minute},
		{"the wall clock was set back", begun, -24 * time.Hour, "a", time.Hour + minute, minute},
		{"after a boot", begun, 5 * minute, "b", minute, 5 * minute},
		{"after a boot with a clock that is behind", begun, -24 * time.Hour, "b", minute, 0},
		{"without a boot clock", unknown, 5 * minute, "", 0, 5 * minute},
		{"the boot clock can be read again", unknown, 5 * minute, "a", time.Hour, 5 * minute},
		{"the boot clock can't be read any more", begun, 5 * minute, "", 0, 5 * minute},
	} {
		now := host.Moment{Wall: hosttest.Noon.Add(tt.wall), Boot: tt.boot, Up: tt.up}
		if got := tt.run.Taken(now); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
		rebased, changed := tt.run.Rebased(now)
		if want := tt.boot != "" && tt.boot != tt.run.Boot; changed != want || rebased.Taken(now) != tt.want {
			t.Errorf("%s: rebased %v to %s", tt.name, changed, rebased.Taken(now))
		}
		now.Wall, now.Up = now.Wall.Add(-1000*time.Hour), now.Up+minute // the wall clock is set back after a boot
		if changed && rebased.Taken(now) != tt.want+minute {
			t.Errorf("%s: a minute after the boot %s, want %s", tt.name, rebased.Taken(now), tt.want+minute)
		}
	}
}

func TestRunOnDisk(t *testing.T) {
	run := restart.Run{At: hosttest.Noon, Boot: "a", Up: time.Hour, Spent: time.Minute}
	text, err := json.Marshal(run)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"at":"2026-11-24T12:00:00Z","boot":"a","up":3600000000000,"spent":60000000000}`
	if string(text) != want {
		t.Errorf("%s, want %s", text, want)
	}
}
