package contract

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"

	"github.com/sallyport/sallyport/spec"
)

func checkOutput(ctx context.Context, f Fixture, group string) error {
	return checkFiles(ctx, f, group, spec.Output{}, f.Layout.LogPath(group, "web"), f.Layout.LogPath(group, "web"))
}

func checkSplitOutput(ctx context.Context, f Fixture, group string) error {
	return checkFiles(ctx, f, group, spec.Output{Split: true}, f.Layout.LogPath(group, "web"), f.Layout.ErrLogPath(group, "web"))
}

// checkFiles checks the files that a program prints to.
func checkFiles(ctx context.Context, f Fixture, group string, output spec.Output, out, errs string) error {
	t, err := newHarness(ctx, f, group, spec.Container{Name: "web", Role: spec.App, Output: output})
	if err != nil {
		return err
	}
	defer t.end()
	found, err := t.reported("web")
	if err != nil {
		return err
	}
	if got := found["web"]; got.Output != out || got.Errors != errs {
		return fmt.Errorf("it prints to %q and its errors to %q, want %q and %q", got.Output, got.Errors, out, errs)
	}
	return nil
}

func checkGroupOutput(ctx context.Context, f Fixture, group string) error {
	const path = "/var/log/group"
	t, err := newHarness(ctx, f, group, spec.Container{Name: "web", Role: spec.App},
		spec.Container{Name: "shipper", Role: spec.Sidecar, User: "65532:65532", OutputOf: path})
	if err != nil {
		return err
	}
	defer t.end()
	found, err := t.reported("web", "shipper")
	if err != nil {
		return err
	}
	want := map[string]Folder{path: {Path: filepath.Dir(f.Layout.LogPath(group, "web")), ReadOnly: true, Readable: true}}
	if got := found["shipper"].GroupOutput; !maps.Equal(got, want) {
		return fmt.Errorf("the sidecar is shown %+v, want %+v", got, want)
	}
	if got := found["web"].GroupOutput; len(got) > 0 {
		return fmt.Errorf("the app is shown %+v, and did not ask for it", got)
	}
	return nil
}
