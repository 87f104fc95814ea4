package schedule_test

import (
	"testing"
	"time"

	"github.com/sallyport/sallyport/shim/schedule"
	"github.com/sallyport/sallyport/spec"
)

func at(t *testing.T, text string) time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func timer(t *testing.T, s spec.Schedule, seed string) schedule.Timer {
	t.Helper()
	if s.Timezone == "" {
		s.Timezone = "UTC"
	}
	x, err := schedule.New(&s, seed)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func TestDecide(t *testing.T) {
	hourly := spec.Schedule{Cron: "0 * * * *"}
	hourlyLate := spec.Schedule{Cron: "0 * * * *", Missed: spec.MissedRun}
	minutely := spec.Schedule{Cron: "* * * * *"}
	berlin := spec.Schedule{Cron: "30 2 * * *", Timezone: "Europe/Berlin"}
	for _, tt := range []struct {
		name         string
		schedule     spec.Schedule
		handled, now string
		want         schedule.Action
		due          string
		late         bool
	}{
		{"not yet", hourly, "2026-03-01T10:00:00Z", "2026-03-01T10:59:59Z", schedule.Wait, "2026-03-01T11:00:00Z", false},
		{"now", hourly, "2026-03-01T10:00:00Z", "2026-03-01T11:00:00Z", schedule.Begin, "2026-03-01T11:00:00Z", false},
		{"a little late", hourly, "2026-03-01T10:00:00Z", "2026-03-01T11:01:00Z", schedule.Begin, "2026-03-01T11:00:00Z", false},
		{"missed", hourly, "2026-03-01T10:00:00Z", "2026-03-01T11:01:01Z", schedule.Miss, "2026-03-01T11:00:00Z", true},
		{"missed, and made up for", hourlyLate, "2026-03-01T10:00:00Z", "2026-03-01T11:01:01Z", schedule.Begin, "2026-03-01T11:00:00Z", true},
		{"many missed are one", hourlyLate, "2026-03-01T10:00:00Z", "2026-03-03T07:30:00Z", schedule.Begin, "2026-03-03T07:00:00Z", true},
		{"many missed, and one in time", hourly, "2026-03-01T10:00:00Z", "2026-03-03T07:00:10Z", schedule.Begin, "2026-03-03T07:00:00Z", false},
		{"years missed", minutely, "2026-03-01T10:00:00Z", "2046-03-03T07:00:10Z", schedule.Begin, "2046-03-03T07:00:00Z", false},
		{"years missed of a leap day", spec.Schedule{Cron: "0 0 29 2 *"}, "2026-03-01T10:00:00Z", "2046-03-03T07:00:10Z", schedule.Miss, "2044-02-29T00:00:00Z", true},
		{"the clock was set back", hourly, "2026-03-01T10:00:00Z", "2026-03-01T08:30:00Z", schedule.Wait, "2026-03-01T11:00:00Z", false},
		{"again after it was set back", hourly, "2026-03-01T10:00:00Z", "2026-03-01T10:00:00Z", schedule.Wait, "2026-03-01T11:00:00Z", false},
		{"clocks go forward", berlin, "2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", schedule.Begin, "2026-03-29T01:00:00Z", false},
		{"clocks have gone back", berlin, "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", schedule.Wait, "2026-10-26T01:30:00Z", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := timer(t, tt.schedule, "").Decide(at(t, tt.handled), at(t, tt.now))
			if d.Action != tt.want || !d.Due.Equal(at(t, tt.due)) || d.Late != tt.late || !d.At.Equal(d.Due) {
				t.Errorf("got %+v", d)
			}
		})
	}
}

// What is dealt with is never due again, also when the clock is set back.
func TestNothingTwice(t *testing.T) {
	x := timer(t, spec.Schedule{Cron: "*/10 * * * *", Jitter: 5 * time.Minute, Missed: spec.MissedRun}, "seed")
	now := at(t, "2026-03-01T10:00:00Z")
	handled := now
	seen := map[time.Time]bool{}
	for i, step := range []time.Duration{time.Minute, 25 * time.Minute, -3 * time.Hour, 4 * time.Hour, time.Second, -time.Hour, 61 * time.Minute, 40 * 24 * time.Hour, -23 * time.Hour, 24 * time.Hour} {
		now = now.Add(step)
		handled = schedule.Handled(handled, now)
		d := x.Decide(handled, now)
		if d.Action == schedule.Wait {
			if !d.At.After(now) {
				t.Errorf("step %d: waits until %s at %s", i, d.At, now)
			}
			continue
		}
		if seen[d.Due.UTC()] {
			t.Errorf("step %d: %s is due again", i, d.Due)
		}
		seen[d.Due.UTC()] = true
		handled = d.Due
		if again := x.Decide(handled, now); again.Action != schedule.Wait {
			t.Errorf("step %d: still something to do: %+v", i, again)
		}
	}
	if len(seen) < 4 {
		t.Errorf("only %d times were due", len(seen))
	}
}

func TestJitter(t *testing.T) {
	s := spec.Schedule{Cron: "0 * * * *", Jitter: 10 * time.Minute}
	one, same, other := timer(t, s, "one"), timer(t, s, "one"), timer(t, s, "other")
	now := at(t, "2026-03-01T10:30:00Z")
	differ, delays := 0, map[time.Duration]bool{}
	for range 50 {
		d := one.Decide(now, now)
		delay := d.At.Sub(d.Due)
		if delay < 0 || delay > s.Jitter {
			t.Errorf("delayed by %s", delay)
		}
		delays[delay] = true
		if again := same.Decide(now, now); again != d {
			t.Errorf("another draw: %+v and %+v", d, again)
		}
		if before := one.Decide(now, d.At.Add(-1)); before.Action != schedule.Wait {
			t.Errorf("before its time: %+v", before)
		}
		if then := one.Decide(now, d.At); then.Action != schedule.Begin {
			t.Errorf("at its time: %+v", then)
		}
		if !other.Decide(now, now).At.Equal(d.At) {
			differ++
		}
		now = now.Add(time.Hour)
	}
	if differ < 40 || len(delays) < 40 {
		t.Errorf("%d of 50 delays differ with another seed, and there are %d", differ, len(delays))
	}
}

// A clock that was a year ahead leaves a time that no clock may ever reach.
func TestHandled(t *testing.T) {
	now := at(t, "2026-03-01T10:00:00Z")
	for name, tt := range map[string]struct{ before, want time.Time }{
		"past":          {now.Add(-time.Hour), now.Add(-time.Hour)},
		"a little back": {now.Add(24 * time.Hour), now.Add(24 * time.Hour)},
		"far back":      {now.Add(24*time.Hour + 1), now},
	} {
		if got := schedule.Handled(tt.before, now); !got.Equal(tt.want) {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}

func TestNext(t *testing.T) {
	x := timer(t, spec.Schedule{Cron: "0 * * * *"}, "")
	for handled, want := range map[string]string{
		"2026-03-01T10:00:00Z": "2026-03-01T11:00:00Z",
		"2026-03-01T08:00:00Z": "2026-03-01T11:00:00Z", // 10:00 is about to be dealt with
	} {
		if got := x.Next(at(t, handled), at(t, "2026-03-01T10:30:00Z")); !got.Equal(at(t, want)) {
			t.Errorf("%s: %s, want %s", handled, got, want)
		}
	}
}
