package ctrd

import (
	"testing"
	"testing/synctest"
	"time"
)

// A group is quiet while its processes live, and containerd reports events and answers.
func TestQuiet(t *testing.T) {
	d := newRunningDesk(t)
	d.c.answers.ok, d.c.answers.at = true, time.Now()
	expect := func(what string, since time.Time, want bool) {
		t.Helper()
		if got := d.c.Quiet("g0", since); got != want {
			t.Errorf("%s: quiet %t, want %t", what, got, want)
		}
	}
	d.c.events.set(time.Now().Add(-time.Hour))
	expect("before an observation", time.Now(), false)
	if _, err := d.c.Observe(t.Context(), "g0"); err != nil {
		t.Fatal(err)
	}
	expect("after it", time.Now(), true)
	d.c.events.set(time.Now())
	expect("events are reported only since then", time.Now(), false)
	d.c.events.set(time.Time{})
	expect("no events are reported", time.Now(), false)
	d.c.events.set(time.Now().Add(-time.Hour))
	d.c.answers.ok = false
	expect("containerd does not answer", time.Now(), false)
	d.c.answers.ok = true
	expect("as before", time.Now(), true)
	endChild(t, d.shim.child)
	expect("its process has ended, and no event came", time.Now(), false)
}

// One answer of containerd counts for all groups, and so does one that does not come.
func TestAnsweredRecently(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a answered
		asked, answer := 0, true
		expect := func(want bool, calls int) {
			t.Helper()
			for range 10 {
				if got := a.recently(func() bool { asked++; return answer }); got != want {
					t.Errorf("answered %t, want %t", got, want)
				}
			}
			if asked != calls {
				t.Errorf("asked %d times, want %d", asked, calls)
			}
		}
		expect(true, 1)
		answer = false
		expect(true, 1)
		time.Sleep(answersFor)
		expect(false, 2)
		answer = true
		expect(false, 2)
		time.Sleep(answersFor)
		expect(true, 3)
	})
}
