package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func before(d time.Duration) time.Time { return now.Add(-d) }

var checkout = group.Status{
	Name: "checkout", State: group.Running, Egress: spec.EgressAmbassador, File: "/etc/sallyport/groups.d/checkout.hcl",
	Generation: 3, Digest: "0a1b2c3d4e5f6a7b", Addrs: []string{"10.209.0.1", "fd5a:11e0:9027::1"}, Since: before(5 * time.Minute),
	Door: spec.Door{Publish: []spec.Publish{
		{Name: "http", Host: 8443, Port: 443, Protocol: "tcp"},
		{Name: "admin", Address: "::1", Host: 9000, Port: 9000, Protocol: "tcp"},
	}},
	Labels: map[string]string{"team": "till", "env": "prod"},
	Containers: []group.ContainerStatus{
		{Name: "proxy", Role: spec.Ambassador, Image: "haproxy:2.9", Task: host.TaskRunning, Ready: true, PID: 4711, StartedAt: before(5 * time.Minute)},
		{Name: "web", Role: spec.App, Image: "checkout:1", Task: host.TaskStopped, Restarts: 3, ExitStatus: new(uint32(137)), Signal: "SIGKILL", NextStart: now.Add(4 * time.Second)},
	},
}

var broken = group.Status{
	Name: "b", State: group.Pending, Egress: spec.EgressNone, Since: before(time.Second),
	Error: "image \"x\": not found\nat all", Hint: "look at its name",
}

func TestWriteGroups(t *testing.T) {
	for _, c := range []struct {
		name   string
		width  int
		groups []group.Status
		want   string
	}{
		{"none", 0, nil, `
GROUP  STATE  EGRESS  CONTAINERS  ADDRESS  FOR  PORTS
`},
		{"not ready yet", 0, []group.Status{{
			Name: "b", State: group.Starting, Egress: spec.EgressAmbassador, Since: before(time.Second),
			Waiting: "waits for proxy (ambassador) to be ready: its ready probe failed: tcp 127.0.0.1:9001: connection refused",
			Hint:    `see "sallyport logs b.proxy"`,
		}}, `
GROUP  STATE     EGRESS      CONTAINERS  ADDRESS  FOR  PORTS
b      starting  ambassador  0/0         -        1s   -
  waits: for proxy (ambassador) to be ready: its ready probe failed: tcp 127.0.0.1:9001: connection refused
  hint: see "sallyport logs b.proxy"
`},
		{"a note leaves the columns aligned", 0, []group.Status{broken, checkout}, `
GROUP     STATE    EGRESS      CONTAINERS  ADDRESS                       FOR  PORTS
b         pending  none        0/0         -                             1s   -
  error: image "x": not found; at all
  hint: look at its name
checkout  running  ambassador  1/2         10.209.0.1,fd5a:11e0:9027::1  5m   8443->443/tcp,[::1]:9000->9000/tcp
`},
		{"room for everything", 120, []group.Status{checkout}, `
GROUP     STATE    EGRESS      CONTAINERS  ADDRESS                       FOR  PORTS
checkout  running  ambassador  1/2         10.209.0.1,fd5a:11e0:9027::1  5m   8443->443/tcp,[::1]:9000->9000/tcp
`},
		{"80 columns", 80, []group.Status{broken, checkout}, `
GROUP     STATE    EGRESS      CONTAINERS  FOR  PORTS
b         pending  none        0/0         1s   -
  error: image "x": not found; at all
  hint: look at its name
checkout  running  ambassador  1/2         5m   8443->443/tcp,+1
`},
		{"40 columns", 40, []group.Status{broken, checkout}, `
GROUP     STATE    FOR  PORTS
b         pending  1s   -
  error: image "x": not found; at all
  hint: look at its name
checkout  running  5m   8443->443/tcp,+1
`},
		{"20 columns", 20, []group.Status{broken, checkout}, `
GROUP     STATE
b         pending
  error: image "x":
    not found; at
    all
  hint: look at its
    name
checkout  running
`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out strings.Builder
			if err := writeGroups(&visibleWriter{w: &out, screen: screen{width: c.width}}, c.groups, now); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.TrimPrefix(c.want, "\n"), out.String()); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestNamed(t *testing.T) {
	all := []group.Status{{Name: "a"}, {Name: "b"}, {Name: "c"}}
	for _, c := range []struct{ names, groups, unknown string }{
		{"", "a b c", ""},
		{"c a", "a c", ""},
		{"x b x y b", "b", "x y"},
	} {
		groups, unknown := named(all, strings.Fields(c.names))
		var got []string
		for _, g := range groups {
			got = append(got, g.Name)
		}
		if strings.Join(got, " ") != c.groups || strings.Join(unknown, " ") != c.unknown {
			t.Errorf("%q: groups %q, unknown %q", c.names, got, unknown)
		}
	}
}
