package plan_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/hosttest"
	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/shim/plan"
	"github.com/sallyport/sallyport/shim/restart"
	"github.com/sallyport/sallyport/spec"
)

var update = flag.Bool("update", false, "rewrite the goldens")

var noon = hosttest.Noon

// fixedLayout is for tests that write no files.
var fixedLayout = layout.Layout{CgroupRoot: "/sallyport"}

// running returns the observation of a host on which the group is as wanted.
func running(g *spec.Group) plan.Observed {
	o := plan.Observed{Net: host.NetState{Pinned: host.Present, Namespace: host.Present, Rules: host.Present, Link: host.Present}}
	if g.Egress == spec.EgressNone {
		o.Net.Link = host.Absent
	}
	o.Volumes = slices.Clone(g.Volumes)
	for i, c := range g.Containers {
		o.Containers = append(o.Containers, host.ContainerState{
			Group: g.Name, Name: c.Name, Role: c.Role, Digest: c.Digest, ImageDigest: "sha256:" + c.Image, Loaded: c.Loaded(),
			Task: host.TaskRunning, PID: uint32(100 + i), StartedAt: noon.Add(-time.Hour),
		})
	}
	return o
}

// seen returns running with changes.
func seen(g *spec.Group, edits ...func(*plan.Observed)) plan.Observed {
	o := running(g)
	for _, edit := range edits {
		edit(&o)
	}
	return o
}

func task(name string, t host.TaskState, status ...uint32) func(*plan.Observed) {
	return func(o *plan.Observed) {
		i := slices.IndexFunc(o.Containers, func(c host.ContainerState) bool { return c.Name == name })
		c := &o.Containers[i]
		c.Task, c.PID = t, 0
		if t == host.TaskStopped {
			c.ExitedAt, c.ExitStatus = noon.Add(-500*time.Millisecond), status[0]
		}
	}
}

func every(t host.TaskState) func(*plan.Observed) {
	return func(o *plan.Observed) {
		for i := range o.Containers {
			o.Containers[i].Task = t
		}
	}
}

func lacks(name string) func(*plan.Observed) {
	return func(o *plan.Observed) {
		o.Containers = slices.DeleteFunc(o.Containers, func(c host.ContainerState) bool { return c.Name == name })
	}
}

func net(pinned, namespace, rules, link host.Presence) func(*plan.Observed) {
	return func(o *plan.Observed) {
		o.Net = host.NetState{Pinned: pinned, Namespace: namespace, Rules: rules, Link: link}
	}
}

const (
	unknown = host.Unknown
	absent  = host.Absent
	present = host.Present
)

var errBlind = errors.New("containerd does not answer")

func blind(o *plan.Observed)    { o.Containers, o.ContainersErr = nil, errBlind }
func noMounts(o *plan.Observed) { o.Volumes = nil }

func TestPlan(t *testing.T) {
	changedWeb := hosttest.Checkout(hosttest.EditContainer("web", hosttest.Command("/bin/new")))
	changedProxy := hosttest.Checkout(hosttest.EditContainer("proxy", hosttest.Command("/bin/new")))
	once := hosttest.Checkout(hosttest.EditContainer("web", hosttest.Policy(spec.RestartNever)))
	onFailure := hosttest.Checkout(hosttest.EditContainer("web", hosttest.Policy(spec.RestartOnFailure)))
	bigger := hosttest.Checkout(func(g *spec.Group) { g.Volumes[0].Size = 128 << 20 })
	two := hosttest.Checkout(hosttest.AddApp("api", 5))
	waits := restart.Records{"web": {Digest: hosttest.Checkout().Container("web").Digest, Ended: true, Next: noon.Add(time.Second)}}

	tests := []struct {
		name string
		in   plan.Input
	}{
		{"nothing is there", plan.Input{Want: hosttest.Checkout(), Observed: plan.Nothing()}},
		{"nothing is there, sealed", plan.Input{Want: hosttest.Sealed(), Observed: plan.Nothing()}},
		{"nothing is there, direct", plan.Input{Want: hosttest.Checkout(hosttest.Without("proxy"), hosttest.Egress(spec.EgressDirect)), Observed: plan.Nothing()}},
		{"nothing is there, and all acts on the door", plan.Input{Want: hosttest.Checkout(hosttest.EveryDoor), Observed: plan.Nothing()}},
		{"the limits of the door changed", plan.Input{Want: hosttest.Checkout(hosttest.EveryLimit), Observed: seen(hosttest.Checkout(), net(present, present, absent, absent))}},
		{"all is as wanted", plan.Input{Want: hosttest.Checkout(), Observed: running(hosttest.Checkout())}},
		{"sealed is as wanted", plan.Input{Want: hosttest.Sealed(), Observed: running(hosttest.Sealed())}},
		{"a keeper died after the pin", plan.Input{Want: hosttest.Checkout(), Observed: seen(hosttest.Checkout(), blindToAll, net(present, absent, absent, absent))}},
		{"a keeper died after the rules", plan.Input{Want: hosttest.Checkout(), Observed: seen(hosttest.Checkout(), blindToAll, net(present, present, present, absent))}},
		{"a keeper died after the creates", plan.Input{Want: hosttest.Checkout(), Observed: seen(hosttest.Checkout(), every(host.TaskCreated))}},
		{"a keeper died among the creates", plan.Input{Want: hosttest.Checkout(), Observed: seen(hosttest.Checkout(), every(host.TaskCreated), lacks("web"))}},
		{"a keeper died among the starts", plan.Input{Want: hosttest.Checkout(), Observed: seen(hosttest.Checkout(), task("web", host.TaskCreated))}},
		{"after a boot", plan.Input{Want: hosttest.Checkout(), Observed: seen(hosttest.Checkout(), every(host.TaskNone), net(absent, absent, absent, absent), noMounts)}},
		{"the app's definition changed", plan.Input{Want: changedWeb, Observed: running(hosttest.Checkout())}},
		{"the ambassador's definition changed", plan.Input{Want: changedProxy, Observed: running(hosttest.Checkout())}},
		{"the app's image moved", plan.Input{
			Want: hosttest.Checkout(), Observed: running(hosttest.Checkout()), Digests: group.ImageDigests{"web:1": "sha256:other"},
		}},
		{"the volume grew", plan.Input{Want: bigger, Observed: running(hosttest.Checkout())}},
		{"a volume came and went", plan.Input{Want: hosttest.Checkout(rename("logs", "spool")), Observed: running(hosttest.Checkout())}},
		{"a created container is outdated", plan.Input{Want: changedWeb, Observed: seen(hosttest.Checkout(), task("web", host.TaskCreated))}},
		{"an app is not wanted any more", plan.Input{Want: hosttest.Checkout(), Previous: two, Observed: running(two)}},
		{"an app is new", plan.Input{Want: two, Observed: running(hosttest.Checkout())}},
		{"the policy changed", plan.Input{
			Want:     hosttest.Checkout(hosttest.Allow(spec.Allow{Prefix: "203.0.113.0/24", Port: 443, Protocol: "tcp"}, spec.Allow{Prefix: "2001:db8::/32", Protocol: "udp"})),
			Observed: seen(hosttest.Checkout(), net(present, present, absent, present)),
		}},
		{"the ambassador may reach nothing", plan.Input{
			Want: hosttest.Checkout(func(g *spec.Group) { g.Container("proxy").Allow = []spec.Allow{} }), Observed: seen(hosttest.Checkout(), net(present, present, absent, present)),
		}},
		{"the published port changed", plan.Input{Want: hosttest.Checkout(hosttest.EditContainer("proxy", func(c *spec.Container) {
			c.Publish[0].Host, c.Publish[0].Address = 9443, "192.0.2.1"
		})), Observed: seen(hosttest.Checkout(), net(present, present, present, absent))}},
		{"from ambassador to none", plan.Input{
			Want: hosttest.Checkout(hosttest.Without("proxy"), hosttest.Egress(spec.EgressNone)), Previous: hosttest.Checkout(), Observed: seen(hosttest.Checkout(), net(present, present, absent, present)),
		}},
		{"from none to ambassador", plan.Input{
			Want: hosttest.Checkout(), Observed: seen(hosttest.Checkout(hosttest.Without("proxy"), hosttest.Egress(spec.EgressNone)), net(present, present, absent, absent)),
		}},
		{"from direct to ambassador", plan.Input{
			Want: hosttest.Checkout(), Observed: seen(hosttest.Checkout(hosttest.Without("proxy"), hosttest.Egress(spec.EgressDirect)), net(present, present, absent, present)),
		}},
		{"none, and the link is still there", plan.Input{Want: hosttest.Sealed(), Observed: seen(hosttest.Sealed(), net(present, present, present, present))}},
		{"the rules were flushed under running containers", plan.Input{Want: hosttest.Checkout(), Observed: seen(hosttest.Checkout(), net(present, absent, absent, present))}},
		{"the rules were flushed and the app changed", plan.Input{Want: changedWeb, Observed: seen(hosttest.Checkout(), net(present, absent, absent, present))}},
		{"the pin is gone under running containers", plan.Input{Want: hosttest.Checkout(), Observed: seen(hosttest.Checkout(), net(absent, absent, absent, absent))}},
		{"the pin may be gone under running containers", plan.Input{Want: hosttest.Checkout(), Observed: seen(hosttest.Checkout(), net(unknown, absent, absent, absent))}},
		{"the app ended just now", plan.Input{Want: hosttest.Checkout(), Observed: seen(hosttest.Checkout(), task("web", host.TaskStopped, 1)), Records: waits}},
		{"the app ended and its wait is over", plan.Input{Want: hosttest.Checkout(), Observed: seen(hosttest.Checkout(), task("web", host.TaskStopped, 1))}},
		{"the ambassador ended", plan.Input{Want: hosttest.Checkout(), Observed: seen(hosttest.Checkout(), task("proxy", host.TaskStopped, 1))}},
		{"never is never", plan.Input{Want: once, Observed: seen(once, task("web", host.TaskStopped, 1))}},
		{"never, but its definition changed", plan.Input{Want: hosttest.Checkout(hosttest.EditContainer("web", hosttest.Policy(spec.RestartNever)), hosttest.EditContainer("web", hosttest.Command("/new"))), Observed: seen(once, task("web", host.TaskStopped, 0))}},
		{"on-failure, after success", plan.Input{Want: onFailure, Observed: seen(onFailure, task("web", host.TaskStopped, 0))}},
		{"on-failure, after failure", plan.Input{Want: onFailure, Observed: seen(onFailure, task("web", host.TaskStopped, 137))}},
		{"the app is to be restarted", plan.Input{Want: hosttest.Checkout(), Observed: running(hosttest.Checkout()), Restart: map[string]bool{"web": true}}},
		{"everything is to be restarted", plan.Input{Want: two, Observed: running(two), Restart: map[string]bool{"web": true, "api": true, "proxy": true, "shipper": true}}},
		{"restart of what waits", plan.Input{Want: hosttest.Checkout(), Observed: seen(hosttest.Checkout(), task("web", host.TaskStopped, 1)), Records: waits, Restart: map[string]bool{"web": true}}},
		{"containers unknown", plan.Input{Want: changedWeb, Observed: seen(hosttest.Checkout(), blind)}},
		{"containers unknown and rules gone", plan.Input{Want: changedWeb, Observed: seen(hosttest.Checkout(), blind, net(present, absent, absent, present))}},
		{"containers unknown and nothing pinned", plan.Input{Want: hosttest.Checkout(), Observed: seen(hosttest.Checkout(), blind, net(absent, absent, absent, absent))}},
		{"network unknown and the app changed", plan.Input{Want: changedWeb, Observed: seen(hosttest.Checkout(), net(unknown, unknown, unknown, unknown))}},
		{"network unknown and an app not wanted", plan.Input{Want: hosttest.Checkout(), Observed: seen(two, net(unknown, unknown, unknown, unknown))}},
		{"rules unknown and everything created", plan.Input{Want: hosttest.Checkout(), Observed: seen(hosttest.Checkout(), every(host.TaskCreated), net(present, present, unknown, present))}},
		{"link unknown and the app changed", plan.Input{Want: changedWeb, Observed: seen(hosttest.Checkout(), net(present, present, present, unknown))}},
		{"volumes unknown and the app changed", plan.Input{Want: changedWeb, Observed: seen(hosttest.Checkout(), noVolumes)}},
		{"the app's state unknown", plan.Input{Want: changedWeb, Observed: seen(hosttest.Checkout(), task("web", host.TaskUnknown))}},
		{"the ambassador's state unknown and the app changed", plan.Input{Want: changedWeb, Observed: seen(hosttest.Checkout(), task("proxy", host.TaskUnknown))}},
		{"gone: everything runs", plan.Input{Group: "checkout", Previous: two, Observed: running(two)}},
		{"gone: definition unknown", plan.Input{Group: "checkout", Observed: running(hosttest.Checkout())}},
		{"gone: a container without labels", plan.Input{Group: "checkout", Observed: seen(hosttest.Checkout(), func(o *plan.Observed) { o.Containers[0].Role = "" })}},
		{"gone: already stopped", plan.Input{Group: "checkout", Observed: seen(hosttest.Checkout(), every(host.TaskStopped))}},
		{"gone: containers unknown", plan.Input{Group: "checkout", Observed: seen(hosttest.Checkout(), blind)}},
		{"gone: one state unknown", plan.Input{Group: "checkout", Observed: seen(hosttest.Checkout(), task("web", host.TaskUnknown))}},
		{"gone: volumes unknown", plan.Input{Group: "checkout", Observed: seen(hosttest.Checkout(), noVolumes)}},
		{"gone: network unknown", plan.Input{Group: "checkout", Observed: seen(hosttest.Checkout(), net(unknown, unknown, unknown, unknown))}},
		{"gone: half a namespace is left", plan.Input{Group: "checkout", Observed: plan.Observed{Net: host.NetState{Pinned: present, Namespace: absent, Rules: absent, Link: absent}}}},
		{"gone: nothing is left", plan.Input{Group: "checkout", Observed: plan.Nothing()}},
	}
	var got strings.Builder
	names := map[string]bool{}
	for _, tt := range tests {
		if names[tt.name] {
			t.Fatalf("two cases are called %q", tt.name)
		}
		names[tt.name] = true
		tt.in.Now, tt.in.Layout = noon, fixedLayout
		fmt.Fprintf(&got, "# %s\n", tt.name)
		for _, s := range plan.Texts(plan.Steps(tt.in)) {
			got.WriteString(s + "\n")
		}
		got.WriteString("\n")
	}
	golden(t, "plan.golden", got.String())
}

func blindToAll(o *plan.Observed) { o.Containers, o.Volumes = nil, nil }

func noVolumes(o *plan.Observed) { o.Volumes, o.VolumesErr = nil, errBlind }

func rename(from, to string) func(*spec.Group) {
	return func(g *spec.Group) {
		for i := range g.Volumes {
			if g.Volumes[i].Name == from {
				g.Volumes[i].Name = to
			}
		}
		for i := range g.Containers {
			for j := range g.Containers[i].Mounts {
				g.Containers[i].Mounts[j].Volume = to
			}
		}
	}
}

// A new field of spec.Door fails here until a step names it, or until it is on the list of fields
// that no step of the group's network needs, since they concern the ambassador alone.
func TestStepsHaveEveryFieldOfTheDoor(t *testing.T) {
	inNoStep := []string{"Upstreams", "Unsafe"}
	steps := func(g *spec.Group) []string {
		return plan.Texts(plan.Steps(plan.Input{Want: g, AssumeReady: true, Observed: plan.Nothing(), Layout: fixedLayout}))
	}
	full := steps(hosttest.Checkout(hosttest.FullDoor))
	for f := range reflect.TypeFor[spec.Door]().Fields() {
		t.Run(f.Name, func(t *testing.T) {
			without := steps(hosttest.Checkout(hosttest.FullDoor, func(g *spec.Group) {
				reflect.ValueOf(&g.Ambassador().Door).Elem().FieldByIndex(f.Index).SetZero()
			}))
			if got, want := cmp.Equal(full, without), slices.Contains(inNoStep, f.Name); got != want {
				t.Errorf("it is in no step: %t, want %t", got, want)
			}
		})
	}
}

func TestNext(t *testing.T) {
	g := hosttest.Checkout()
	h := restart.Records{
		"web":     {Ended: true, Next: noon.Add(3 * time.Second)},
		"shipper": {Ended: true, Next: noon.Add(2 * time.Second)},
	}
	both := seen(g, task("web", host.TaskStopped, 1), task("shipper", host.TaskStopped, 1))
	never := hosttest.Checkout(hosttest.EditContainer("shipper", hosttest.Policy(spec.RestartNever)))
	for _, tt := range []struct {
		name string
		in   plan.Input
		want time.Time
	}{
		{"nothing waits", plan.Input{Want: g, Observed: running(g), Records: h}, time.Time{}},
		{"the earliest", plan.Input{Want: g, Observed: both, Records: h}, noon.Add(2 * time.Second)},
		{"what is never started does not count", plan.Input{Want: never, Observed: both, Records: h}, noon.Add(3 * time.Second)},
		{"not wanted", plan.Input{Group: "checkout", Observed: both, Records: h}, time.Time{}},
	} {
		tt.in.Now = noon
		if got := plan.Next(tt.in); !got.Equal(tt.want) {
			t.Errorf("%s: next plan at %v, want %v", tt.name, got, tt.want)
		}
	}
}

// golden compares got with a file of testdata, or rewrites the file.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}
