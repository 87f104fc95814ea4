package contract

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/sallyport/sallyport/spec"
)

func checkVolumes(ctx context.Context, f Fixture, group string) error {
	t, err := newHarness(ctx, f, group, spec.Container{Name: "web", Role: spec.App, Mounts: []spec.Mount{
		{Volume: "data", Path: "/var/data"}, {Volume: "conf", Path: "/var/conf", ReadOnly: true},
	}})
	if err != nil {
		return err
	}
	defer t.end()
	t.group.Volumes = []spec.Volume{{Name: "data", Size: 1 << 20}, {Name: "conf", Size: 1 << 20}}
	for _, v := range t.group.Volumes {
		if err := f.Mount(group, v.Name); err != nil {
			return fmt.Errorf("mount %s: %w", v.Name, err)
		}
	}
	found, err := t.reported("web")
	if err != nil {
		return err
	}
	want := map[string]Mount{"/var/data": {Volume: "data"}, "/var/conf": {Volume: "conf", ReadOnly: true}}
	if got := found["web"].Mounts; !maps.Equal(got, want) {
		return fmt.Errorf("mounts are %+v, want %+v", got, want)
	}
	return nil
}

func checkNoVolume(ctx context.Context, f Fixture, group string) error {
	t, err := newHarness(ctx, f, group, spec.Container{Name: "web", Role: spec.App, Mounts: []spec.Mount{{Volume: "data", Path: "/var/data"}}})
	if err != nil {
		return err
	}
	defer t.end()
	if err := t.absent("web", t.create("web")); err != nil {
		return fmt.Errorf("a volume that its group doesn't have: %w", err)
	}
	t.group.Volumes = []spec.Volume{{Name: "data", Size: 1 << 20}}
	if err := t.absent("web", t.create("web")); err != nil {
		return fmt.Errorf("a volume that is not mounted: %w", err)
	}
	return nil
}

func checkReadOnly(ctx context.Context, f Fixture, group string) error {
	want := []spec.Tmpfs{{Path: "/run/web", Size: 1 << 20, Owner: "7:8", Mode: 0o700}, {Path: "/tmp", Size: 2 << 20, Exec: true}}
	t, err := newHarness(ctx, f, group, spec.Container{Name: "web", Role: spec.App, ReadOnly: true, Tmpfs: want})
	if err != nil {
		return err
	}
	defer t.end()
	found, err := t.reported("web")
	if err != nil {
		return err
	}
	if got := found["web"]; !got.ReadOnly || !slices.Equal(got.Tmpfs, want) {
		return fmt.Errorf("read-only is %v and tmpfs %+v, want it read-only and %+v", got.ReadOnly, got.Tmpfs, want)
	}
	return nil
}

func checkWritable(ctx context.Context, f Fixture, group string) error {
	t, err := newHarness(ctx, f, group, spec.Container{Name: "web", Role: spec.App})
	if err != nil {
		return err
	}
	defer t.end()
	found, err := t.reported("web")
	if err != nil {
		return err
	}
	if got := found["web"]; got.ReadOnly || len(got.Tmpfs) > 0 {
		return fmt.Errorf("read-only is %v and tmpfs %+v, want neither", got.ReadOnly, got.Tmpfs)
	}
	return nil
}
