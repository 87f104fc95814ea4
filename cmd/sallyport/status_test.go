package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim"
	"github.com/sallyport/sallyport/spec"
)

func TestWriteGroup(t *testing.T) {
	for _, c := range []struct {
		name  string
		group shim.GroupStatus
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

  CONTAINER  ROLE        TASK     PID   UP  RESTARTS  LAST EXIT  IMAGE
  proxy      ambassador  running  4711  5m  0         -          haproxy:2.9
  web        app         stopped  -     -   3         137        checkout:1
    starts again in 4s
`},
		{"in trouble", shim.GroupStatus{Name: "b", State: shim.Pending, Egress: spec.EgressDirect, Error: "no such image: x", Hint: "look"}, `
b is pending
  error       no such image: x
  hint        look
  generation  0, -
  egress      direct: EVERY container reaches the world

  CONTAINER  ROLE  TASK  PID  UP  RESTARTS  LAST EXIT  IMAGE
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
