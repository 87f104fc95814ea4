package plan_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/hosttest"
	"github.com/sallyport/sallyport/shim/plan"
	"github.com/sallyport/sallyport/shim/restart"
	"github.com/sallyport/sallyport/spec"
)

func TestContainerStatuses(t *testing.T) {
	g := ordered()
	status := uint32(137)
	records := restart.Records{"web": {Ended: true, Restarts: 2, EndsInARow: 3, ExitStatus: &status, OOMKilled: true, Next: noon.Add(time.Minute)}}
	for _, tt := range []struct {
		name      string
		in        plan.Input
		container string
		want      group.ContainerStatus
	}{
		{
			"never created", plan.Input{Want: g, Observed: plan.Nothing()}, "proxy",
			group.ContainerStatus{Name: "proxy", Role: spec.Ambassador, Image: "haproxy:2", Task: host.TaskNone},
		},
		{
			"unknown", plan.Input{Want: g, Observed: seen(g, blind)}, "proxy",
			group.ContainerStatus{Name: "proxy", Role: spec.Ambassador, Image: "haproxy:2", Task: host.TaskUnknown},
		},
		{
			"an init that ended well", plan.Input{Want: g, Observed: upTo("shipper"), Health: healthy()}, "fetch",
			group.ContainerStatus{Name: "fetch", Role: spec.Init, Image: "fetch:1", Task: host.TaskStopped, Ready: true},
		},
		{
			"waits for another", plan.Input{Want: g, Observed: with(upTo("shipper"), task("store", host.TaskRunning)), Health: healthy("store")}, "web",
			group.ContainerStatus{Name: "web", Role: spec.App, Image: "web:1", Task: host.TaskCreated, Waiting: "waits for shipper (sidecar) to be ready"},
		},
		{
			"not ready", plan.Input{Want: g, Observed: with(upTo("shipper"), task("store", host.TaskRunning)), Health: healthy("store")}, "store",
			group.ContainerStatus{
				Name: "store", Role: spec.Sidecar, Image: "store:3", Task: host.TaskRunning,
				Waiting: "is not ready: its ready probe failed: tcp 127.0.0.1:9001: connection refused",
			},
		},
		{
			"backing off", plan.Input{Want: g, Observed: seen(g, task("web", host.TaskStopped, 137)), Health: healthy(), Records: records}, "web",
			group.ContainerStatus{
				Name: "web", Role: spec.App, Image: "web:1", Task: host.TaskStopped, Restarts: 2, EndsInARow: 3,
				ExitStatus: &status, Signal: "SIGKILL", OOMKilled: true, NextStart: noon.Add(time.Minute),
			},
		},
		{
			"of another definition", plan.Input{Want: hosttest.Checkout(hosttest.Without("proxy")), Observed: running(hosttest.Checkout())}, "proxy",
			group.ContainerStatus{Name: "proxy", Role: spec.Ambassador, Task: host.TaskRunning, PID: 100},
		},
		{
			"the group has ended", plan.Input{
				Want: g, Observed: plan.Nothing(), Ended: &group.Ended{State: group.Completed, Exits: map[string]group.Exit{"web": {Status: 137, OOMKilled: true}}},
			}, "web",
			group.ContainerStatus{Name: "web", Role: spec.App, Image: "web:1", Task: host.TaskNone, ExitStatus: &status, Signal: "SIGKILL", OOMKilled: true},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.in.Now = noon
			for _, got := range plan.ContainerStatuses(tt.in) {
				if got.Name != tt.container {
					continue
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("status (-want +got):\n%s", diff)
				}
				return
			}
			t.Errorf("%s has no status", tt.container)
		})
	}
}

func TestFoundDigests(t *testing.T) {
	twice := hosttest.Checkout(hosttest.AddApp("api", 5), hosttest.EditContainer("api", func(c *spec.Container) { c.Image = "web:1" }))
	digest := func(name, digest string) func(*plan.Observed) {
		return func(o *plan.Observed) {
			for i := range o.Containers {
				if o.Containers[i].Name == name {
					o.Containers[i].ImageDigest = digest
				}
			}
		}
	}
	for _, tt := range []struct {
		name string
		in   plan.Input
		want string // for web:1; empty: none
	}{
		{"one container", plan.Input{Want: hosttest.Checkout(), Observed: seen(hosttest.Checkout(), digest("web", "sha256:a"))}, "sha256:a"},
		{"pinned already", plan.Input{Want: hosttest.Checkout(), Observed: running(hosttest.Checkout()), Digests: group.ImageDigests{"web:1": "sha256:b"}}, ""},
		{"of another definition", plan.Input{Want: hosttest.Checkout(hosttest.EditContainer("web", hosttest.Command("/new"))), Observed: running(hosttest.Checkout())}, ""},
		{"two containers agree", plan.Input{Want: twice, Observed: seen(twice, digest("web", "sha256:a"), digest("api", "sha256:a"))}, "sha256:a"},
		{"two containers differ", plan.Input{Want: twice, Observed: seen(twice, digest("web", "sha256:a"), digest("api", "sha256:b"))}, ""},
	} {
		if got := tt.in.FoundDigests()["web:1"]; got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}
