package restart_test

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/hosttest"
	"github.com/sallyport/sallyport/shim/restart"
	"github.com/sallyport/sallyport/spec"
)

func TestToSave(t *testing.T) {
	got := restart.Records{
		"started":   {Digest: "d", StartedAt: hosttest.Noon},
		"ended":     {Ended: true},
		"replacing": {Replacing: true},
		"failed":    {ProbeFailure: "its live probe failed"},
		"restarted": {Restarts: 1},
		"in a row":  {EndsInARow: 1},
	}.ToSave()
	if names, want := slices.Sorted(maps.Keys(got)), []string{"ended", "failed", "in a row", "replacing", "restarted"}; !slices.Equal(names, want) {
		t.Errorf("saved %v, want %v", names, want)
	}
	if restart.Records(nil).ToSave() == nil {
		t.Error("no records are saved as nil")
	}
}

func TestRelevant(t *testing.T) {
	rs := restart.Records{"wanted": {}, "left": {}, "gone": {}}
	want := &spec.Group{Containers: []spec.Container{{Name: "wanted"}}}
	states := []host.ContainerState{{Name: "left"}}
	for _, tt := range []struct {
		name  string
		want  *spec.Group
		known bool
		kept  []string
	}{
		{"wanted or there", want, true, []string{"left", "wanted"}},
		{"no group is wanted", nil, true, []string{"left"}},
		{"the containers are unknown", want, false, []string{"gone", "left", "wanted"}},
	} {
		if got := slices.Sorted(maps.Keys(rs.Relevant(tt.want, states, tt.known))); !slices.Equal(got, tt.kept) {
			t.Errorf("%s: kept %v, want %v", tt.name, got, tt.kept)
		}
	}
}

// The clock may be set between two keepers. No wait grows by that.
func TestResumedAtAnotherTime(t *testing.T) {
	for _, tt := range []struct {
		name string
		next time.Duration // from when it is resumed
		wait time.Duration
	}{
		{"long over", -time.Hour, 0},
		{"soon", 3 * time.Second, 3 * time.Second},
		{"in an hour", time.Hour, 4800 * time.Millisecond},
	} {
		r := restart.Records{"web": {EndsInARow: 3, Ended: true, Next: hosttest.Noon.Add(tt.next)}}.Resumed(nil, hosttest.Noon)["web"]
		if got := r.Next.Sub(hosttest.Noon); got != tt.wait {
			t.Errorf("%s: waits %s, want %s", tt.name, got, tt.wait)
		}
	}
}

// A start after a boot counts as a restart only if an operator has asked for one.
func TestFromNothing(t *testing.T) {
	rs := restart.Records{
		"web": {Digest: "d", CreatedAt: hosttest.Noon, StartedAt: hosttest.Noon, Ended: true, Restarts: 2, EndsInARow: 1},
		"api": {Digest: "d", CreatedAt: hosttest.Noon, StartedAt: hosttest.Noon, Ended: true, Restarts: 2, EndsInARow: 1},
	}.FromNothing(map[string]bool{"api": true})
	if want := (restart.Record{Digest: "d", Restarts: 2, EndsInARow: 1}); rs["web"] != want {
		t.Errorf("%+v, want %+v", rs["web"], want)
	}
	for name, restarts := range map[string]int{"web": 2, "api": 3} {
		if got := rs.Started(name, "d", hosttest.Noon)[name].Restarts; got != restarts {
			t.Errorf("%s: %d restarts, want %d", name, got, restarts)
		}
	}
}

func TestUnchanged(t *testing.T) {
	one, alsoOne, two := uint32(1), uint32(1), uint32(2)
	abroad := hosttest.Noon.In(time.FixedZone("abroad", 3600))
	r := restart.Record{Digest: "d", CreatedAt: hosttest.Noon, Ended: true, ExitStatus: &one}
	for _, tt := range []struct {
		name  string
		other restart.Record
		want  bool
	}{
		{"the same", restart.Record{Digest: "d", CreatedAt: abroad, Ended: true, ExitStatus: &alsoOne}, true},
		{"another status", restart.Record{Digest: "d", CreatedAt: hosttest.Noon, Ended: true, ExitStatus: &two}, false},
		{"no status", restart.Record{Digest: "d", CreatedAt: hosttest.Noon, Ended: true}, false},
		{"another time", restart.Record{Digest: "d", CreatedAt: hosttest.Noon.Add(1), Ended: true, ExitStatus: &one}, false},
		{"one more restart", restart.Record{Digest: "d", CreatedAt: hosttest.Noon, Ended: true, ExitStatus: &one, Restarts: 1}, false},
	} {
		if got := r.Unchanged(tt.other); got != tt.want {
			t.Errorf("%s: %t, want %t", tt.name, got, tt.want)
		}
	}
}

func TestContradicts(t *testing.T) {
	ended := restart.Record{Digest: "d", CreatedAt: hosttest.Noon, Ended: true}
	for _, tt := range []struct {
		name       string
		now, saved restart.Record
		want       bool
	}{
		{"the same", ended, ended, false},
		{"saved as running, ended now", ended, restart.Record{Digest: "d", CreatedAt: hosttest.Noon}, false},
		{"it runs again", restart.Record{Digest: "d", CreatedAt: hosttest.Noon}, ended, true},
		{"it is not replaced any more", restart.Record{Digest: "d"}, restart.Record{Digest: "d", Replacing: true}, true},
		{"its probes succeed again", restart.Record{Digest: "d"}, restart.Record{Digest: "d", ProbeFailure: "failed"}, true},
		{"another container", restart.Record{Digest: "d", CreatedAt: hosttest.Noon.Add(1)}, ended, false},
		{"another definition", restart.Record{Digest: "e", CreatedAt: hosttest.Noon}, ended, false},
	} {
		if got := (restart.Records{"web": tt.now}).Contradicts(restart.Records{"web": tt.saved}); got != tt.want {
			t.Errorf("%s: %t, want %t", tt.name, got, tt.want)
		}
	}
	if (restart.Records{}).Contradicts(restart.Records{"web": ended}) {
		t.Error("a container without a record is contradicted")
	}
}
