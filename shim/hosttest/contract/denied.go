package contract

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/sallyport/sallyport/spec"
)

func checkDenied(ctx context.Context, f Fixture, group string) error {
	t, err := newHarness(ctx, f, group, spec.Container{Name: "proxy", Role: spec.Ambassador, Door: spec.Door{Unsafe: spec.Unsafe{Capabilities: []string{"NET_ADMIN"}}}},
		spec.Container{Name: "web", Role: spec.App}, spec.Container{Name: "few", Role: spec.App, Capabilities: []string{"CHOWN"}})
	if err != nil {
		return err
	}
	defer t.end()
	found, err := t.reported("proxy", "web", "few")
	if err != nil {
		return err
	}
	all := spec.DefaultCapabilities
	want := map[string][]string{"proxy": append(slices.Clone(all), "NET_ADMIN"), "web": all, "few": {"CHOWN"}}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		got := found[name]
		if !slices.Equal(slices.Sorted(slices.Values(got.Capabilities)), slices.Sorted(slices.Values(want[name]))) {
			return fmt.Errorf("%s has the capabilities %v, want %v", name, got.Capabilities, want[name])
		}
		if !got.Filtered {
			return fmt.Errorf("%s is not under a filter, or can get more privileges", name)
		}
	}
	return nil
}

func checkRefused(ctx context.Context, f Fixture, group string) error {
	t, err := newHarness(ctx, f, group,
		spec.Container{Name: "raw", Role: spec.App, Capabilities: []string{"NET_RAW"}},
		spec.Container{Name: "proxy", Role: spec.Ambassador, Capabilities: []string{"SYS_ADMIN"}},
		spec.Container{Name: "unsafe", Role: spec.App, Door: spec.Door{Unsafe: spec.Unsafe{Capabilities: []string{"NET_ADMIN"}}}},
		spec.Container{Name: "worse", Role: spec.Ambassador, Door: spec.Door{Unsafe: spec.Unsafe{Capabilities: []string{"SYS_ADMIN"}}}})
	if err != nil {
		return err
	}
	defer t.end()
	for _, c := range t.group.Containers {
		if err := t.refused(c.Name); err != nil {
			return err
		}
	}
	return nil
}
