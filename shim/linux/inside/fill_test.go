package inside

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// layImage makes a folder with a file of each kind below srv/data, to which srv/link and /abs lead.
func layImage(t *testing.T) string {
	t.Helper()
	image := t.TempDir()
	data := filepath.Join(image, "srv/data")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.MkdirAll(filepath.Join(data, "sub/deep"), 0o755))
	must(os.WriteFile(filepath.Join(data, "sub/deep/file"), []byte("content"), 0o640))
	must(unix.Chmod(filepath.Join(data, "sub/deep/file"), 0o4750))
	must(os.Link(filepath.Join(data, "sub/deep/file"), filepath.Join(data, "second")))
	must(os.Symlink("/etc/passwd", filepath.Join(data, "out")))
	must(os.Symlink("../../../../..", filepath.Join(data, "sub/up")))
	must(unix.Mkfifo(filepath.Join(data, "pipe"), 0o622))
	must(os.Symlink("/srv/data", filepath.Join(image, "abs")))
	must(os.Symlink("../../../srv/data", filepath.Join(image, "srv/link")))
	must(os.Symlink("/../../../etc", filepath.Join(image, "host")))
	must(os.Chtimes(filepath.Join(data, "sub"), time.Unix(1000, 0), time.Unix(1000, 0)))
	must(unix.Chmod(data, 0o1750))
	if err := unix.Setxattr(filepath.Join(data, "second"), "user.kept", []byte("yes"), 0); err != nil && !errors.Is(err, unix.EOPNOTSUPP) {
		t.Fatal(err)
	}
	return image
}

func fill(t *testing.T, ctx context.Context, image, path, volume string) error {
	t.Helper()
	root, err := OpenFolder(image)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	return root.Fill(ctx, path, volume, true)
}

// names returns the files of a volume, as paths below it.
func names(t *testing.T, volume string) (all []string) {
	t.Helper()
	err := filepath.WalkDir(volume, func(p string, _ fs.DirEntry, err error) error {
		if p != volume {
			all = append(all, strings.TrimPrefix(p, volume+"/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

var whole = []string{"out", "pipe", "second", "sub", "sub/deep", "sub/deep/file", "sub/up"}

func TestFill(t *testing.T) {
	image := layImage(t)
	for _, path := range []string{"/srv/data", "srv/link", "/abs/"} {
		volume := t.TempDir()
		if filled, err := Filled(volume); filled || err != nil {
			t.Errorf("%s: filled before: %v, %v", path, filled, err)
		}
		if err := fill(t, t.Context(), image, path, volume); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if got := names(t, volume); !slices.Equal(got, whole) {
			t.Errorf("%s: %q", path, got)
		}
		if filled, err := Filled(volume); !filled || err != nil {
			t.Errorf("%s: filled: %v, %v", path, filled, err)
		}
		for _, name := range append([]string{"."}, whole...) {
			want, got := lstat(t, filepath.Join(image, "srv/data", name)), lstat(t, filepath.Join(volume, name))
			if want.Mode != got.Mode || want.Uid != got.Uid || want.Gid != got.Gid || want.Size != got.Size && want.Mode&unix.S_IFDIR == 0 {
				t.Errorf("%s: %s: %+v, want %+v", path, name, got, want)
			}
		}
		if st := lstat(t, filepath.Join(volume, "sub")); st.Mtim.Sec != 1000 {
			t.Errorf("%s: changed at %d", path, st.Mtim.Sec)
		}
		if a, b := lstat(t, filepath.Join(volume, "second")), lstat(t, filepath.Join(volume, "sub/deep/file")); a.Ino != b.Ino {
			t.Errorf("%s: hard links are files of their own", path)
		}
		value := make([]byte, 8)
		if n, err := unix.Getxattr(filepath.Join(image, "srv/data/second"), "user.kept", value); err == nil {
			if m, err := unix.Getxattr(filepath.Join(volume, "second"), "user.kept", value); m != n || err != nil {
				t.Errorf("%s: attribute: %d bytes, %v", path, m, err)
			}
		}
		if to, err := os.Readlink(filepath.Join(volume, "out")); to != "/etc/passwd" || err != nil {
			t.Errorf("%s: link to %q, %v", path, to, err)
		}
		if err := os.Remove(filepath.Join(volume, "pipe")); err != nil {
			t.Fatal(err)
		}
		if err := fill(t, t.Context(), image, path, volume); err != nil || len(names(t, volume)) != len(whole)-1 {
			t.Errorf("%s: a second time: %v, %q", path, err, names(t, volume))
		}
	}
	for _, path := range []string{"/absent", "/srv/data/second", "/host", "/srv/data/out"} {
		volume := t.TempDir()
		if err := fill(t, t.Context(), image, path, volume); !errors.Is(err, ErrNoFolder) {
			t.Errorf("%s: %v", path, err)
		}
		if got := names(t, volume); len(got) > 0 {
			t.Errorf("%s: %q", path, got)
		}
	}
}

func lstat(t *testing.T, path string) (st syscall.Stat_t) {
	t.Helper()
	if err := syscall.Lstat(path, &st); err != nil {
		t.Fatal(err)
	}
	return st
}

// A copy that ended anywhere is finished or repeated, and what others have put into the volume
// stays.
func TestFillInterrupted(t *testing.T) {
	image := layImage(t)
	for _, tt := range []struct {
		name  string
		files map[string]string // in the volume before
		want  []string
		text  map[string]string // of files afterwards
	}{
		{"while copying", map[string]string{copying + "/sub/half": "x"}, whole, nil},
		{"before the first move", map[string]string{copied + "/a": "1", copied + "/b/c": "2"}, []string{"a", "b", "b/c"}, nil},
		{"between two moves", map[string]string{"a": "1", copied + "/b/c": "2"}, []string{"a", "b", "b/c"}, nil},
		{"a file of a program", map[string]string{"a": "mine", copied + "/a": "ours", copied + "/b": "2"}, []string{"a", "b"}, map[string]string{"a": "mine"}},
		{"while copying, beside a file", map[string]string{"a": "mine", copying + "/b": "2"}, []string{"a"}, nil},
	} {
		volume := t.TempDir()
		for name, text := range tt.files {
			if err := errors.Join(os.MkdirAll(filepath.Dir(filepath.Join(volume, name)), 0o755), os.WriteFile(filepath.Join(volume, name), []byte(text), 0o644)); err != nil {
				t.Fatal(err)
			}
		}
		if filled, err := Filled(volume); filled || err != nil {
			t.Errorf("%s: filled before: %v, %v", tt.name, filled, err)
		}
		if err := fill(t, t.Context(), image, "/srv/data", volume); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if got := names(t, volume); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
		for name, want := range tt.text {
			if got, err := os.ReadFile(filepath.Join(volume, name)); string(got) != want || err != nil {
				t.Errorf("%s: %s is %q, %v", tt.name, name, got, err)
			}
		}
	}
	volume := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := fill(t, ctx, image, "/srv/data", volume); !errors.Is(err, context.Canceled) || len(names(t, volume)) > 0 {
		t.Errorf("ended early: %v, %q", err, names(t, volume))
	}
}

// Links that a program has put where the copy is made lead nowhere.
func TestFillHostile(t *testing.T) {
	image, outside := layImage(t), t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "kept"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{copying, copied} {
		volume := t.TempDir()
		if err := os.Symlink(outside, filepath.Join(volume, name)); err != nil {
			t.Fatal(err)
		}
		err := fill(t, t.Context(), image, "/srv/data", volume)
		if (err != nil) != (name == copied) {
			t.Errorf("%s: %v", name, err)
		}
		if got := names(t, outside); !slices.Equal(got, []string{"kept"}) {
			t.Errorf("%s: outside is %q", name, got)
		}
	}
}
