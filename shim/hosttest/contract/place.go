package contract

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/sallyport/sallyport/spec"
)

func checkNetns(ctx context.Context, f Fixture, group string) error {
	t, err := newHarness(ctx, f, group, spec.Container{Name: "proxy", Role: spec.Ambassador}, spec.Container{Name: "web", Role: spec.App})
	if err != nil {
		return err
	}
	defer t.end()
	found, err := t.reported("proxy", "web")
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		if got := found[name].Netns; got != t.netns {
			return fmt.Errorf("%s is in namespace %q, want %q", name, got, t.netns)
		}
	}
	return nil
}

func checkNoNetns(ctx context.Context, f Fixture, group string) error {
	t, err := newHarness(ctx, f, group, spec.Container{Name: "web", Role: spec.App})
	if err != nil {
		return err
	}
	t.group.Name = group + "-unsealed"
	defer t.end()
	return t.absent("web", t.create("web"))
}

func checkCgroup(ctx context.Context, f Fixture, group string) error {
	roles := map[string]spec.Role{"proxy": spec.Ambassador, "log": spec.Sidecar, "web": spec.App}
	t, err := newHarness(ctx, f, group, spec.Container{Name: "proxy", Role: spec.Ambassador},
		spec.Container{Name: "log", Role: spec.Sidecar}, spec.Container{Name: "web", Role: spec.App})
	if err != nil {
		return err
	}
	defer t.end()
	found, err := t.reported("proxy", "log", "web")
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		if got, want := found[name].Cgroup, f.Layout.CgroupPath(group, roles[name], name); got != want {
			return fmt.Errorf("%s is in cgroup %q, want %q", name, got, want)
		}
	}
	return nil
}
