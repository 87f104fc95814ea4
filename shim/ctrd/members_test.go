package ctrd

import (
	"fmt"
	"slices"
	"testing"
	"time"

	eventtypes "github.com/containerd/containerd/api/events"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/google/go-cmp/cmp"
)

// Once all containers were listed, an observation of a group asks for its own, however many groups
// there are.
func TestObserveAsksForMembers(t *testing.T) {
	for _, groups := range []int{1, 500} {
		t.Run(fmt.Sprint(groups), func(t *testing.T) {
			s, c := serveCounted(t, groups)
			close(s.hold)
			c.events.set(time.Now().Add(-2 * subscribedWithin))
			last := groupName(groups - 1)
			for _, step := range []struct {
				group string
				want  map[string]int
			}{
				{last, map[string]int{"Containers/ListStream": 1, "Tasks/Get": 1}},
				{last, map[string]int{"Containers/Get": 1, "Tasks/Get": 1}},
				{"g0", map[string]int{"Containers/Get": 1, "Tasks/Get": 1}},
				{"new", map[string]int{}},
			} {
				states, err := c.Observe(t.Context(), step.group)
				if known := step.group != "new"; err != nil || (len(states) == 1) != known {
					t.Fatalf("%s: %v, %v", step.group, states, err)
				}
				if diff := cmp.Diff(step.want, s.counted()); diff != "" {
					t.Errorf("%s: calls (-want +got):\n%s", step.group, diff)
				}
			}
			done := c.members.making("new.app", time.Now)
			if _, err := c.Observe(t.Context(), "new"); err != nil || s.counted()["Containers/Get"] != 1 {
				t.Errorf("a container that is being made is not asked for: %v", err)
			}
			done()
			for range 2 {
				if _, err := c.Observe(t.Context(), "new"); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(map[string]int{"Containers/Get": 1}, s.counted()); diff != "" {
				t.Errorf("one that is gone is asked for once (-want +got):\n%s", diff)
			}
		})
	}
}

// Without events, or for many groups at once, containers are listed as before.
func TestMembersAreListed(t *testing.T) {
	s, c := serveCounted(t, 2*mostMembers)
	close(s.hold)
	for range 2 {
		if _, err := c.Observe(t.Context(), "g0"); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(map[string]int{"Containers/ListStream": 2, "Tasks/Get": 2}, s.counted()); diff != "" {
		t.Errorf("without events (-want +got):\n%s", diff)
	}
	c.events.set(time.Now().Add(-2 * subscribedWithin))
	var names []string
	for n := range mostMembers + 1 {
		names = append(names, groupName(n))
	}
	for range 2 {
		if l, err := c.list(t.Context(), names); err != nil || len(l.byGroup) != len(names) {
			t.Fatalf("%v, %v", l, err)
		}
	}
	if diff := cmp.Diff(map[string]int{"Containers/ListStream": 2}, s.counted()); diff != "" {
		t.Errorf("many groups (-want +got):\n%s", diff)
	}
	if _, err := c.Observe(t.Context(), "g0"); err != nil {
		t.Fatal(err)
	}
	few := names[:mostMembers]
	for _, asked := range [][]string{few, append(slices.Clone(few), names[mostMembers])} {
		s.counted()
		l, err := c.list(t.Context(), asked)
		if lists := s.counted()["Containers/ListStream"]; err != nil || len(l.byGroup) != len(asked) || (lists > 0) != (len(asked) > mostMembers) {
			t.Errorf("%d groups that are known: %d lists, of %d groups, %v", len(asked), lists, len(l.byGroup), err)
		}
	}
}

// The members are those of the list, and what was made since, until something may have changed that
// is not known.
func TestMembership(t *testing.T) {
	now := time.Now()
	clock := func() time.Time { return now }
	created := func(id string) any { return &eventtypes.ContainerCreate{ID: id} }
	updated := func(id string) any { return &eventtypes.ContainerUpdate{ID: id} }
	var m membership
	list := func() { // of g.a, and of one of h whose id names another group
		m.keep(map[string][]containers.Container{"g": {{ID: "g.a"}}, "h": {{ID: "foreign"}}}, now, m.begin())
	}
	of := func(groups ...string) (ids []string) {
		members, ok := m.of(groups, now)
		if !ok {
			return []string{"unknown"}
		}
		for _, x := range members {
			ids = append(ids, x.group+":"+x.id)
		}
		return ids
	}
	check := func(when string, got []string, want ...string) {
		t.Helper()
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", when, got, want)
		}
	}
	check("before a list", of("g"), "unknown")
	list()
	check("listed", of("g", "h", "none"), "h:foreign", "g:g.a")
	done := m.making("g.b", clock)
	m.see(created("g.b"))
	before, _ := m.of([]string{"g"}, now)
	check("while it is made", of("g"), "g:g.a", "g:g.b")
	done()
	m.drop(before[1]) // it was asked for before it was there
	check("made", of("g"), "g:g.a", "g:g.b")
	m.see(created("g.b"))
	m.see(updated("g.a"))
	m.see(&eventtypes.ContainerDelete{ID: "g.a"}) // which may be of an earlier one
	check("after its events", of("g"), "g:g.a", "g:g.b")
	members, _ := m.of([]string{"g"}, now)
	m.drop(members[1])
	check("gone", of("g"), "g:g.a")
	m.see(created("g.b"))
	check("after a late event, containerd may have made it after all", of("g"), "g:g.a", "g:g.b")
	members, _ = m.of([]string{"g"}, now)
	m.drop(members[1])
	check("and it is asked for once", of("g"), "g:g.a")

	for what, event := range map[string]any{"made": created("g.x"), "changed": updated("foreign")} {
		list()
		m.see(event)
		check("others have "+what+" one", of("g"), "unknown")
	}
	begun := m.begin()
	m.see(created("other"))
	m.keep(nil, now, begun)
	check("others have made one during the list", of("g"), "unknown")

	began := now.Add(time.Second)
	now = began.Add(time.Second)
	done = m.making("g.c", clock)
	done()
	m.keep(map[string][]containers.Container{"g": {{ID: "g.a"}}}, began, m.begin())
	check("made during the list", of("g"), "g:g.a", "g:g.c")
	now = began.Add(membersFor)
	check("after a while", of("g"), "unknown")

	// A make is remembered for a while.
	for n := range 10 * fewMakes {
		m.making(fmt.Sprint("g.", n), clock)()
		now = now.Add(eventsWithin / 10)
	}
	if len(m.makes) > 2*fewMakes {
		t.Errorf("%d makes are remembered", len(m.makes))
	}
	var many []containers.Container
	for n := range mostMembers + 1 {
		many = append(many, containers.Container{ID: fmt.Sprint("g.", n)})
	}
	m.keep(map[string][]containers.Container{"g": many}, now, m.begin())
	if got := of("g"); len(got) < len(many) {
		t.Errorf("%d are %q", len(many), got)
	}
}
