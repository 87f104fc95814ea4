package denials_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport/sallyport/shim/hosttest"
)

func withTelling(t *testing.T, do func(t *testing.T, h *harness)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { runHarness(t, true, do) })
}

// 200 groups at rest are not read for a minute, and rarely later. One of them is refused something,
// and it alone is read.
func TestGroupsAtRestAreNotRead(t *testing.T) {
	withTelling(t, func(t *testing.T, h *harness) {
		var groups []string
		for i := range 200 {
			groups = append(groups, fmt.Sprint("group", i))
			h.doors.Refuse(groups[i], webToBank, 1)
		}
		h.groups.Store(&groups)
		h.poller.Wake("any")
		h.pass(10 * time.Second) // they settle
		before := h.reads(groups)
		h.pass(60*time.Second - 11*time.Second)
		if n := h.reads(groups) - before; n != 0 {
			t.Errorf("%d reads in 49 s, want none", n)
		}
		h.doors.Refuse("group7", jobToNTP, 1)
		h.pass(3 * time.Second)
		if n := h.reads(groups) - before; n != 2 { // at the signal, and once again
			t.Errorf("%d reads after a refusal, want two of group7", n)
		}
		before = h.reads(groups)
		h.pass(20 * time.Minute)
		if n := h.reads(groups) - before; n < 200*10 || n > 200*21 {
			t.Errorf("%d reads in 20 minutes, want one of each group in one to two minutes", n)
		}
	})
}

// reads returns how often the groups and the host's rules were read.
func (h *harness) reads(groups []string) (n int) {
	for _, g := range append([]string{""}, groups...) {
		n += h.doors.DoorReads(g)
	}
	return n
}

// pass lets time pass.
func (h *harness) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// A group that is refused things without end is read once a second.
func TestRefusalsWithoutEnd(t *testing.T) {
	withTelling(t, func(t *testing.T, h *harness) {
		before := h.doors.DoorReads("shop")
		for range 6000 {
			h.doors.Refuse("shop", webToBank, 1)
			h.pass(10 * time.Millisecond)
		}
		if n := h.doors.DoorReads("shop") - before; n < 55 || n > 61 {
			t.Errorf("%d reads in a minute, want one a second", n)
		}
		h.pass(3 * time.Second)
		h.groups.Store(&[]string{"shop"})
		if n := h.poller.Denied()["shop"]["web"]; n != 6000 {
			t.Errorf("%d packets were counted, want 6000", n)
		}
	})
}

// A denial is told within a second, after any time at rest.
func TestDenialsAreToldSoon(t *testing.T) {
	withTelling(t, func(t *testing.T, h *harness) {
		for i, after := range []time.Duration{time.Second, 90 * time.Millisecond, 10 * time.Second, time.Hour, 3 * time.Hour} {
			h.pass(after)
			h.wantEvents()
			h.doors.Refuse("shop", denial("web", fmt.Sprintf("192.0.2.1:%d", i+1), 0), 1)
			h.wantEvents(fmt.Sprintf("shop.web: 1 packet to 192.0.2.1:%d/tcp", i+1))
		}
	})
}

// A count that the host has forgotten, and that begins anew with the same number, is reported.
func TestCountsThatBeginAnew(t *testing.T) {
	withTelling(t, func(t *testing.T, h *harness) {
		for range 3 {
			h.doors.Refuse("shop", webToBank, 3)
			h.wantEvents("shop.web: 3 packets to 192.0.2.1:443/tcp")
			h.pass(hosttest.DenialsStand)
		}
	})
}

// Packets that an earlier event has delayed are reported when the wait is over, although nothing is
// refused any more.
func TestTheRestIsReportedAtRest(t *testing.T) {
	withTelling(t, func(t *testing.T, h *harness) {
		h.doors.Refuse("shop", webToBank, 1)
		h.wantEvents("shop.web: 1 packet to 192.0.2.1:443/tcp")
		h.doors.Refuse("shop", webToBank, 1)
		h.wantEvents("shop.web: 1 packet to 192.0.2.1:443/tcp")
		h.doors.Refuse("shop", webToBank, 7)
		h.wantEvents()
		h.pass(time.Second)
		h.wantEvents("shop.web: 7 packets to 192.0.2.1:443/tcp")
	})
}

// What the host's rules refuse is told too, and only the group that it concerns is read.
func TestRefusalsByTheHost(t *testing.T) {
	withTelling(t, func(t *testing.T, h *harness) {
		h.pass(10 * time.Second)
		shop, job := h.doors.DoorReads("shop"), h.doors.DoorReads("job")
		h.doors.RefuseByHost("shop", webToBank, 2)
		h.wantEvents("shop.web: 2 packets to 192.0.2.1:443/tcp")
		h.pass(2 * time.Second)
		h.doors.RefuseByHost("shop", webToBank, 1)
		h.wantEvents("shop.web: 1 packet to 192.0.2.1:443/tcp")
		if n := h.doors.DoorReads("job") - job; n != 0 || h.doors.DoorReads("shop") == shop {
			t.Errorf("the other group was read %d times", n)
		}
	})
}

// When messages were lost, all groups are read.
func TestLostMessages(t *testing.T) {
	withTelling(t, func(t *testing.T, h *harness) {
		h.pass(10 * time.Second)
		shop, job, host := h.doors.DoorReads("shop"), h.doors.DoorReads("job"), h.doors.DoorReads("")
		h.poller.WakeAll()
		h.pass(time.Second)
		for _, n := range []int{h.doors.DoorReads("shop") - shop, h.doors.DoorReads("job") - job, h.doors.DoorReads("") - host} {
			if n != 1 {
				t.Errorf("read %d times, want once", n)
			}
		}
	})
}

// A signal that is lost without a sign of it is made up for by the look at each group.
func TestUnheardSignals(t *testing.T) {
	withTelling(t, func(t *testing.T, h *harness) {
		h.pass(10 * time.Second)
		h.doors.TellDenials(deaf{})
		h.doors.Refuse("shop", webToBank, 1)
		h.pass(2 * time.Minute)
		h.wantEvents("shop.web: 1 packet to 192.0.2.1:443/tcp")
	})
}

type deaf struct{}

func (deaf) Wake(...string) {}
func (deaf) WakeHost()      {}
