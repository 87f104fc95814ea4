package denials_test

import (
	"errors"
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
		h.pass(100 * time.Minute)
		if n := h.reads(groups) - before; n < 200*10 || n > 200*21 {
			t.Errorf("%d reads in 100 minutes, want one of each group in five to ten minutes", n)
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
		h.pass(10 * time.Second)
		shop = h.doors.DoorReads("shop")
		h.doors.RefuseByHost("shop", webToBank, 0) // as if the read did not find it
		h.pass(10 * time.Second)
		if n := h.doors.DoorReads("shop") - shop; n != 2 {
			t.Errorf("read %d times, want twice", n)
		}
	})
}

// When messages were lost, all groups are read, and then the host's refusals by themselves.
func TestLostMessages(t *testing.T) {
	withTelling(t, func(t *testing.T, h *harness) {
		h.pass(10 * time.Second)
		shop, job, host := h.doors.DoorReads("shop"), h.doors.DoorReads("job"), h.doors.DoorReads("")
		h.poller.WakeAll()
		h.pass(10 * time.Second)
		for _, n := range []int{h.doors.DoorReads("shop") - shop, h.doors.DoorReads("job") - job, h.doors.DoorReads("") - host} {
			if n != 2 {
				t.Errorf("read %d times, want twice", n)
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
		h.pass(10 * time.Minute)
		h.wantEvents("shop.web: 1 packet to 192.0.2.1:443/tcp")
	})
}

// 500 groups are refused things all the time. Each is read once a second and no more, however often
// it is told, and another group's denial is told as soon as ever.
func TestManyGroupsAreRefusedThings(t *testing.T) {
	withTelling(t, func(t *testing.T, h *harness) {
		groups := []string{"quiet"}
		for i := range 500 {
			groups = append(groups, fmt.Sprint("group", i))
		}
		h.groups.Store(&groups)
		h.poller.Wake("any")
		h.pass(10 * time.Second)
		before, quiet := h.reads(groups), h.doors.DoorReads("quiet")
		const seconds = 3
		for i := range 10 * seconds {
			for _, g := range groups[1:] {
				h.doors.Refuse(g, webToBank, 1)
				h.poller.Wake(g) // as by a message for every packet
			}
			if h.pass(100 * time.Millisecond); i == 10*seconds/2 {
				h.doors.Refuse("quiet", jobToNTP, 1)
			}
			if i == 10*seconds/2+11 && h.poller.Denied()["quiet"]["job"] != 1 {
				t.Error("the denial of the other group is not told after 1.1 s")
			}
		}
		if n := h.reads(groups) - before; n < 500*(seconds-1) || n > 500*(seconds+1)+10 {
			t.Errorf("%d reads of 500 groups in %d s, want one a second of each", n, seconds)
		}
		if n := h.doors.DoorReads("quiet") - quiet; n > 2 {
			t.Errorf("the other group was read %d times", n)
		}
	})
}

// A group goes while it is told that something was refused to it. Another of that name, which is
// refused the same, is told anew.
func TestGroupGoesWhileItIsTold(t *testing.T) {
	withTelling(t, func(t *testing.T, h *harness) {
		h.pass(10 * time.Second)
		h.doors.Refuse("shop", webToBank, 3)
		h.wantEvents("shop.web: 3 packets to 192.0.2.1:443/tcp")
		h.pass(10 * time.Second)
		h.doors.Refuse("shop", webToBank, 1)
		h.groups.Store(&[]string{"job"})
		h.doors.ForgetDenials("shop")
		h.wantEvents()
		h.poller.Wake("shop") // a late message
		h.pass(10 * time.Second)
		h.groups.Store(&[]string{"shop", "job"})
		h.doors.Refuse("shop", webToBank, 3)
		h.poller.Wake("shop")
		h.wantEvents("shop.web: 3 packets to 192.0.2.1:443/tcp")
	})
}

// If the host's refusals can't be read, all groups are read each second until they can.
func TestUnreadableHost(t *testing.T) {
	withTelling(t, func(t *testing.T, h *harness) {
		h.pass(10 * time.Second)
		for range 3 {
			h.doors.FailNext("observe host denials", errors.New("no answer"))
		}
		job := h.doors.DoorReads("job")
		h.doors.RefuseByHost("shop", webToBank, 2)
		h.wantEvents("shop.web: 2 packets to 192.0.2.1:443/tcp")
		h.pass(10 * time.Second)
		if n := h.doors.DoorReads("job") - job; n != 3 {
			t.Errorf("the other group was read %d times, want as often as the host could not be", n)
		}
	})
}

// A group that was told and could not be read then is read twice once it can.
func TestUnreadableGroup(t *testing.T) {
	withTelling(t, func(t *testing.T, h *harness) {
		h.pass(10 * time.Second)
		shop := h.doors.DoorReads("shop")
		h.doors.FailNext("observe denials", errors.New("no answer"))
		h.poller.Wake("shop")
		h.pass(10 * time.Second)
		if n := h.doors.DoorReads("shop") - shop; n != 3 {
			t.Errorf("read %d times, want 3", n)
		}
	})
}

// Where nothing is told, each group is read each second, and what concerns the host once with them.
func TestNothingIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runHarness(t, false, func(t *testing.T, h *harness) {
			h.doors.Refuse("shop", webToBank, 1)
			h.doors.Refuse("job", jobToNTP, 1)
			h.pass(10*time.Second + time.Millisecond)
			shop, host := h.doors.DoorReads("shop"), h.doors.DoorReads("")
			h.pass(10 * time.Second)
			if n := h.doors.DoorReads("shop") - shop; n != 10 {
				t.Errorf("%d reads of a group in 10 s, want 10", n)
			}
			if n := h.doors.DoorReads("") - host; n != 0 {
				t.Errorf("the host's refusals were read %d more times by themselves", n)
			}
		})
	})
}

type deaf struct{}

func (deaf) Wake(...string) {}
func (deaf) WakeHost()      {}
