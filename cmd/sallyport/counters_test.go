package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// A fixedDoor has the same counters for every group.
type fixedDoor struct {
	counters host.Counters
	err      error
}

func (s fixedDoor) Counters(string) (host.Counters, error)       { return s.counters, s.err }
func (s fixedDoor) Spent(string) (used, quota uint64, err error) { return 1 << 20, 1 << 30, s.err }

func (s fixedDoor) PublishNotes(_ string, published []spec.Publish, listens bool) []string {
	return []string{fmt.Sprintf("%d published, %t", len(published), listens)}
}

// A port without a listener is looked for once the ambassador has run for a while.
func TestNotes(t *testing.T) {
	published := spec.Door{Publish: []spec.Publish{{Name: "http", Host: 80, Port: 80, Protocol: "tcp"}}}
	for _, c := range []struct {
		name string
		door spec.Door
		task host.TaskState
		ago  time.Duration
		want []string
	}{
		{"it runs", published, host.TaskRunning, time.Hour, []string{"1 published, true"}},
		{"it has just begun", published, host.TaskRunning, 0, []string{"1 published, false"}},
		{"it is down", published, host.TaskStopped, time.Hour, []string{"1 published, false"}},
		{"nothing is published", spec.Door{}, host.TaskRunning, time.Hour, nil},
	} {
		st := group.Status{Door: c.door, Containers: []group.ContainerStatus{{Name: "proxy", Role: spec.Ambassador, Task: c.task, StartedAt: time.Now().Add(-c.ago)}}}
		if diff := cmp.Diff(c.want, counting{door: fixedDoor{}}.notes(&st)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

func TestCounting(t *testing.T) {
	counters := host.Counters{MembersTCP: host.Count{Packets: 3}}
	broken := errors.New("netlink is broken")
	for _, c := range []struct {
		name, group string
		err, want   error
		counters    *host.Counters
	}{
		{"one group", "checkout", nil, nil, &counters},
		{"every group", "", broken, nil, nil}, // the counters are not read
		{"no rules yet", "checkout", os.ErrNotExist, nil, nil},
		{"unreadable", "checkout", broken, broken, nil},
		{"no such group", "chekout", nil, group.ErrNoGroup, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			bounds := []host.Bound{{Volume: "data", Size: 2, Used: 1}}
			k := counting{&fakeDaemon{}, fixedDoor{counters, c.err}, func(_ context.Context, group string) []host.Bound { return bounds }}
			groups, err := k.Status(c.group)
			if !errors.Is(err, c.want) {
				t.Fatalf("error %v, want %v", err, c.want)
			}
			for _, g := range groups {
				if (len(g.Bounds) > 0) != (c.group != "") {
					t.Errorf("%s has the bounds %v", g.Name, g.Bounds)
				}
				if diff := cmp.Diff(c.counters, g.Counters); diff != "" {
					t.Errorf("%s (-want +got)\n%s", g.Name, diff)
				}
				if want := c.counters != nil && g.Quota != 0; (g.QuotaUsed != 0) != want {
					t.Errorf("%s has spent %d of %d", g.Name, g.QuotaUsed, g.Quota)
				}
			}
		})
	}
}

func TestCounterLines(t *testing.T) {
	n := func(packets uint64) host.Count { return host.Count{Packets: packets} }
	everything := &host.Counters{
		AmbassadorOut: n(1), AmbassadorDenied: n(2), AmbassadorIn: n(3), MembersOut: n(4), MembersTCP: n(5), MembersOther: n(6),
		MembersIn: n(7), UnknownOut: n(8), UnknownIn: n(9), MembersIntercepted: n(10), Quota: n(11), FlowsFull: n(12),
	}
	for _, c := range []struct {
		name     string
		egress   spec.Egress
		counters *host.Counters
		want     []string
	}{
		{"unknown", spec.EgressAmbassador, nil, nil},
		{"all zero", spec.EgressAmbassador, &host.Counters{}, []string{
			"members: 0 refused on their way out (0 tcp), 0 dropped on their way in",
			"ambassador: 0 out, 0 in, 0 refused by allow",
		}},
		{"none zero", spec.EgressAmbassador, everything, []string{
			"members: 11 refused on their way out (5 tcp), 7 dropped on their way in",
			"members: 10 led to the ambassador",
			"ambassador: 1 out, 3 in, 2 refused by allow",
			"ambassador: 11 refused because the quota is spent",
			"ambassador: 12 refused because it had too many UDP flows open",
			"unknown: 17 dropped, neither from nor to a process of the group",
		}},
		{"sealed", spec.EgressNone, everything, []string{
			"members: 11 refused on their way out (5 tcp), 7 dropped on their way in",
			"unknown: 17 dropped, neither from nor to a process of the group",
		}},
		{"direct", spec.EgressDirect, everything, []string{"members: 4 out", "unknown: 17 dropped, neither from nor to a process of the group"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, counterLines(c.egress, c.counters)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}
