package hosttest_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/hosttest"
	"github.com/sallyport/sallyport/spec"
)

// A harness does things to a host that no keeper may.
type harness struct {
	host  *hosttest.Host
	group *spec.Group
}

func (h harness) seal()  { h.must(h.host.Network().Seal(context.Background(), "g")) }
func (h harness) admit() { h.must(h.host.Network().Admit(context.Background(), h.group)) }
func (h harness) observe() {
	h.host.Network().Observe(context.Background(), "g", h.group)
	_, _ = h.host.Runtime().Observe(context.Background(), "g")
}

func (h harness) create(names ...string) {
	for _, name := range names {
		c := *h.group.Container(name)
		h.must(h.host.Runtime().Create(context.Background(), host.CreateRequest{Group: h.group, Container: c, Image: host.Image{Ref: c.Image}}))
	}
}

func (h harness) start(names ...string) {
	for _, name := range names {
		h.must(h.host.Runtime().Start(context.Background(), "g", name))
	}
}

func (h harness) answer(name string, err error) {
	h.host.Answer("g", name, "ready", err)
	_ = h.host.Prober().Probe(context.Background(), "g", name, h.group.Container(name).Probes[0])
}

// end starts an init, ends it well, observes that and starts the next one.
func (h harness) end(name string) {
	h.seal()
	h.admit()
	h.create("proxy", name)
	h.start("proxy")
	h.observe()
	h.answer("proxy", nil)
	h.start(name)
	h.host.Exit("g", name, 0)
	h.observe()
	h.create("two")
	h.start("two")
}

func (h harness) must(err error) {
	if err != nil {
		panic(err)
	}
}

var errNo = errors.New("no")

func TestViolationsAreNoticed(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(h harness)
		want hosttest.Invariant // empty: none is broken
	}{
		{"in order", func(h harness) {
			h.seal()
			h.admit()
			h.create("proxy", "one", "two", "web")
			h.start("proxy")
			h.observe()
			h.answer("proxy", nil)
			h.start("one")
			h.host.Exit("g", "one", 0)
			h.start("two", "web")
		}, ""},
		{"started without rules", func(h harness) {
			h.seal()
			h.observe()
			h.create("proxy")
			h.start("proxy")
		}, hosttest.Ruled},
		{"started after a flush", func(h harness) {
			h.seal()
			h.admit()
			h.observe()
			h.create("proxy")
			h.host.Flush("g")
			h.start("proxy")
		}, hosttest.Ruled},
		{"started without its group's limits", func(h harness) {
			h.group.Resources = spec.Resources{PIDs: 1}
			cgroups := h.host.Cgroups()
			h.seal()
			h.admit()
			h.must(cgroups.Limit(context.Background(), h.group))
			h.host.Unlimit("g")
			h.observe()
			h.create("proxy")
			h.start("proxy")
		}, hosttest.Limited},
		{"the ambassador does not run", func(h harness) {
			h.seal()
			h.admit()
			h.observe()
			h.create("proxy", "one")
			h.start("one")
		}, hosttest.AfterAmbassador},
		{"the ambassador has not answered", func(h harness) {
			h.seal()
			h.admit()
			h.create("proxy", "one")
			h.start("proxy")
			h.observe()
			h.start("one")
		}, hosttest.AfterAmbassador},
		{"the ambassador is no longer ready", func(h harness) {
			h.seal()
			h.admit()
			h.create("proxy", "one")
			h.start("proxy")
			h.observe()
			h.answer("proxy", nil)
			h.answer("proxy", errNo)
			h.observe()
			h.start("one")
		}, hosttest.AfterAmbassador},
		{"two inits at once", func(h harness) {
			h.seal()
			h.admit()
			h.create("proxy", "one", "two")
			h.start("proxy")
			h.observe()
			h.answer("proxy", nil)
			h.start("one", "two")
		}, hosttest.Ordered},
		{"an app before an init", func(h harness) {
			h.seal()
			h.admit()
			h.create("proxy", "one", "web")
			h.start("proxy")
			h.observe()
			h.answer("proxy", nil)
			h.start("web")
		}, hosttest.Ordered},
		{"stopped in an unknown state", func(h harness) {
			h.seal()
			h.admit()
			h.observe()
			h.create("proxy")
			h.start("proxy")
			h.host.Hide("g", "proxy")
			h.must(h.host.Runtime().Stop(context.Background(), "g", "proxy", spec.Stop{}))
		}, hosttest.Careful},
		{"created from an image that is not retained", func(h harness) {
			images := h.host.Images()
			h.must(images.Retain(context.Background(), "g", 1, host.Image{Digest: "sha256:of another generation"}))
			h.seal()
			h.create("proxy")
		}, hosttest.Retained},
		{"two images of one name", func(h harness) {
			for _, digest := range []string{"sha256:a", "sha256:b"} {
				h.must(h.host.Images().Retain(context.Background(), "g", 1, host.Image{Ref: "web:1", Digest: digest}))
			}
		}, hosttest.OneImage},
		{"created twice", func(h harness) {
			h.seal()
			h.create("proxy")
			_ = h.host.Runtime().Create(context.Background(), host.CreateRequest{Group: h.group, Container: h.group.Containers[0]})
		}, hosttest.Single},
		{"an init that has ended, created again", func(h harness) {
			h.end("one")
			h.host.LoseEnded()
			h.create("one")
		}, hosttest.Once},
		{"an init whose end was not observed, created again", func(h harness) {
			h.seal()
			h.admit()
			h.create("proxy", "one")
			h.start("proxy")
			h.observe()
			h.answer("proxy", nil)
			h.start("one")
			h.host.Exit("g", "one", 0)
			h.host.LoseEnded()
			h.observe()
			h.create("one")
		}, ""},
		{"an init that was removed, created again", func(h harness) {
			h.end("one")
			h.host.LoseEnded()
			h.must(h.host.Runtime().Remove(context.Background(), "g", "one"))
			h.create("one")
		}, ""},
		{"an init after a boot, created again", func(h harness) {
			h.end("one")
			h.host.Reboot()
			h.seal()
			h.create("one")
		}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := harness{host: hosttest.New(nil), group: &spec.Group{Name: "g", Egress: spec.EgressAmbassador, Containers: []spec.Container{
				{Name: "proxy", Role: spec.Ambassador, Probes: []spec.Probe{{Kind: "ready", Failures: 1}}},
				{Name: "one", Role: spec.Init}, {Name: "two", Role: spec.Init}, {Name: "web", Role: spec.App},
			}}}
			tt.do(h)
			var got hosttest.Invariant
			if v := h.host.Violations(); len(v) > 0 {
				name, _, _ := strings.Cut(v[0], ": ")
				got = hosttest.Invariant(name)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("broken (-want +got):\n%s\n%q", diff, h.host.Violations())
			}
		})
	}
}
