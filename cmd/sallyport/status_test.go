package main

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

func TestWriteGroup(t *testing.T) {
	for _, c := range []struct {
		name  string
		group group.Status
		want  string
	}{
		{"everything", checkout, `
checkout is running, for 5m
  file        /etc/sallyport/groups.d/checkout.hcl
  generation  3, 0a1b2c3d4e5f
  egress      ambassador: only the ambassador reaches the world
  address     10.209.0.1
  address     fd5a:11e0:9027::1
  publish     *:8443 -> 443/tcp (http)
  publish     [::1]:9000 -> 9000/tcp (admin)
  label       env=prod
  label       team=till

  CONTAINER  ROLE        TASK     READY  PID   UP  RESTARTS  LAST EXIT    IMAGE
  proxy      ambassador  running  yes    4711  5m  0         -            haproxy:2.9
  web        app         stopped  -      -     -   3         137/SIGKILL  checkout:1
    starts again in 4s
`},
		{"in a crash loop", group.Status{
			Name: "b", State: group.Degraded, Egress: spec.EgressNone, Error: "web (app) ended with status 137 (SIGKILL, out of memory)",
			Hint: "see its log", Waiting: "waits for web (app) to be ready: it ended with status 137 (SIGKILL, out of memory)",
			Containers: []group.ContainerStatus{
				{Name: "store", Role: spec.Sidecar, Image: "store:1", Task: host.TaskRunning, Waiting: "is not ready: its ready probe has not answered yet"},
				{
					Name: "web", Role: spec.App, Image: "web:1", Task: host.TaskStopped, Restarts: 4, EndsInARow: 5, ExitStatus: new(uint32(137)), Signal: "SIGKILL",
					OOMKilled: true, NextStart: now.Add(4 * time.Second), LastOutput: []string{"reading everything", "", "allocating"},
				},
			},
		}, `
b is degraded
  error       web (app) ended with status 137 (SIGKILL, out of memory)
  hint        see its log
  generation  0, -
  egress      none: no container reaches the world

  CONTAINER  ROLE     TASK     READY  PID  UP  RESTARTS  LAST EXIT    IMAGE
  store      sidecar  running  no     -    -   0         -            store:1
    is not ready: its ready probe has not answered yet
  web        app      stopped  -      -    -   4         137/SIGKILL  web:1
    ran out of memory: raise its memory limit, or make it use less
    has ended 5 times in a row
    starts again in 4s
    | reading everything
    |
    | allocating
`},
		{"with bounds on disk", group.Status{
			Name: "b", State: group.Running, Egress: spec.EgressNone,
			Bounds: []host.Bound{{Container: "web", Size: 8 << 20, Used: 2 << 20, Hard: true}, {Volume: "data", Size: 8 << 20, Used: 8 << 20, Soft: "its xfs is mounted without prjquota"}},
		}, `
b is running
  generation  0, -
  egress      none: no container reaches the world
  bound       disk of web: 2MiB of 8MiB (25 %), hard
  bound       volume data: 8MiB of 8MiB (100 %), soft: its xfs is mounted without prjquota

  CONTAINER  ROLE  TASK  READY  PID  UP  RESTARTS  LAST EXIT  IMAGE
`},
		{"waiting, the reason shown once", group.Status{
			Name: "b", State: group.Starting, Egress: spec.EgressNone, Hint: "see its log",
			Waiting: "waits for proxy (ambassador) to be ready: its ready probe failed: status 503: the database is away",
			Containers: []group.ContainerStatus{
				{Name: "proxy", Role: spec.Ambassador, Image: "proxy:1", Task: host.TaskRunning, Waiting: "is not ready: its ready probe failed: status 503: the database is away"},
				{Name: "web", Role: spec.App, Image: "web:1", Task: host.TaskCreated, Waiting: "waits for proxy (ambassador) to be ready: its ready probe failed: status 503: the database is away"},
				{Name: "side", Role: spec.Sidecar, Image: "side:1", Task: host.TaskCreated, Waiting: "waits for web (app) to be ready"},
			},
		}, `
b is starting
  waits       for proxy (ambassador) to be ready: its ready probe failed: status 503: the database is away
  hint        see its log
  generation  0, -
  egress      none: no container reaches the world

  CONTAINER  ROLE        TASK     READY  PID  UP  RESTARTS  LAST EXIT  IMAGE
  proxy      ambassador  running  no     -    -   0         -          proxy:1
    is not ready
  web        app         created  -      -    -   0         -          web:1
    waits for proxy (ambassador) to be ready
  side       sidecar     created  -      -    -   0         -          side:1
    waits for web (app) to be ready
`},
		{"every setting of the door", group.Status{
			Name: "c", State: group.Running, Egress: spec.EgressAmbassador, DNS: spec.DNSAmbassador,
			Door:       spec.Door{Intercept: 15001, Rate: spec.Rate{Out: 512_000, In: 2_000_000}, Quota: 5 << 30},
			Unsafe:     []string{"proxy (ambassador) has NET_ADMIN: it can change the group's rules; what keeps members in is the fence alone"},
			Containers: []group.ContainerStatus{{Name: "proxy", Role: spec.Ambassador, Task: host.TaskRunning, Image: "proxy:1"}},
		}, `
c is running
  generation  0, -
  egress      ambassador: only the ambassador reaches the world
  dns         members' questions for names go to proxy
  intercept   members' TCP is led to port 15001 of proxy
  rate        at most 512kbit out, 2Mbit in
  quota       5GiB both ways together
  unsafe      proxy (ambassador) has NET_ADMIN: it can change the group's rules; what keeps members in is the fence alone

  CONTAINER  ROLE        TASK     READY  PID  UP  RESTARTS  LAST EXIT  IMAGE
  proxy      ambassador  running  no     -    -   0         -          proxy:1
`},
		{"an ambassador that calls nowhere", group.Status{Name: "c", State: group.Running, Egress: spec.EgressAmbassador, CallsNowhere: true}, `
c is running
  generation  0, -
  egress      ambassador: only the ambassador is reached, and it calls nowhere

  CONTAINER  ROLE  TASK  READY  PID  UP  RESTARTS  LAST EXIT  IMAGE
`},
		{"on trial", group.Status{
			Name: "c", State: group.Starting, Egress: spec.EgressNone, Generation: 2, Digest: "0a1b2c3d4e5f6a7b",
			Waiting: "waits for web (app) to be ready", TrialEnds: now.Add(90 * time.Second),
		}, `
c is starting
  waits       for web (app) to be ready
  generation  2, 0a1b2c3d4e5f
  trial       has to be ready within 1m30s
  egress      none: no container reaches the world

  CONTAINER  ROLE  TASK  READY  PID  UP  RESTARTS  LAST EXIT  IMAGE
`},
		{"a job with a timeout", group.Status{
			Name: "j", State: group.Running, Egress: spec.EgressNone, Generation: 2, Digest: "0a1b2c3d4e5f6a7b", RunEnds: now.Add(90 * time.Second),
		}, `
j is running
  generation  2, 0a1b2c3d4e5f
  timeout     ends in 1m30s
  egress      none: no container reaches the world

  CONTAINER  ROLE  TASK  READY  PID  UP  RESTARTS  LAST EXIT  IMAGE
`},
		{"in trouble", group.Status{Name: "b", State: group.Pending, Egress: spec.EgressDirect, Error: "no such image: x", Hint: "look"}, `
b is pending
  error       no such image: x
  hint        look
  generation  0, -
  egress      direct: EVERY container reaches the world

  CONTAINER  ROLE  TASK  READY  PID  UP  RESTARTS  LAST EXIT  IMAGE
`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out strings.Builder
			if err := writeGroup(&out, c.group, now); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.TrimPrefix(c.want, "\n"), out.String()); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// A field that is added to spec.Door and that a status has is printed.
func TestWriteGroupHasTheDoor(t *testing.T) {
	full := spec.Door{
		Upstreams: []spec.Upstream{{Name: "api", Listen: 9001}}, Allow: []spec.Allow{{Prefix: "192.0.2.1/32", Protocol: "tcp"}},
		Publish:   []spec.Publish{{Name: "http", Host: 8443, Port: 443, Protocol: "tcp"}},
		Intercept: 15001, Rate: spec.Rate{Out: 2_000_000}, Quota: 5 << 30,
		Unsafe: spec.Unsafe{Capabilities: []string{"NET_RAW"}}, PingGroups: "0 0",
	}
	written := func(d spec.Door) string {
		var out strings.Builder
		if err := writeGroup(&out, group.Status{Name: "g", Door: d}, now); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	for f := range reflect.TypeFor[spec.Door]().Fields() {
		if reflect.ValueOf(full).FieldByIndex(f.Index).IsZero() {
			t.Errorf("%s: this test's door has no such thing", f.Name)
		}
		without := full.Shown()
		v := reflect.ValueOf(&without).Elem().FieldByIndex(f.Index)
		if v.IsZero() {
			continue // a status does not have it
		}
		v.SetZero()
		if written(without) == written(full.Shown()) {
			t.Errorf("%s is not printed", f.Name)
		}
	}
}
