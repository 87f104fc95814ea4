package hosttest_test

import (
	"context"
	"errors"
	"maps"
	"testing"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/hosttest"
	"github.com/sallyport/sallyport/shim/hosttest/contract"
	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/shim/runner"
	"github.com/sallyport/sallyport/spec"
)

var fixedLayout = layout.Layout{RunDir: "/run/sallyport", LogDir: "/var/log/sallyport", CgroupRoot: "/sallyport"}

func fixture() contract.Fixture {
	h := hosttest.New(nil)
	h.LosePath("/dev/none")
	h.Forbid("/dev/tun")
	h.Disown("stranger")
	return contract.Fixture{
		Runtime:  h.Runtime(),
		Layout:   fixedLayout,
		Image:    "web:1",
		Device:   "/dev/keys",
		NoDevice: "/dev/none",
		WayOut:   "/dev/tun",
		Signer:   spec.Signer{Key: "vendor"},
		Stranger: spec.Signer{Key: "stranger"},
		Seal: func(group string) (string, error) {
			err := h.Network().Seal(context.Background(), group)
			return h.Namespace(group), err
		},
		Mount: func(group, volume string) error {
			return h.Volumes().Ensure(context.Background(), &spec.Group{Name: group}, spec.Volume{Name: volume, Size: 1 << 20}, nil)
		},
		Ran: func(group, name string) bool {
			_, err := h.Report(fixedLayout, group, name)
			return err == nil
		},
		Report: func(group, name string) (contract.Report, error) { return h.Report(fixedLayout, group, name) },
	}
}

func TestRuntimeContract(t *testing.T) {
	contract.RuntimeContract(t, func(*testing.T) contract.Fixture { return fixture() })
}

// A broken is a runtime with some calls replaced. A nil func leaves the call as it is.
type broken struct {
	runner.Runtime
	image   func(ref string) (host.Image, error)
	imageIn func(ctx context.Context, ref string) (host.Image, error)
	create  func(req host.CreateRequest) error
	reload  func(group string, c spec.Container) error
	stop    func(group, name string) error
	remove  func(group, name string) error
}

func (b broken) Image(ctx context.Context, ref string) (host.Image, error) {
	if b.imageIn != nil {
		return b.imageIn(ctx, ref)
	}
	if b.image != nil {
		return b.image(ref)
	}
	return b.Runtime.Image(ctx, ref)
}

func (b broken) Create(ctx context.Context, req host.CreateRequest) error {
	if b.create != nil {
		return b.create(req)
	}
	return b.Runtime.Create(ctx, req)
}

func (b broken) Reload(ctx context.Context, group string, c spec.Container) error {
	if b.reload != nil {
		return b.reload(group, c)
	}
	return b.Runtime.Reload(ctx, group, c)
}

func (b broken) Stop(ctx context.Context, group, name string, stop spec.Stop) error {
	if b.stop != nil {
		return b.stop(group, name)
	}
	return b.Runtime.Stop(ctx, group, name, stop)
}

func (b broken) Remove(ctx context.Context, group, name string) error {
	if b.remove != nil {
		return b.remove(group, name)
	}
	return b.Runtime.Remove(ctx, group, name)
}

// Each check of the contract finds a runtime that breaks it.
func TestContractFindsBrokenRuntimes(t *testing.T) {
	ctx := t.Context()
	report := func(edit func(*contract.Report)) func(*contract.Fixture, *broken) {
		return func(f *contract.Fixture, _ *broken) {
			right := f.Report
			f.Report = func(group, name string) (contract.Report, error) {
				r, err := right(group, name)
				edit(&r)
				return r, err
			}
		}
	}
	asks := func(edit func(f contract.Fixture, req *host.CreateRequest)) func(*contract.Fixture, *broken) {
		return func(f *contract.Fixture, b *broken) {
			right := b.Runtime
			b.create = func(req host.CreateRequest) error {
				edit(*f, &req)
				return right.Create(ctx, req)
			}
		}
	}
	seen := map[string]bool{}
	for _, tt := range []struct {
		name  string
		check string // the one that finds it
		wrong func(*contract.Fixture, *broken)
	}{
		{"an image resolves to another digest each time", "an image that is present stays the same", func(_ *contract.Fixture, b *broken) {
			n := 0
			b.image = func(ref string) (host.Image, error) {
				n++
				return host.Image{Ref: ref, Name: ref, Digest: string(rune('a' + n))}, nil
			}
		}},
		{"create runs the program", "create runs no program", func(_ *contract.Fixture, b *broken) {
			right := b.Runtime
			b.create = func(req host.CreateRequest) error {
				return errors.Join(right.Create(ctx, req), right.Start(ctx, req.Group.Name, req.Container.Name))
			}
		}},
		{"a generation is forgotten", "a container is observed as it was asked for", asks(func(_ contract.Fixture, req *host.CreateRequest) { req.Generation = 0 })},
		{"the program is in a namespace of its own", "a program is in its group's network namespace", report(func(r *contract.Report) { r.Netns = "its own" })},
		{"a namespace is made where there is none", "without a namespace there is no container", asks(func(f contract.Fixture, req *host.CreateRequest) { _, _ = f.Seal(req.Group.Name) })},
		{"a member is taken for an ambassador", "a program is in the cgroup of its role", asks(func(_ contract.Fixture, req *host.CreateRequest) { req.Container.Role = spec.Ambassador })},
		{"a volume is left out", "a program has its volumes", asks(func(_ contract.Fixture, req *host.CreateRequest) { req.Container.Mounts = nil })},
		{"a volume can be written", "a program has its volumes", report(func(r *contract.Report) {
			for path, m := range maps.Clone(r.Mounts) {
				m.ReadOnly = false
				r.Mounts[path] = m
			}
		})},
		{"a volume is made where there is none", "without a volume there is no container", asks(func(f contract.Fixture, req *host.CreateRequest) {
			for _, m := range req.Container.Mounts {
				_ = f.Mount(req.Group.Name, m.Volume)
			}
		})},
		{"a root file system that can be written", "a program has its memory and a root file system that is read-only",
			asks(func(_ contract.Fixture, req *host.CreateRequest) { req.Container.ReadOnly = false })},
		{"a tmpfs is left out", "a program has its memory and a root file system that is read-only",
			asks(func(_ contract.Fixture, req *host.CreateRequest) { req.Container.Tmpfs = req.Container.Tmpfs[:1] })},
		{"a root file system that is read-only without a wish", "a program can write to its root file system",
			asks(func(_ contract.Fixture, req *host.CreateRequest) { req.Container.ReadOnly = true })},
		{"output goes elsewhere", "a program prints to its file", report(func(r *contract.Report) { r.Output = "/dev/null" })},
		{"errors go elsewhere", "a program prints to its file", report(func(r *contract.Report) { r.Errors = "/dev/null" })},
		{"errors go where the rest goes", "a program prints its errors to their own file",
			asks(func(_ contract.Fixture, req *host.CreateRequest) { req.Container.Output.Split = false })},
		{"the group's output is left out", "a sidecar reads its group's output",
			asks(func(_ contract.Fixture, req *host.CreateRequest) { req.Container.OutputOf = "" })},
		{"the group's output is shown to all", "a sidecar reads its group's output",
			asks(func(_ contract.Fixture, req *host.CreateRequest) { req.Container.OutputOf = "/var/log/group" })},
		{"the group's output can be written", "a sidecar reads its group's output", report(func(r *contract.Report) {
			for path, folder := range maps.Clone(r.GroupOutput) {
				folder.ReadOnly = false
				r.GroupOutput[path] = folder
			}
		})},
		{"a capability that was not asked for", "a program can't do what rules can't see", report(func(r *contract.Report) { r.Capabilities = append(r.Capabilities, "NET_RAW") })},
		{"no filter", "a program can't do what rules can't see", report(func(r *contract.Report) { r.Filtered = false })},
		{"a way out is taken away silently", "a container that asks for a way out is refused", asks(func(_ contract.Fixture, req *host.CreateRequest) {
			req.Container.Capabilities, req.Container.Unsafe = nil, spec.Unsafe{}
		})},
		{"a device is left out", "a program has its devices", asks(func(_ contract.Fixture, req *host.CreateRequest) { req.Container.Devices = nil })},
		{"a device can be written", "a program has its devices", report(func(r *contract.Report) {
			for path := range r.Devices {
				r.Devices[path] = "rw"
			}
		})},
		{"each container has a device", "a program has its devices", asks(func(f contract.Fixture, req *host.CreateRequest) {
			req.Container.Devices = []spec.Device{{Path: f.Device, To: contract.DevicePath}}
		})},
		{"a device that is missing is left out", "without a device there is no container", asks(func(f contract.Fixture, req *host.CreateRequest) {
			for i := range req.Container.Devices {
				req.Container.Devices[i].Optional = true
			}
		})},
		{"a device that is a way out is left out", "without a device there is no container", asks(func(f contract.Fixture, req *host.CreateRequest) {
			if req.Container.Devices[0].Path == f.WayOut {
				req.Container.Devices = nil
			}
		})},
		{"an access that is not to be had is left out", "without a device there is no container", asks(func(_ contract.Fixture, req *host.CreateRequest) { req.Container.Devices[0].Access = "" })},
		{"no proof is asked for", "a container whose image is not known to be signed is refused", asks(func(_ contract.Fixture, req *host.CreateRequest) { req.Container.SignedBy = nil })},
		{"any proof will do", "a container whose image is not known to be signed is refused", func(f *contract.Fixture, b *broken) {
			right, proved := b.Runtime, false
			b.create = func(req host.CreateRequest) error {
				if proved {
					req.Container.SignedBy = nil
				}
				err := right.Create(ctx, req)
				return err
			}
			b.imageIn = func(ctx context.Context, ref string) (host.Image, error) {
				i, err := right.Image(ctx, ref)
				proved = proved || err == nil && len(host.SignersOf(ctx)) > 0
				return i, err
			}
		}},
		{"a signature is never looked at", "a container whose image is not known to be signed is refused", func(_ *contract.Fixture, b *broken) {
			right := b.Runtime
			b.imageIn = func(_ context.Context, ref string) (host.Image, error) { return right.Image(ctx, ref) }
		}},
		{"create replaces what runs", "a container that is there keeps its place", func(_ *contract.Fixture, b *broken) {
			right := b.Runtime
			b.create = func(req host.CreateRequest) error {
				return errors.Join(right.Remove(ctx, req.Group.Name, req.Container.Name), right.Create(ctx, req))
			}
		}},
		{"a reload does nothing", "a reload keeps the program, and is observed", func(_ *contract.Fixture, b *broken) {
			b.reload = func(string, spec.Container) error { return nil }
		}},
		{"a reload of what has ended is done", "a reload keeps the program, and is observed", func(_ *contract.Fixture, b *broken) {
			right := b.Runtime
			b.reload = func(group string, c spec.Container) error {
				if err := right.Reload(ctx, group, c); !errors.Is(err, host.ErrEnded) {
					return err
				}
				return nil
			}
		}},
		{"stop does nothing", "stop ends a program, and a second stop is no error", func(_ *contract.Fixture, b *broken) {
			b.stop = func(string, string) error { return nil }
		}},
		{"remove leaves what runs", "remove leaves nothing", func(_ *contract.Fixture, b *broken) {
			b.remove = func(string, string) error { return nil }
		}},
	} {
		seen[tt.check] = true
		t.Run(tt.name, func(t *testing.T) {
			for _, check := range contract.Checks {
				if check.Name != tt.check {
					continue
				}
				f := fixture()
				b := &broken{Runtime: f.Runtime}
				tt.wrong(&f, b)
				f.Runtime = b
				err := check.Run(ctx, f, "g")
				if err == nil {
					t.Errorf("the check %q passes", tt.check)
				}
				t.Log(err)
				return
			}
			t.Errorf("there is no check %q", tt.check)
		})
	}
	for _, check := range contract.Checks {
		if !seen[check.Name] {
			t.Errorf("no broken runtime for the check %q", check.Name)
		}
	}
}
