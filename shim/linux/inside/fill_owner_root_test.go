package inside

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// On a file system that can't note the owner that a volume was given, the image's is an error, and
// nothing is copied. An owner that the volume has anyway is none. ramfs is such a file system.
func TestRootFillWithoutANote(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	image := layImage(t)
	for _, tt := range []struct {
		name, kind string
		mode       uint32
		want       *OwnerError
	}{
		{"another owner", "ramfs", 0o755, &OwnerError{Mode: 0o1750}},
		{"the same owner", "ramfs", 0o1750, nil},
		{"control: it can be noted", "tmpfs", 0o755, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			volume := t.TempDir()
			if err := unix.Mount(tt.kind, volume, tt.kind, 0, ""); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = unix.Unmount(volume, unix.MNT_DETACH) }()
			if err := unix.Chmod(volume, tt.mode); err != nil {
				t.Fatal(err)
			}
			err := fill(t, t.Context(), image, "/srv/data", volume)
			got, _ := errors.AsType[*OwnerError](err)
			_, missing := os.Lstat(filepath.Join(volume, "second"))
			switch {
			case tt.want == nil && (err != nil || missing != nil):
				t.Errorf("%v, %v, want a copy", err, missing)
			case tt.want != nil && (got == nil || *got != *tt.want || missing == nil):
				t.Errorf("%v, want %v; a file that was copied: %v", err, tt.want, missing)
			}
			if filled, err := Filled(volume); err != nil || filled != (tt.want == nil) {
				t.Errorf("filled: %t, %v", filled, err)
			}
		})
	}
}
