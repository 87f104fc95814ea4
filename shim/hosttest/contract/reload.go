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

// checkReload checks what an observer finds. What the program finds is checked with a real one.
func checkReload(ctx context.Context, f Fixture, group string) error {
	web := spec.Container{Name: "web", Role: spec.App, Files: []spec.File{
		{Path: "/etc/a", Content: []byte("one"), Reload: "SIGHUP"}, {Path: "/etc/b", Content: []byte("one"), Reload: "SIGUSR1"},
	}}
	for i := range web.Files {
		web.Files[i].Seal()
	}
	t, err := newHarness(ctx, f, group, web)
	if err != nil {
		return err
	}
	defer t.end()
	if err := t.start("web"); err != nil {
		return err
	}
	if _, err := f.Report(group, "web"); err != nil {
		return err
	}
	first, err := t.state("web")
	if err != nil || first == nil || first.Loaded != web.Loaded() || !first.ReloadedAt.IsZero() {
		return fmt.Errorf("before a reload it is %+v (%v), want %q loaded", first, err, web.Loaded())
	}
	next := *t.group.Container("web")
	next.Files = slices.Clone(next.Files)
	next.Files[0].Content = []byte("two")
	next.Files[0].Seal()
	if err := f.Runtime.Reload(ctx, group, next); err != nil {
		return err
	}
	then, err := t.state("web")
	if err != nil || then == nil || then.Loaded != next.Loaded() || then.ReloadedAt.IsZero() {
		return fmt.Errorf("after a reload it is %+v (%v), want %q loaded", then, err, next.Loaded())
	}
	if then.PID != first.PID || !then.CreatedAt.Equal(first.CreatedAt) || then.Task != host.TaskRunning || then.Digest != first.Digest {
		return fmt.Errorf("after a reload it is %+v, was %+v", then, first)
	}
	other := next
	other.Digest, other.Files = "another", web.Files
	if f.Runtime.Reload(ctx, group, other) == nil {
		return errors.New("a container was reloaded with another definition")
	}
	if err := f.Runtime.Stop(ctx, group, "web", spec.Stop{Timeout: time.Second}); err != nil {
		return err
	}
	next.Files = web.Files
	if err := f.Runtime.Reload(ctx, group, next); !errors.Is(err, host.ErrEnded) {
		return fmt.Errorf("reload of a container that has ended: %w", err)
	}
	return nil
}
