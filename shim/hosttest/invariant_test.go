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

// A hand does to a host what no keeper may.
type hand struct {
	host  *hosttest.Host
	group *spec.Group
}

func (h hand) seal()  { h.must(h.host.Network().Seal(context.Background(), "g")) }
func (h hand) admit() { h.must(h.host.Network().Admit(context.Background(), h.group)) }
func (h hand) look() {
	h.host.Network().Observe(context.Background(), "g", h.group)
	_, _ = h.host.Runtime().Observe(context.Background(), "g")
}

func (h hand) create(names ...string) {
	for _, name := range names {
		c := *h.group.Container(name)
		h.must(h.host.Runtime().Create(context.Background(), host.CreateRequest{Group: h.group, Container: c, Image: host.Image{Ref: c.Image}}))
	}
}

func (h hand) start(names ...string) {
	for _, name := range names {
		h.must(h.host.Runtime().Start(context.Background(), "g", name))
	}
}

func (h hand) answer(name string, err error) {
	h.host.Answer("g", name, "ready", err)
	_ = h.host.Prober().Probe(context.Background(), "g", name, h.group.Container(name).Probes[0])
}

// end takes an init to its good end, sees it and goes on.
func (h hand) end(name string) {
	h.seal()
	h.admit()
	h.create("proxy", name)
	h.start("proxy")
	h.look()
	h.answer("proxy", nil)
	h.start(name)
	h.host.Exit("g", name, 0)
	h.look()
	h.create("two")
	h.start("two")
}

func (h hand) must(err error) {
	if err != nil {
		panic(err)
	}
}

var errNo = errors.New("no")

func TestViolationsAreNoticed(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(h hand)
		want hosttest.Invariant // empty: none is broken
	}{
		{"in order", func(h hand) {
			h.seal()
			h.admit()
			h.create("proxy", "one", "two", "web")
			h.start("proxy")
			h.look()
			h.answer("proxy", nil)
			h.start("one")
			h.host.Exit("g", "one", 0)
			h.start("two", "web")
		}, ""},
		{"started without rules", func(h hand) {
			h.seal()
			h.look()
			h.create("proxy")
			h.start("proxy")
		}, hosttest.Ruled},
		{"started after a flush", func(h hand) {
			h.seal()
			h.admit()
			h.look()
			h.create("proxy")
			h.host.Flush("g")
			h.start("proxy")
		}, hosttest.Ruled},
		{"started without its group's bounds", func(h hand) {
			h.group.Resources = spec.Resources{PIDs: 1}
			cgroups := h.host.Cgroups()
			h.seal()
			h.admit()
			h.must(cgroups.Limit(context.Background(), h.group))
			h.host.Unlimit("g")
			h.look()
			h.create("proxy")
			h.start("proxy")
		}, hosttest.Limited},
		{"the ambassador does not run", func(h hand) {
			h.seal()
			h.admit()
			h.look()
			h.create("proxy", "one")
			h.start("one")
		}, hosttest.AfterAmbassador},
		{"the ambassador has not answered", func(h hand) {
			h.seal()
			h.admit()
			h.create("proxy", "one")
			h.start("proxy")
			h.look()
			h.start("one")
		}, hosttest.AfterAmbassador},
		{"the ambassador is ready no more", func(h hand) {
			h.seal()
			h.admit()
			h.create("proxy", "one")
			h.start("proxy")
			h.look()
			h.answer("proxy", nil)
			h.answer("proxy", errNo)
			h.look()
			h.start("one")
		}, hosttest.AfterAmbassador},
		{"two inits at once", func(h hand) {
			h.seal()
			h.admit()
			h.create("proxy", "one", "two")
			h.start("proxy")
			h.look()
			h.answer("proxy", nil)
			h.start("one", "two")
		}, hosttest.Ordered},
		{"an app before an init", func(h hand) {
			h.seal()
			h.admit()
			h.create("proxy", "one", "web")
			h.start("proxy")
			h.look()
			h.answer("proxy", nil)
			h.start("web")
		}, hosttest.Ordered},
		{"stopped unseen", func(h hand) {
			h.seal()
			h.admit()
			h.look()
			h.create("proxy")
			h.start("proxy")
			h.host.Hide("g", "proxy")
			h.must(h.host.Runtime().Stop(context.Background(), "g", "proxy", spec.Stop{}))
		}, hosttest.Careful},
		{"created of what is not held", func(h hand) {
			holder := h.host.Images()
			h.must(holder.Retain(context.Background(), "g", 1, host.Image{Digest: "sha256:of another generation"}))
			h.seal()
			h.create("proxy")
		}, hosttest.Retained},
		{"of an image that its name had not meant", func(h hand) {
			for _, digest := range []string{"sha256:a", "sha256:b"} {
				h.must(h.host.Images().Retain(context.Background(), "g", 1, host.Image{Ref: "web:1", Digest: digest}))
			}
		}, hosttest.OneImage},
		{"created twice", func(h hand) {
			h.seal()
			h.create("proxy")
			_ = h.host.Runtime().Create(context.Background(), host.CreateRequest{Group: h.group, Container: h.group.Containers[0]})
		}, hosttest.Single},
		{"an init once more, that had ended", func(h hand) {
			h.end("one")
			h.host.LoseEnded()
			h.create("one")
		}, hosttest.Once},
		{"an init once more, of which nobody saw the end", func(h hand) {
			h.seal()
			h.admit()
			h.create("proxy", "one")
			h.start("proxy")
			h.look()
			h.answer("proxy", nil)
			h.start("one")
			h.host.Exit("g", "one", 0)
			h.host.LoseEnded()
			h.look()
			h.create("one")
		}, ""},
		{"an init once more, that was removed", func(h hand) {
			h.end("one")
			h.host.LoseEnded()
			h.must(h.host.Runtime().Remove(context.Background(), "g", "one"))
			h.create("one")
		}, ""},
		{"an init once more, after a boot", func(h hand) {
			h.end("one")
			h.host.Reboot()
			h.seal()
			h.create("one")
		}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := hand{host: hosttest.New(nil), group: &spec.Group{Name: "g", Egress: spec.EgressAmbassador, Containers: []spec.Container{
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
