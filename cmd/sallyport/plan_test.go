package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/group"
)

func TestWritePreviews(t *testing.T) {
	previews := []group.Preview{
		{Group: "a"},
		{Group: "job", Ended: "it has completed; \"sallyport start job\" runs it again"},
		{Group: "b", Error: "containerd does\nnot answer"},
		{Group: "c", Steps: []string{"restart web (app): image"}, Replaces: []string{"web (app): changed: env, image"}, Opens: []string{"proxy may reach 203.0.113.0/24:443/tcp"}, Closes: []string{"port 80"}},
		{Group: "live", Changes: []string{"web (app): output, stop"}},
		{Group: "noted", Steps: []string{"start web (app)"}, Image: []string{"web (app): its EXPOSE 80/tcp opens nothing"},
			Publish: []string{`publish "far": this host has no address 192.0.2.77; the port is reached as soon as there is one`}},
		{Group: "d", Opens: []string{"x"}},
		{Group: "e", Unsafe: []string{"proxy (ambassador) has NET_RAW: y"}},
		{Group: "f", Opens: []string{"unsafe: proxy (ambassador) has NET_RAW: y"}, Unsafe: []string{"proxy (ambassador) has NET_RAW: y"}},
	}
	const want = `a: nothing to do
job: nothing to do: it has completed; "sallyport --root /srv/two start job" runs it again
b: the plan may be incomplete: containerd does; not answer
c: 1 step
    restart web (app): image
  ~ replaces web (app): changed: env, image
  + opens   proxy may reach 203.0.113.0/24:443/tcp
  - closes  port 80
live: 0 steps
  ~ changes  web (app): output, stop
noted: 1 step
    start web (app)
  . image   web (app): its EXPOSE 80/tcp opens nothing
  . port    publish "far": this host has no address 192.0.2.77; the port is reached as soon as there is one
d: 0 steps
  + opens   x
e: nothing to do
  ! stays   unsafe: proxy (ambassador) has NET_RAW: y
f: 0 steps
  + opens   unsafe: proxy (ambassador) has NET_RAW: y
`
	var out strings.Builder
	again := newRetyper(newParser(&cli{}).Model, &instance{Root: "/srv/two"}, nil)
	if err := writePreviews(&ui{out: &out, again: again}, previews, true); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
