package restart_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/hosttest"
	"github.com/sallyport/sallyport/shim/restart"
)

func TestBackoff(t *testing.T) {
	for _, tt := range []struct {
		row    int
		chance float64
		want   time.Duration
	}{
		{1, 0, time.Second},
		{2, 0, 2 * time.Second},
		{6, 0, 32 * time.Second},
		{7, 0, time.Minute},
		{1000, 0, time.Minute},
		{0, 0, time.Second},
		{1, 0.5, 1100 * time.Millisecond},
		{7, 0.5, 66 * time.Second},
	} {
		if got := restart.Backoff(tt.row, tt.chance); got != tt.want {
			t.Errorf("backoff(%d, %v) = %s, want %s", tt.row, tt.chance, got, tt.want)
		}
	}
}

func TestBackoffNeverShrinks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		row := rapid.IntRange(1, 1<<40).Draw(t, "row")
		chance := rapid.Float64Range(0, 0.999).Draw(t, "chance")
		d := restart.Backoff(row, chance)
		if d < time.Second || d > 72*time.Second || restart.Backoff(row+1, chance) < d {
			t.Fatalf("backoff(%d, %v) = %s", row, chance, d)
		}
	})
}

// life is one container's history by what is seen of it: "+5s" lets time pass, "s" is a start by the keeper, "r" seen running,
// "e" seen ended.
func life(h restart.Records, steps ...string) (restart.Record, time.Time) {
	now := hosttest.Noon
	state := host.ContainerState{Name: "web", Digest: "d", ExitStatus: 1}
	see := func(task host.TaskState) {
		state.Task = task
		h = h.Observe([]host.ContainerState{state}, now, func() float64 { return 0 })
	}
	for _, s := range steps {
		switch s {
		case "s":
			h = h.Started("web", "d", now)
		case "r":
			see(host.TaskRunning)
		case "e":
			state.ExitedAt = now
			see(host.TaskStopped)
		case "o":
			h = h.Reset("web")
		default:
			d, err := time.ParseDuration(s)
			if err != nil {
				panic(err)
			}
			now = now.Add(d)
		}
	}
	return h["web"], now
}

func TestHistory(t *testing.T) {
	for _, tt := range []struct {
		name     string
		steps    []string
		restarts int
		row      int
		wait     time.Duration // from the end of the steps to Next
	}{
		{"started", []string{"s"}, 0, 0, 0},
		{"started and running", []string{"s", "r", "1s", "r"}, 0, 0, 0},
		{"ended", []string{"s", "1s", "e"}, 0, 1, time.Second},
		{"ended, seen twice", []string{"s", "e", "300ms", "e"}, 0, 1, 700 * time.Millisecond},
		{"ended, adopted", []string{"e"}, 0, 1, time.Second},
		{"again", []string{"s", "e", "1s", "s"}, 1, 1, 0},
		{"ended twice", []string{"s", "e", "1s", "s", "r", "e"}, 1, 2, 2 * time.Second},
		{"ended after a stable time", []string{"s", "e", "1s", "s", "e", "2s", "s", "10m", "e"}, 2, 1, time.Second},
		{"stable", []string{"s", "e", "1s", "s", "10m", "r"}, 1, 0, 0},
		{"seen just before it was stable", []string{"s", "e", "1s", "s", "9m59s", "r"}, 1, 1, 0},
		{"ended just before it was stable", []string{"s", "e", "1s", "s", "9m59s", "e"}, 1, 2, 2 * time.Second},
		{"forgiven", []string{"s", "e", "o", "s", "e"}, 1, 1, time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, now := life(nil, tt.steps...)
			if l.Restarts != tt.restarts || l.EndsInARow != tt.row {
				t.Errorf("%d restarts, %d in a row; want %d and %d", l.Restarts, l.EndsInARow, tt.restarts, tt.row)
			}
			var wait time.Duration
			if !l.Next.IsZero() {
				wait = l.Next.Sub(now)
			}
			if wait != tt.wait {
				t.Errorf("waits %s, want %s", wait, tt.wait)
			}
		})
	}
}

// The clock may be set while a container lies: its wait is neither cut short nor made longer by that.
func TestHistoryOfAnEndAtAnotherTime(t *testing.T) {
	for _, tt := range []struct {
		name string
		at   time.Duration // of the end, from when it is seen
		wait time.Duration
	}{
		{"long ago", -time.Hour, 0},
		{"just now", -400 * time.Millisecond, 600 * time.Millisecond},
		{"in an hour", time.Hour, time.Second},
	} {
		end := host.ContainerState{Name: "web", Digest: "d", Task: host.TaskStopped, ExitStatus: 1, ExitedAt: hosttest.Noon.Add(tt.at)}
		h := restart.Records(nil).Observe([]host.ContainerState{end}, hosttest.Noon, func() float64 { return 0 })
		if got := h["web"].Next.Sub(hosttest.Noon); got != tt.wait {
			t.Errorf("ended %s: waits %s, want %s", tt.name, got, tt.wait)
		}
	}
}

func TestHistoryOfStops(t *testing.T) {
	end := host.ContainerState{Name: "web", Digest: "d", Task: host.TaskStopped, ExitStatus: 143, ExitedAt: hosttest.Noon}
	never := func() float64 { return 0 }
	begun := restart.Records(nil).Started("web", "d", hosttest.Noon.Add(-time.Hour))
	if l := begun.Stopped("web", "").Observe([]host.ContainerState{end}, hosttest.Noon, never)["web"]; l.Ended || l.EndsInARow != 0 || !l.Replacing {
		t.Errorf("stopped to be made anew: %+v", l)
	}
	dead := begun.Stopped("web", "its live probe failed").Observe([]host.ContainerState{end}, hosttest.Noon, never)
	if l := dead["web"]; !l.Ended || l.EndsInARow != 1 || l.Replacing || l.ProbeFailure == "" {
		t.Errorf("stopped because of its probes: %+v", l)
	}
	if l := dead.Started("web", "d", hosttest.Noon)["web"]; l.Ended || l.ProbeFailure != "" || l.Restarts != 1 {
		t.Errorf("started again: %+v", l)
	}
}

// What one keeper noted of a container is not about the one that it made in its place and did not live to see.
func TestHistoryOfAnotherContainer(t *testing.T) {
	status := uint32(1)
	ended := restart.Record{Digest: "d", CreatedAt: hosttest.Noon, Ended: true, EndsInARow: 3, Restarts: 2, ExitStatus: &status, Next: hosttest.Noon.Add(time.Minute)}
	taken := restart.Record{Digest: "d", CreatedAt: hosttest.Noon, StartedAt: hosttest.Noon, Replacing: true}
	for _, tt := range []struct {
		name     string
		life     restart.Record
		made     time.Time
		task     host.TaskState
		ended    bool
		row      int
		restarts int
	}{
		{"the same, ended", ended, hosttest.Noon, host.TaskStopped, true, 3, 2},
		{"the same, taken", taken, hosttest.Noon, host.TaskStopped, false, 0, 0},
		{"another, created", ended, hosttest.Noon.Add(1), host.TaskCreated, true, 3, 2},
		{"another, running", ended, hosttest.Noon.Add(1), host.TaskRunning, false, 3, 3},
		{"another, ended", ended, hosttest.Noon.Add(1), host.TaskStopped, true, 4, 3},
		{"another than the taken one, ended", taken, hosttest.Noon.Add(1), host.TaskStopped, true, 1, 1},
		{"another, after the group began from nothing", restart.Records{"web": ended}.FromNothing(nil)["web"], hosttest.Noon.Add(1), host.TaskStopped, true, 4, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			state := host.ContainerState{Name: "web", Digest: "d", CreatedAt: tt.made, Task: tt.task, ExitStatus: 1, ExitedAt: hosttest.Noon}
			l := restart.Records{"web": tt.life}.Observe([]host.ContainerState{state}, hosttest.Noon, func() float64 { return 0 })["web"]
			if l.Ended != tt.ended || l.EndsInARow != tt.row || l.Restarts != tt.restarts {
				t.Errorf("%+v", l)
			}
		})
	}
}

// The clock may be set between two keepers: no wait grows by that.
func TestHistoryResumedAtAnotherTime(t *testing.T) {
	for _, tt := range []struct {
		name string
		next time.Duration // from when it is resumed
		wait time.Duration
	}{
		{"long over", -time.Hour, 0},
		{"soon", 3 * time.Second, 3 * time.Second},
		{"in an hour", time.Hour, 4800 * time.Millisecond},
	} {
		l := restart.Records{"web": {EndsInARow: 3, Ended: true, Next: hosttest.Noon.Add(tt.next)}}.Resumed(hosttest.Noon)["web"]
		if got := l.Next.Sub(hosttest.Noon); got != tt.wait {
			t.Errorf("%s: waits %s, want %s", tt.name, got, tt.wait)
		}
	}
}

func TestHistoryBeginsAnewWithAnotherDigest(t *testing.T) {
	h := restart.Records{"web": {Digest: "old", Restarts: 5, EndsInARow: 5, Ended: true}}
	if l, _ := life(h, "s"); l.Restarts != 0 || l.EndsInARow != 0 {
		t.Errorf("%+v", l)
	}
	if h["web"].Restarts != 5 {
		t.Error("the history that was given was changed")
	}
}
