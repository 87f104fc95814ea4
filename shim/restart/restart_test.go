package restart_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/hosttest"
	"github.com/sallyport/sallyport/shim/restart"
	"github.com/sallyport/sallyport/spec"
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
			t.Errorf("Backoff(%d, %v) = %s, want %s", tt.row, tt.chance, got, tt.want)
		}
	}
}

// A restart block sets the first wait and the longest, and which run ends a row.
func TestWait(t *testing.T) {
	for _, tt := range []struct {
		rule spec.Restart
		row  int
		want time.Duration
	}{
		{spec.Restart{Delay: 500 * time.Millisecond}, 1, 500 * time.Millisecond},
		{spec.Restart{Delay: 500 * time.Millisecond}, 3, 2 * time.Second},
		{spec.Restart{Delay: 5 * time.Minute}, 9, 5 * time.Minute},
		{spec.Restart{MaxDelay: 5 * time.Minute}, 9, 256 * time.Second},
		{spec.Restart{MaxDelay: 5 * time.Minute}, 1 << 40, 5 * time.Minute},
		{spec.Restart{Delay: 24 * time.Hour, MaxDelay: 24 * time.Hour}, 2, 24 * time.Hour},
	} {
		if got := restart.Wait(tt.rule, tt.row, 0); got != tt.want {
			t.Errorf("Wait(%+v, %d) = %s, want %s", tt.rule, tt.row, got, tt.want)
		}
	}
	want := &spec.Group{Containers: []spec.Container{{Name: "web", Restart: spec.Restart{Window: time.Minute, Delay: 3 * time.Second}}}}
	for took, row := range map[time.Duration]int{59 * time.Second: 5, time.Minute: 1} {
		rs := restart.Records{"web": {Digest: "d", EndsInARow: 4}}.Started("web", "d", hosttest.Noon)
		end := host.ContainerState{Name: "web", Digest: "d", Task: host.TaskStopped, ExitedAt: hosttest.Noon.Add(took)}
		if r := rs.Observe(want, []host.ContainerState{end}, end.ExitedAt, noChance)["web"]; r.EndsInARow != row || row == 1 && r.Next.Sub(end.ExitedAt) != 3*time.Second {
			t.Errorf("after a run of %s: %d ends in a row, the next at %s", took, r.EndsInARow, r.Next)
		}
	}
}

func TestBackoffNeverShrinks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		row := rapid.IntRange(1, 1<<40).Draw(t, "row")
		chance := rapid.Float64Range(0, 0.999).Draw(t, "chance")
		d := restart.Backoff(row, chance)
		if d < time.Second || d > 72*time.Second || restart.Backoff(row+1, chance) < d {
			t.Fatalf("Backoff(%d, %v) = %s", row, chance, d)
		}
	})
}

// replay returns the record of one container after steps: "+5s" lets time pass, "s" is a start by
// the keeper, "r" an observation of it running, "e" one of it ended, "o" a reset by an operator. It
// also returns the time after the steps.
func replay(rs restart.Records, steps ...string) (restart.Record, time.Time) {
	now := hosttest.Noon
	state := host.ContainerState{Name: "web", Digest: "d", ExitStatus: 1}
	observe := func(task host.TaskState) {
		state.Task = task
		rs = rs.Observe(nil, []host.ContainerState{state}, now, noChance)
	}
	for _, s := range steps {
		switch s {
		case "s":
			rs = rs.Started("web", "d", now)
		case "r":
			observe(host.TaskRunning)
		case "e":
			state.ExitedAt = now
			observe(host.TaskStopped)
		case "o":
			rs = rs.Reset("web")
		default:
			d, err := time.ParseDuration(s)
			if err != nil {
				panic(err)
			}
			now = now.Add(d)
		}
	}
	return rs["web"], now
}

func TestRecords(t *testing.T) {
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
		{"ended, observed twice", []string{"s", "e", "300ms", "e"}, 0, 1, 700 * time.Millisecond},
		{"ended before it was observed", []string{"e"}, 0, 1, time.Second},
		{"started again", []string{"s", "e", "1s", "s"}, 1, 1, 0},
		{"ended twice", []string{"s", "e", "1s", "s", "r", "e"}, 1, 2, 2 * time.Second},
		{"ended after a stable time", []string{"s", "e", "1s", "s", "e", "2s", "s", "10m", "e"}, 2, 1, time.Second},
		{"stable", []string{"s", "e", "1s", "s", "10m", "r"}, 1, 0, 0},
		{"observed just before it was stable", []string{"s", "e", "1s", "s", "9m59s", "r"}, 1, 1, 0},
		{"ended just before it was stable", []string{"s", "e", "1s", "s", "9m59s", "e"}, 1, 2, 2 * time.Second},
		{"reset by an operator", []string{"s", "e", "o", "s", "e"}, 1, 1, time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, now := replay(nil, tt.steps...)
			if r.Restarts != tt.restarts || r.EndsInARow != tt.row {
				t.Errorf("%d restarts, %d in a row; want %d and %d", r.Restarts, r.EndsInARow, tt.restarts, tt.row)
			}
			var wait time.Duration
			if !r.Next.IsZero() {
				wait = r.Next.Sub(now)
			}
			if wait != tt.wait {
				t.Errorf("waits %s, want %s", wait, tt.wait)
			}
		})
	}
}

// The clock may be set between an end and its observation. The wait gets neither shorter nor longer
// by that.
func TestEndAtAnotherTime(t *testing.T) {
	for _, tt := range []struct {
		name string
		at   time.Duration // of the end, from its observation
		wait time.Duration
	}{
		{"long ago", -time.Hour, 0},
		{"just now", -400 * time.Millisecond, 600 * time.Millisecond},
		{"in an hour", time.Hour, time.Second},
	} {
		end := host.ContainerState{Name: "web", Digest: "d", Task: host.TaskStopped, ExitStatus: 1, ExitedAt: hosttest.Noon.Add(tt.at)}
		rs := restart.Records(nil).Observe(nil, []host.ContainerState{end}, hosttest.Noon, noChance)
		if got := rs["web"].Next.Sub(hosttest.Noon); got != tt.wait {
			t.Errorf("ended %s: waits %s, want %s", tt.name, got, tt.wait)
		}
	}
}

func noChance() float64 { return 0 }

func TestStops(t *testing.T) {
	end := host.ContainerState{Name: "web", Digest: "d", Task: host.TaskStopped, ExitStatus: 143, ExitedAt: hosttest.Noon}
	started := restart.Records(nil).Started("web", "d", hosttest.Noon.Add(-time.Hour))
	replaced := started.Stopped("web", "").Observe(nil, []host.ContainerState{end}, hosttest.Noon, noChance)
	if r := replaced["web"]; r.Ended || r.EndsInARow != 0 || !r.Replacing {
		t.Errorf("stopped to be replaced: %+v", r)
	}
	failed := started.Stopped("web", "its live probe failed").Observe(nil, []host.ContainerState{end}, hosttest.Noon, noChance)
	if r := failed["web"]; !r.Ended || r.EndsInARow != 1 || r.Replacing || r.ProbeFailure == "" {
		t.Errorf("stopped because of its probes: %+v", r)
	}
	if r := failed.Started("web", "d", hosttest.Noon)["web"]; r.Ended || r.ProbeFailure != "" || r.Restarts != 1 {
		t.Errorf("started again: %+v", r)
	}
}

// A keeper can replace a container and die before it saves that. The saved record is then not about
// the new container.
func TestRecordOfAnotherContainer(t *testing.T) {
	status := uint32(1)
	ended := restart.Record{Digest: "d", CreatedAt: hosttest.Noon, Ended: true, EndsInARow: 3, Restarts: 2, ExitStatus: &status, Next: hosttest.Noon.Add(time.Minute)}
	replacing := restart.Record{Digest: "d", CreatedAt: hosttest.Noon, StartedAt: hosttest.Noon, Replacing: true}
	for _, tt := range []struct {
		name     string
		record   restart.Record
		created  time.Time
		task     host.TaskState
		ended    bool
		row      int
		restarts int
	}{
		{"the same, ended", ended, hosttest.Noon, host.TaskStopped, true, 3, 2},
		{"the same, being replaced", replacing, hosttest.Noon, host.TaskStopped, false, 0, 0},
		{"another, created", ended, hosttest.Noon.Add(1), host.TaskCreated, true, 3, 2},
		{"another, running", ended, hosttest.Noon.Add(1), host.TaskRunning, false, 3, 3},
		{"another, ended", ended, hosttest.Noon.Add(1), host.TaskStopped, true, 4, 3},
		{"another than the replaced one, ended", replacing, hosttest.Noon.Add(1), host.TaskStopped, true, 1, 1},
		{"another, after the group began from nothing", restart.Records{"web": ended}.FromNothing(nil)["web"], hosttest.Noon.Add(1), host.TaskStopped, true, 4, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			state := host.ContainerState{Name: "web", Digest: "d", CreatedAt: tt.created, Task: tt.task, ExitStatus: 1, ExitedAt: hosttest.Noon}
			r := restart.Records{"web": tt.record}.Observe(nil, []host.ContainerState{state}, hosttest.Noon, noChance)["web"]
			if r.Ended != tt.ended || r.EndsInARow != tt.row || r.Restarts != tt.restarts {
				t.Errorf("%+v", r)
			}
		})
	}
}

func TestAnotherDigestBeginsANewRecord(t *testing.T) {
	rs := restart.Records{"web": {Digest: "old", Restarts: 5, EndsInARow: 5, Ended: true}}
	if r, _ := replay(rs, "s"); r.Restarts != 0 || r.EndsInARow != 0 {
		t.Errorf("%+v", r)
	}
	if rs["web"].Restarts != 5 {
		t.Error("the given records were changed")
	}
}

// A run without an end on record, which the keeper did not stop, is lost.
func TestLost(t *testing.T) {
	run := restart.Record{Digest: "d", StartedAt: time.Unix(1, 0)}
	for name, tt := range map[string]struct {
		edit func(*restart.Record)
		want bool
	}{
		"a run":                 {func(*restart.Record) {}, true},
		"another definition":    {func(r *restart.Record) { r.Digest = "e" }, false},
		"never started":         {func(r *restart.Record) { r.StartedAt = time.Time{} }, false},
		"its end was seen":      {func(r *restart.Record) { r.Ended = true }, false},
		"the keeper stopped it": {func(r *restart.Record) { r.Replacing = true }, false},
		"stopped for its probe": {func(r *restart.Record) { r.ProbeFailure = "x" }, false},
	} {
		r := run
		if tt.edit(&r); r.Lost("d") != tt.want {
			t.Errorf("%s: %v", name, r.Lost("d"))
		}
	}
}
