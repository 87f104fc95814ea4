package group_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

func shop() *spec.Group {
	return &spec.Group{Name: "shop", Containers: []spec.Container{
		{Name: "shipper", Role: spec.Sidecar, Image: "shipper:1", OnFailure: spec.FailureStopsGroup},
		{Name: "job", Role: spec.App, Image: "job:1"},
		{Name: "report", Role: spec.App, Image: "job:1", OnFailure: spec.FailureIgnored},
	}}
}

func TestEndedProblem(t *testing.T) {
	for _, tt := range []struct {
		name      string
		ended     group.Ended
		problem   string // empty: none
		unchanged string
	}{
		{
			"the apps ended well", group.Ended{State: group.Completed, Exits: map[string]group.Exit{"job": {}, "report": {}}},
			"", `it has completed; an unchanged file doesn't run it again, "sallyport start shop" does`,
		},
		{
			"an app failed", group.Ended{State: group.Completed, Exits: map[string]group.Exit{"job": {Status: 2}, "report": {}}},
			"job (app) ended with status 2",
			`it has completed, job (app) ended with status 2; an unchanged file doesn't run it again, "sallyport start shop" does`,
		},
		{
			"an app was stopped because of its probes", group.Ended{State: group.Completed, Exits: map[string]group.Exit{"job": {ProbeFailure: "its live probe failed"}}},
			"job (app) ended with status 0, stopped because its live probe failed",
			`it has completed, job (app) ended with status 0, stopped because its live probe failed; an unchanged file doesn't run it again, "sallyport start shop" does`,
		},
		{
			"a failure that is ignored", group.Ended{State: group.Completed, Exits: map[string]group.Exit{"job": {}, "report": {Status: 1}}},
			"", `it has completed; an unchanged file doesn't run it again, "sallyport start shop" does`,
		},
		{
			"a sidecar that ended does not count in a completed group", group.Ended{State: group.Completed, Exits: map[string]group.Exit{"shipper": {Status: 143}, "job": {}}},
			"", `it has completed; an unchanged file doesn't run it again, "sallyport start shop" does`,
		},
		{
			"a failure stopped it", group.Ended{State: group.Stopped, By: "shipper", Exits: map[string]group.Exit{"shipper": {Status: 1}, "job": {Status: 2}}},
			"shipper (sidecar) ended with status 1, and its on_failure stops the group",
			`a failure has stopped it, shipper (sidecar) ended with status 1, and its on_failure stops the group; an unchanged file doesn't run it again, "sallyport start shop" does`,
		},
		{
			"a bound stopped it", group.Ended{State: group.Stopped, Bound: &host.Bound{Volume: "data", Path: "/data", Size: 1 << 30, Used: 2 << 30}, Exits: map[string]group.Exit{"job": {Status: 2}}},
			"volume data holds 2GiB, and its bound is 1GiB",
			`a bound on disk has stopped it, volume data holds 2GiB, and its bound is 1GiB; an unchanged file doesn't run it again, "sallyport start shop" does`,
		},
		{
			"a container's bound stopped it", group.Ended{State: group.Stopped, Bound: &host.Bound{Container: "job", Path: "/layer", Size: 1 << 30, Used: 2 << 30}},
			"job has written 2GiB outside of volumes, and its bound is 1GiB",
			`a bound on disk has stopped it, job has written 2GiB outside of volumes, and its bound is 1GiB; an unchanged file doesn't run it again, "sallyport start shop" does`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.ended.Problem(shop())
			if hint.Text(err) != tt.problem || (hint.Of(err) != "") != (err != nil) {
				t.Errorf("problem %q with hint %q, want %q and a hint", hint.Text(err), hint.Of(err), tt.problem)
			}
			if got := tt.ended.UnchangedText(shop()); got != tt.unchanged {
				t.Errorf("unchanged: %q, want %q", got, tt.unchanged)
			}
		})
	}
}

func TestExitString(t *testing.T) {
	for _, tt := range []struct {
		exit group.Exit
		want string
	}{
		{group.Exit{}, "status 0"},
		{group.Exit{Status: 1}, "status 1"},
		{group.Exit{Status: 128}, "status 128"},
		{group.Exit{Status: 139}, "status 139 (SIGSEGV)"},
		{group.Exit{Status: 143}, "status 143 (SIGTERM)"},
		{group.Exit{Status: 255}, "status 255"},
		{group.Exit{Status: 1, OOMKilled: true}, "status 1 (out of memory)"},
		{group.Exit{Status: 137, OOMKilled: true}, "status 137 (SIGKILL, out of memory)"},
		{group.Exit{Status: 0, ProbeFailure: "its live probe failed"}, "status 0, stopped because its live probe failed"},
	} {
		if got := tt.exit.String(); got != tt.want {
			t.Errorf("%+v: %q, want %q", tt.exit, got, tt.want)
		}
	}
}

func TestContainerStatusExit(t *testing.T) {
	for _, tt := range []struct {
		status uint32
		signal string
	}{
		{0, ""}, {1, ""}, {128, ""}, {137, "SIGKILL"}, {143, "SIGTERM"}, {192, ""}, {193, ""}, {255, ""},
	} {
		var st group.ContainerStatus
		st.Exit(tt.status, true)
		if *st.ExitStatus != tt.status || st.Signal != tt.signal || !st.OOMKilled {
			t.Errorf("%d: %d, %q, %t; want %q", tt.status, *st.ExitStatus, st.Signal, st.OOMKilled, tt.signal)
		}
	}
}

func TestImageDigests(t *testing.T) {
	if diff := cmp.Diff(group.ImageDigests{"job:1": "sha256:a"}, group.DigestsOf(map[string]host.Image{"job:1": {Name: "docker.io/job:1", Digest: "sha256:a"}})); diff != "" {
		t.Errorf("digests of images (-want +got):\n%s", diff)
	}
	for _, tt := range []struct {
		name        string
		have, other group.ImageDigests
		merged      group.ImageDigests
		differ      bool
	}{
		{"none", nil, nil, nil, false},
		{"of another group", group.ImageDigests{"x": "1"}, group.ImageDigests{"y": "2"}, nil, false},
		{"from the first", group.ImageDigests{"job:1": "1"}, group.ImageDigests{"job:1": "2"}, group.ImageDigests{"job:1": "1"}, true},
		{"from both", group.ImageDigests{"job:1": "1"}, group.ImageDigests{"shipper:1": "2"}, group.ImageDigests{"job:1": "1", "shipper:1": "2"}, false},
		{"the same in both", group.ImageDigests{"job:1": "1"}, group.ImageDigests{"job:1": "1"}, group.ImageDigests{"job:1": "1"}, false},
	} {
		if diff := cmp.Diff(tt.merged, tt.have.Merge(shop(), tt.other)); diff != "" {
			t.Errorf("%s: merged (-want +got):\n%s", tt.name, diff)
		}
		if got := tt.have.Differ(tt.other); got != tt.differ {
			t.Errorf("%s: differ: %t, want %t", tt.name, got, tt.differ)
		}
	}
}

func TestEventQueryMatches(t *testing.T) {
	e := group.Event{Group: "shop", Kind: group.EventDrift}
	for _, tt := range []struct {
		name  string
		query group.EventQuery
		want  bool
	}{
		{"every event", group.EventQuery{}, true},
		{"of its group and kind", group.EventQuery{Group: "shop", Kinds: []group.EventKind{group.EventQuota, group.EventDrift}}, true},
		{"of another group", group.EventQuery{Group: "blog"}, false},
		{"of other kinds", group.EventQuery{Kinds: []group.EventKind{group.EventQuota}}, false},
	} {
		if got := tt.query.Matches(e); got != tt.want {
			t.Errorf("%s: %t, want %t", tt.name, got, tt.want)
		}
	}
}

func TestReversionProblem(t *testing.T) {
	err := group.Reversion{Generation: 4, Why: "web (app) ended with status 1"}.Problem("shop")
	if want := "generation 4 was taken back: web (app) ended with status 1"; err.Error() != want {
		t.Errorf("%q, want %q", err, want)
	}
	if want := `mend the file and apply it again; "sallyport history shop --file 4" prints the one that failed`; hint.Of(err) != want {
		t.Errorf("hint %q, want %q", hint.Of(err), want)
	}
}
