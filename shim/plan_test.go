package shim_test

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

	"github.com/sallyport/sallyport/shim"
	"github.com/sallyport/sallyport/shim/shimtest"
	"github.com/sallyport/sallyport/spec"
)

var update = flag.Bool("update", false, "rewrite the goldens")

var noon = shimtest.Noon

// fixedLayout is for tests that make no file.
var fixedLayout = shim.Layout{CgroupRoot: "/sallyport"}

// running is what a host has on which the group is as it says.
func running(g *spec.Group) shim.Observed {
	o := shim.Observed{Net: shim.NetState{Pinned: shim.Present, Namespace: shim.Present, Rules: shim.Present, Link: shim.Present}}
	if g.Egress == spec.EgressNone {
		o.Net.Link = shim.Absent
	}
	o.Volumes = slices.Clone(g.Volumes)
	for i, c := range g.Containers {
		o.Containers = append(o.Containers, shim.ContainerState{
			Group: g.Name, Name: c.Name, Role: c.Role, Digest: c.Digest, ImageDigest: "sha256:" + c.Image,
			Task: shim.TaskRunning, PID: uint32(100 + i), StartedAt: noon.Add(-time.Hour),
		})
	}
	return o
}

// seen is running with changes.
func seen(g *spec.Group, edits ...func(*shim.Observed)) shim.Observed {
	o := running(g)
	for _, edit := range edits {
		edit(&o)
	}
	return o
}

func task(name string, t shim.TaskState, status ...uint32) func(*shim.Observed) {
	return func(o *shim.Observed) {
		i := slices.IndexFunc(o.Containers, func(c shim.ContainerState) bool { return c.Name == name })
		c := &o.Containers[i]
		c.Task, c.PID = t, 0
		if t == shim.TaskStopped {
			c.ExitedAt, c.ExitStatus = noon.Add(-500*time.Millisecond), status[0]
		}
	}
}

func every(t shim.TaskState) func(*shim.Observed) {
	return func(o *shim.Observed) {
		for i := range o.Containers {
			o.Containers[i].Task = t
		}
	}
}

func lacks(name string) func(*shim.Observed) {
	return func(o *shim.Observed) {
		o.Containers = slices.DeleteFunc(o.Containers, func(c shim.ContainerState) bool { return c.Name == name })
	}
}

func net(pinned, namespace, rules, link shim.Presence) func(*shim.Observed) {
	return func(o *shim.Observed) {
		o.Net = shim.NetState{Pinned: pinned, Namespace: namespace, Rules: rules, Link: link}
	}
}

const (
	unknown = shim.Unknown
	absent  = shim.Absent
	present = shim.Present
)

var errBlind = errors.New("containerd does not answer")

func blind(o *shim.Observed)    { o.Containers, o.ContainersErr = nil, errBlind }
func noMounts(o *shim.Observed) { o.Volumes = nil }

func TestPlan(t *testing.T) {
	changedWeb := shimtest.Checkout(shimtest.EditContainer("web", shimtest.Command("/bin/new")))
	changedProxy := shimtest.Checkout(shimtest.EditContainer("proxy", shimtest.Command("/bin/new")))
	once := shimtest.Checkout(shimtest.EditContainer("web", shimtest.Policy(spec.RestartNever)))
	onFailure := shimtest.Checkout(shimtest.EditContainer("web", shimtest.Policy(spec.RestartOnFailure)))
	bigger := shimtest.Checkout(func(g *spec.Group) { g.Volumes[0].Size = 128 << 20 })
	two := shimtest.Checkout(shimtest.AddApp("api", 5))
	waits := shim.History{"web": {Digest: shimtest.Checkout().Container("web").Digest, Ended: true, Next: noon.Add(time.Second)}}

	tests := []struct {
		name string
		in   shim.PlanInput
	}{
		{"nothing is there", shim.PlanInput{Want: shimtest.Checkout(), Observed: shim.Nothing()}},
		{"nothing is there, sealed", shim.PlanInput{Want: shimtest.Sealed(), Observed: shim.Nothing()}},
		{"nothing is there, direct", shim.PlanInput{Want: shimtest.Checkout(shimtest.Without("proxy"), shimtest.Egress(spec.EgressDirect)), Observed: shim.Nothing()}},
		{"nothing is there, and all acts on the door", shim.PlanInput{Want: shimtest.Checkout(shimtest.EveryDoor), Observed: shim.Nothing()}},
		{"the limits of the door changed", shim.PlanInput{Want: shimtest.Checkout(shimtest.EveryLimit), Observed: seen(shimtest.Checkout(), net(present, present, absent, absent))}},
		{"all is as wanted", shim.PlanInput{Want: shimtest.Checkout(), Observed: running(shimtest.Checkout())}},
		{"sealed is as wanted", shim.PlanInput{Want: shimtest.Sealed(), Observed: running(shimtest.Sealed())}},
		{"a keeper died after the pin", shim.PlanInput{Want: shimtest.Checkout(), Observed: seen(shimtest.Checkout(), blindToAll, net(present, absent, absent, absent))}},
		{"a keeper died after the rules", shim.PlanInput{Want: shimtest.Checkout(), Observed: seen(shimtest.Checkout(), blindToAll, net(present, present, present, absent))}},
		{"a keeper died after the creates", shim.PlanInput{Want: shimtest.Checkout(), Observed: seen(shimtest.Checkout(), every(shim.TaskCreated))}},
		{"a keeper died among the creates", shim.PlanInput{Want: shimtest.Checkout(), Observed: seen(shimtest.Checkout(), every(shim.TaskCreated), lacks("web"))}},
		{"a keeper died among the starts", shim.PlanInput{Want: shimtest.Checkout(), Observed: seen(shimtest.Checkout(), task("web", shim.TaskCreated))}},
		{"after a boot", shim.PlanInput{Want: shimtest.Checkout(), Observed: seen(shimtest.Checkout(), every(shim.TaskNone), net(absent, absent, absent, absent), noMounts)}},
		{"the app's definition changed", shim.PlanInput{Want: changedWeb, Observed: running(shimtest.Checkout())}},
		{"the ambassador's definition changed", shim.PlanInput{Want: changedProxy, Observed: running(shimtest.Checkout())}},
		{"the app's image moved", shim.PlanInput{
			Want: shimtest.Checkout(), Observed: running(shimtest.Checkout()), Pins: shim.ImageDigests{"web:1": "sha256:other"},
		}},
		{"the volume grew", shim.PlanInput{Want: bigger, Observed: running(shimtest.Checkout())}},
		{"a volume came and went", shim.PlanInput{Want: shimtest.Checkout(rename("logs", "spool")), Observed: running(shimtest.Checkout())}},
		{"a created container is outdated", shim.PlanInput{Want: changedWeb, Observed: seen(shimtest.Checkout(), task("web", shim.TaskCreated))}},
		{"an app is not wanted any more", shim.PlanInput{Want: shimtest.Checkout(), Was: two, Observed: running(two)}},
		{"an app is new", shim.PlanInput{Want: two, Observed: running(shimtest.Checkout())}},
		{"the policy changed", shim.PlanInput{
			Want:     shimtest.Checkout(shimtest.Allow(spec.Allow{Prefix: "203.0.113.0/24", Port: 443, Protocol: "tcp"}, spec.Allow{Prefix: "2001:db8::/32", Protocol: "udp"})),
			Observed: seen(shimtest.Checkout(), net(present, present, absent, present)),
		}},
		{"the ambassador may reach nothing", shim.PlanInput{
			Want: shimtest.Checkout(func(g *spec.Group) { g.Container("proxy").Allow = []spec.Allow{} }), Observed: seen(shimtest.Checkout(), net(present, present, absent, present)),
		}},
		{"the published port changed", shim.PlanInput{Want: shimtest.Checkout(shimtest.EditContainer("proxy", func(c *spec.Container) {
			c.Publish[0].Host, c.Publish[0].Address = 9443, "192.0.2.1"
		})), Observed: seen(shimtest.Checkout(), net(present, present, present, absent))}},
		{"from ambassador to none", shim.PlanInput{
			Want: shimtest.Checkout(shimtest.Without("proxy"), shimtest.Egress(spec.EgressNone)), Was: shimtest.Checkout(), Observed: seen(shimtest.Checkout(), net(present, present, absent, present)),
		}},
		{"from none to ambassador", shim.PlanInput{
			Want: shimtest.Checkout(), Observed: seen(shimtest.Checkout(shimtest.Without("proxy"), shimtest.Egress(spec.EgressNone)), net(present, present, absent, absent)),
		}},
		{"from direct to ambassador", shim.PlanInput{
			Want: shimtest.Checkout(), Observed: seen(shimtest.Checkout(shimtest.Without("proxy"), shimtest.Egress(spec.EgressDirect)), net(present, present, absent, present)),
		}},
		{"none, and the link is still there", shim.PlanInput{Want: shimtest.Sealed(), Observed: seen(shimtest.Sealed(), net(present, present, present, present))}},
		{"the rules were flushed under running containers", shim.PlanInput{Want: shimtest.Checkout(), Observed: seen(shimtest.Checkout(), net(present, absent, absent, present))}},
		{"the rules were flushed and the app changed", shim.PlanInput{Want: changedWeb, Observed: seen(shimtest.Checkout(), net(present, absent, absent, present))}},
		{"the pin is gone under running containers", shim.PlanInput{Want: shimtest.Checkout(), Observed: seen(shimtest.Checkout(), net(absent, absent, absent, absent))}},
		{"the pin may be gone under running containers", shim.PlanInput{Want: shimtest.Checkout(), Observed: seen(shimtest.Checkout(), net(unknown, absent, absent, absent))}},
		{"the app ended just now", shim.PlanInput{Want: shimtest.Checkout(), Observed: seen(shimtest.Checkout(), task("web", shim.TaskStopped, 1)), History: waits}},
		{"the app ended and its wait is over", shim.PlanInput{Want: shimtest.Checkout(), Observed: seen(shimtest.Checkout(), task("web", shim.TaskStopped, 1))}},
		{"the ambassador ended", shim.PlanInput{Want: shimtest.Checkout(), Observed: seen(shimtest.Checkout(), task("proxy", shim.TaskStopped, 1))}},
		{"never is never", shim.PlanInput{Want: once, Observed: seen(once, task("web", shim.TaskStopped, 1))}},
		{"never, but its definition changed", shim.PlanInput{Want: shimtest.Checkout(shimtest.EditContainer("web", shimtest.Policy(spec.RestartNever)), shimtest.EditContainer("web", shimtest.Command("/new"))), Observed: seen(once, task("web", shim.TaskStopped, 0))}},
		{"on-failure, after success", shim.PlanInput{Want: onFailure, Observed: seen(onFailure, task("web", shim.TaskStopped, 0))}},
		{"on-failure, after failure", shim.PlanInput{Want: onFailure, Observed: seen(onFailure, task("web", shim.TaskStopped, 137))}},
		{"the app is to be restarted", shim.PlanInput{Want: shimtest.Checkout(), Observed: running(shimtest.Checkout()), Restart: map[string]bool{"web": true}}},
		{"everything is to be restarted", shim.PlanInput{Want: two, Observed: running(two), Restart: map[string]bool{"web": true, "api": true, "proxy": true, "shipper": true}}},
		{"restart of what waits", shim.PlanInput{Want: shimtest.Checkout(), Observed: seen(shimtest.Checkout(), task("web", shim.TaskStopped, 1)), History: waits, Restart: map[string]bool{"web": true}}},
		{"containers unknown", shim.PlanInput{Want: changedWeb, Observed: seen(shimtest.Checkout(), blind)}},
		{"containers unknown and rules gone", shim.PlanInput{Want: changedWeb, Observed: seen(shimtest.Checkout(), blind, net(present, absent, absent, present))}},
		{"containers unknown and nothing pinned", shim.PlanInput{Want: shimtest.Checkout(), Observed: seen(shimtest.Checkout(), blind, net(absent, absent, absent, absent))}},
		{"network unknown and the app changed", shim.PlanInput{Want: changedWeb, Observed: seen(shimtest.Checkout(), net(unknown, unknown, unknown, unknown))}},
		{"network unknown and an app not wanted", shim.PlanInput{Want: shimtest.Checkout(), Observed: seen(two, net(unknown, unknown, unknown, unknown))}},
		{"rules unknown and everything created", shim.PlanInput{Want: shimtest.Checkout(), Observed: seen(shimtest.Checkout(), every(shim.TaskCreated), net(present, present, unknown, present))}},
		{"link unknown and the app changed", shim.PlanInput{Want: changedWeb, Observed: seen(shimtest.Checkout(), net(present, present, present, unknown))}},
		{"volumes unknown and the app changed", shim.PlanInput{Want: changedWeb, Observed: seen(shimtest.Checkout(), noVolumes)}},
		{"the app's state unknown", shim.PlanInput{Want: changedWeb, Observed: seen(shimtest.Checkout(), task("web", shim.TaskUnknown))}},
		{"the ambassador's state unknown and the app changed", shim.PlanInput{Want: changedWeb, Observed: seen(shimtest.Checkout(), task("proxy", shim.TaskUnknown))}},
		{"gone: everything runs", shim.PlanInput{Group: "checkout", Was: two, Observed: running(two)}},
		{"gone: definition unknown", shim.PlanInput{Group: "checkout", Observed: running(shimtest.Checkout())}},
		{"gone: a container without labels", shim.PlanInput{Group: "checkout", Observed: seen(shimtest.Checkout(), func(o *shim.Observed) { o.Containers[0].Role = "" })}},
		{"gone: already stopped", shim.PlanInput{Group: "checkout", Observed: seen(shimtest.Checkout(), every(shim.TaskStopped))}},
		{"gone: containers unknown", shim.PlanInput{Group: "checkout", Observed: seen(shimtest.Checkout(), blind)}},
		{"gone: one state unknown", shim.PlanInput{Group: "checkout", Observed: seen(shimtest.Checkout(), task("web", shim.TaskUnknown))}},
		{"gone: volumes unknown", shim.PlanInput{Group: "checkout", Observed: seen(shimtest.Checkout(), noVolumes)}},
		{"gone: network unknown", shim.PlanInput{Group: "checkout", Observed: seen(shimtest.Checkout(), net(unknown, unknown, unknown, unknown))}},
		{"gone: half a namespace is left", shim.PlanInput{Group: "checkout", Observed: shim.Observed{Net: shim.NetState{Pinned: present, Namespace: absent, Rules: absent, Link: absent}}}},
		{"gone: nothing is left", shim.PlanInput{Group: "checkout", Observed: shim.Nothing()}},
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
		for _, s := range shim.Texts(shim.Plan(tt.in)) {
			got.WriteString(s + "\n")
		}
		got.WriteString("\n")
	}
	golden(t, "plan.golden", got.String())
}

func blindToAll(o *shim.Observed) { o.Containers, o.Volumes = nil, nil }

func noVolumes(o *shim.Observed) { o.Volumes, o.VolumesErr = nil, errBlind }

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

// A field that is added to spec.Door fails here until a step names it, or it is on the list of those that act on the
// ambassador alone: no step of the group's network is about them.
func TestStepsHaveEveryFieldOfTheDoor(t *testing.T) {
	inNoStep := []string{"Upstreams", "Unsafe"}
	steps := func(g *spec.Group) []string {
		return shim.Texts(shim.Plan(shim.PlanInput{Want: g, Assume: true, Observed: shim.Nothing(), Layout: fixedLayout}))
	}
	full := steps(shimtest.Checkout(shimtest.FullDoor))
	for f := range reflect.TypeFor[spec.Door]().Fields() {
		t.Run(f.Name, func(t *testing.T) {
			without := steps(shimtest.Checkout(shimtest.FullDoor, func(g *spec.Group) {
				reflect.ValueOf(&g.Ambassador().Door).Elem().FieldByIndex(f.Index).SetZero()
			}))
			if got, want := cmp.Equal(full, without), slices.Contains(inNoStep, f.Name); got != want {
				t.Errorf("it is in no step: %t, want %t", got, want)
			}
		})
	}
}

func TestNext(t *testing.T) {
	g := shimtest.Checkout()
	h := shim.History{
		"web":     {Ended: true, Next: noon.Add(3 * time.Second)},
		"shipper": {Ended: true, Next: noon.Add(2 * time.Second)},
	}
	both := seen(g, task("web", shim.TaskStopped, 1), task("shipper", shim.TaskStopped, 1))
	never := shimtest.Checkout(shimtest.EditContainer("shipper", shimtest.Policy(spec.RestartNever)))
	for _, tt := range []struct {
		name string
		in   shim.PlanInput
		want time.Time
	}{
		{"nothing waits", shim.PlanInput{Want: g, Observed: running(g), History: h}, time.Time{}},
		{"the earliest", shim.PlanInput{Want: g, Observed: both, History: h}, noon.Add(2 * time.Second)},
		{"what is never started does not count", shim.PlanInput{Want: never, Observed: both, History: h}, noon.Add(3 * time.Second)},
		{"not wanted", shim.PlanInput{Group: "checkout", Observed: both, History: h}, time.Time{}},
	} {
		tt.in.Now = noon
		if got := shim.Next(tt.in); !got.Equal(tt.want) {
			t.Errorf("%s: next look at %v, want %v", tt.name, got, tt.want)
		}
	}
}

// golden compares with a file of testdata, or rewrites it.
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
