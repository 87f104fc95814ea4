package contract

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

func checkImage(ctx context.Context, f Fixture, _ string) error {
	first, err := f.Runtime.Image(ctx, f.Image)
	if err != nil {
		return err
	}
	if first.Ref != f.Image || first.Digest == "" {
		return fmt.Errorf("image is %+v, want the reference %s and a digest", first, f.Image)
	}
	if again, err := f.Runtime.Image(ctx, f.Image); err != nil || again != first {
		return fmt.Errorf("image is %+v (%v), was %+v", again, err, first)
	}
	return nil
}

func checkCreated(ctx context.Context, f Fixture, group string) error {
	t, err := newHarness(ctx, f, group, spec.Container{Name: "web", Role: spec.App})
	if err != nil {
		return err
	}
	defer t.end()
	if err := t.create("web"); err != nil {
		return err
	}
	if err := t.expect("web", host.TaskCreated); err != nil {
		return err
	}
	if f.Ran(group, "web") {
		return errors.New("the program has run before it was started")
	}
	if err := f.Runtime.Start(ctx, group, "web"); err != nil {
		return err
	}
	if _, err := f.Report(group, "web"); err != nil {
		return err
	}
	if err := t.expect("web", host.TaskRunning); err != nil {
		return err
	}
	if !f.Ran(group, "web") {
		return errors.New("the program runs, and Ran reports that it has not run")
	}
	if f.Runtime.Start(ctx, group, "never") == nil {
		return errors.New("a container that is absent was started")
	}
	return nil
}

func checkObserved(ctx context.Context, f Fixture, group string) error {
	t, err := newHarness(ctx, f, group, spec.Container{Name: "web", Role: spec.Sidecar})
	if err != nil {
		return err
	}
	defer t.end()
	if err := t.create("web"); err != nil {
		return err
	}
	s, err := t.state("web")
	if err != nil || s == nil {
		return fmt.Errorf("observed %v (%v)", s, err)
	}
	got := host.ContainerState{Group: s.Group, Name: s.Name, Role: s.Role, Digest: s.Digest, ImageDigest: s.ImageDigest, Generation: s.Generation}
	want := host.ContainerState{Group: group, Name: "web", Role: spec.Sidecar, Digest: "digest of web", ImageDigest: t.image.Digest, Generation: 3}
	if got != want {
		return fmt.Errorf("observed %+v, want %+v", got, want)
	}
	if s.CreatedAt.IsZero() {
		return errors.New("it has no time of creation")
	}
	all, err := f.Runtime.Observe(ctx, "")
	if err != nil || !slices.ContainsFunc(all, func(s host.ContainerState) bool { return s.Group == group && s.Name == "web" }) {
		return fmt.Errorf("observed of all groups: %+v (%v)", all, err)
	}
	if others, err := f.Runtime.Observe(ctx, group+"x"); err != nil || len(others) > 0 {
		return fmt.Errorf("observed of another group: %+v (%v)", others, err)
	}
	return nil
}

func checkTwice(ctx context.Context, f Fixture, group string) error {
	t, err := newHarness(ctx, f, group, spec.Container{Name: "web", Role: spec.App})
	if err != nil {
		return err
	}
	defer t.end()
	if err := t.create("web"); err != nil {
		return err
	}
	first, err := t.state("web")
	if err != nil {
		return err
	}
	for _, want := range []host.TaskState{host.TaskCreated, host.TaskRunning} {
		if t.create("web") == nil {
			return fmt.Errorf("a container that is %s was created again", want)
		}
		again, err := t.state("web")
		if err != nil {
			return err
		}
		if again == nil || again.Task != want || !again.CreatedAt.Equal(first.CreatedAt) || again.PID != first.PID && want == host.TaskCreated {
			return fmt.Errorf("after a second create it is %+v, was %+v", again, first)
		}
		if want == host.TaskCreated {
			if err := f.Runtime.Start(ctx, group, "web"); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkStop(ctx context.Context, f Fixture, group string) error {
	t, err := newHarness(ctx, f, group, spec.Container{Name: "web", Role: spec.App})
	if err != nil {
		return err
	}
	defer t.end()
	if err := t.start("web"); err != nil {
		return err
	}
	for range 2 {
		if err := f.Runtime.Stop(ctx, group, "web", spec.Stop{Timeout: time.Second}); err != nil {
			return err
		}
		if err := t.expect("web", host.TaskStopped); err != nil {
			return err
		}
	}
	if s, err := t.state("web"); err != nil || s == nil || s.ExitedAt.IsZero() {
		return fmt.Errorf("it has no time of its end (%v)", err)
	}
	if err := f.Runtime.Stop(ctx, group, "never", spec.Stop{Timeout: time.Second}); err != nil {
		return fmt.Errorf("stop of an absent container: %w", err)
	}
	return nil
}

func checkRemove(ctx context.Context, f Fixture, group string) error {
	t, err := newHarness(ctx, f, group, spec.Container{Name: "web", Role: spec.App}, spec.Container{Name: "made", Role: spec.App})
	if err != nil {
		return err
	}
	defer t.end()
	if err := t.start("web"); err != nil {
		return err
	}
	if err := t.create("made"); err != nil {
		return err
	}
	for _, name := range []string{"web", "made", "web", "never"} {
		if err := f.Runtime.Remove(ctx, group, name); err != nil {
			return fmt.Errorf("remove %s: %w", name, err)
		}
	}
	if left, err := f.Runtime.Observe(ctx, group); err != nil || len(left) > 0 {
		return fmt.Errorf("%+v is left (%v)", left, err)
	}
	if err := t.start("web"); err != nil {
		return fmt.Errorf("start after remove: %w", err)
	}
	return nil
}
