package inside

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/disk"
	"github.com/sallyport/sallyport/shim/hint"
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

// Links, files and pipes that a program has put where the copy is made lead nowhere, are removed,
// and are not in the way of the next start.
func TestFillHostile(t *testing.T) {
	image, outside := layImage(t), t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "kept"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{copying, copied} {
		for kind, put := range map[string]func(path string) error{
			"link": func(path string) error { return os.Symlink(outside, path) },
			"file": func(path string) error { return os.WriteFile(path, []byte("mine"), 0o600) },
			"pipe": func(path string) error { return unix.Mkfifo(path, 0o600) },
		} {
			volume := t.TempDir()
			if err := put(filepath.Join(volume, name)); err != nil {
				t.Fatal(err)
			}
			if filled, err := Filled(volume); filled || err != nil {
				t.Errorf("%s %s: filled before: %v, %v", kind, name, filled, err)
			}
			if err := fill(t, t.Context(), image, "/srv/data", volume); err != nil {
				t.Errorf("%s %s: %v", kind, name, err)
			}
			if got := names(t, volume); len(got) > 0 {
				t.Errorf("%s %s: the volume has %q", kind, name, got)
			}
			if got := names(t, outside); !slices.Equal(got, []string{"kept"}) {
				t.Errorf("%s %s: outside is %q", kind, name, got)
			}
		}
	}
	volume := t.TempDir() // a whole copy counts, whatever is at the place of an unfinished one
	if err := errors.Join(os.Mkdir(filepath.Join(volume, copied), 0o700), os.WriteFile(filepath.Join(volume, copied, "a"), nil, 0o600),
		os.WriteFile(filepath.Join(volume, copying), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := fill(t, t.Context(), image, "/srv/data", volume); err != nil || !slices.Equal(names(t, volume), []string{"a"}) {
		t.Errorf("a whole copy and a file: %v, %q", err, names(t, volume))
	}
}

// inMemory makes a folder for many files.
func inMemory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "sallyport-test-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := disk.RemoveAll(context.Background(), dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// nest makes folders in one another in a new folder, without a path. A name has 200 bytes, so that
// the whole path is longer than PATH_MAX.
func nest(t *testing.T, dir string, depth int) {
	t.Helper()
	at, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	name := strings.Repeat("d", 200)
	for range depth {
		if err := unix.Mkdirat(at, name, 0o700); err != nil {
			t.Fatal(err)
		}
		below, err := unix.Openat(at, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		unix.Close(at)
		at = below
	}
	unix.Close(at)
}

// A container can nest folders without end where the copy is made. They are removed with few
// descriptors, and not after the end of the context.
func TestFillHostileDeep(t *testing.T) {
	image := layImage(t)
	for name, want := range map[string][]string{copying: {"mine"}, copied: {"mine", strings.Repeat("d", 200)}} {
		volume := inMemory(t)
		if err := errors.Join(os.WriteFile(filepath.Join(volume, "mine"), nil, 0o600), os.Mkdir(filepath.Join(volume, name), 0o700)); err != nil {
			t.Fatal(err)
		}
		if name == copied { // its folder stays, since the name is taken
			if err := os.WriteFile(filepath.Join(volume, want[1]), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		nest(t, filepath.Join(volume, name), 3000)
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if err := fill(t, ended, image, "/srv/data", volume); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: ended early: %v", name, err)
		}
		if _, err := os.Lstat(filepath.Join(volume, name)); err != nil {
			t.Errorf("%s: after the early end: %v", name, err)
		}
		limitFiles(t, 8, func() {
			if err := fill(t, t.Context(), image, "/srv/data", volume); err != nil {
				t.Errorf("%s: %v", name, hint.Excerpt(err.Error(), hint.Long))
			}
		})
		entries, err := os.ReadDir(volume)
		var got []string
		for _, e := range entries {
			got = append(got, e.Name())
		}
		slices.Sort(want)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// limitFiles calls f with that many free descriptors.
func limitFiles(t *testing.T, free uint64, f func()) {
	t.Helper()
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	now := was
	now.Cur = uint64(len(open)) + free
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &now); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
			t.Error(err)
		}
	}()
	f()
}

// Each level of an image's tree is a descriptor.
func TestFillDepth(t *testing.T) {
	for _, tt := range []struct {
		depth int
		text  string // of the error
	}{{maxDepth / 3, ""}, {maxDepth, "folders are nested deeper than 256"}} {
		image, volume := inMemory(t), t.TempDir()
		if err := os.MkdirAll(filepath.Join(image, "data", strings.Repeat("d/", tt.depth)), 0o700); err != nil {
			t.Fatal(err)
		}
		err := fill(t, t.Context(), image, "/data", volume)
		if got := names(t, volume); (err != nil) != (tt.text != "") || err != nil && !strings.Contains(err.Error(), tt.text) || (err == nil) != (len(got) == tt.depth) {
			t.Errorf("%d deep: %v, and %d names", tt.depth, err, len(got))
		}
	}
}

// Before each start a volume is looked at that may have millions of names.
func TestFilledReadsFewNames(t *testing.T) {
	const files = 1000
	image, volume := layImage(t), inMemory(t)
	for i := range files {
		if err := os.WriteFile(filepath.Join(volume, strconv.Itoa(i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if n := testing.AllocsPerRun(1, func() {
		if filled, err := Filled(volume); !filled || err != nil {
			t.Errorf("filled: %v, %v", filled, err)
		}
		if err := fill(t, t.Context(), image, "/srv/data", volume); err != nil {
			t.Error(err)
		}
	}); n > files/2 {
		t.Errorf("%v allocations for %d names", n, files)
	}
}

// More files are moved than are read at once, and those whose names are taken stay where they are.
func TestFillSettlesMany(t *testing.T) {
	volume := inMemory(t)
	if err := os.Mkdir(filepath.Join(volume, copied), 0o700); err != nil {
		t.Fatal(err)
	}
	const files = listAtOnce + 10
	for i := range files {
		if err := os.WriteFile(filepath.Join(volume, copied, strconv.Itoa(i)), []byte("ours"), 0o600); err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			if err := os.WriteFile(filepath.Join(volume, strconv.Itoa(i)), []byte("mine"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := fill(t, ended, layImage(t), "/srv/data", volume); !errors.Is(err, context.Canceled) {
		t.Errorf("ended early: %v", err)
	}
	if err := fill(t, t.Context(), layImage(t), "/srv/data", volume); err != nil {
		t.Fatal(err)
	}
	if got := names(t, volume); len(got) != files {
		t.Errorf("%d files, want %d", len(got), files)
	}
	for i := range files {
		want := "ours"
		if i%2 == 0 {
			want = "mine"
		}
		if got, err := os.ReadFile(filepath.Join(volume, strconv.Itoa(i))); string(got) != want || err != nil {
			t.Fatalf("%d is %q, %v", i, got, err)
		}
	}
}

// A copy that ends early gives back the room that it took, or is finished by the next call.
func TestFillEndsEarly(t *testing.T) {
	image := layImage(t)
	halves := map[bool]bool{} // by whether the copy was whole
	for calls := 0; ; calls++ {
		volume := inMemory(t)
		err := fill(t, &endsAfter{t.Context(), calls}, image, "/srv/data", volume)
		if err == nil {
			break
		}
		left := names(t, volume)
		if !errors.Is(err, context.Canceled) || len(left) > 0 && left[0] != copied {
			t.Errorf("after %d calls: %v, %q", calls, err, left)
		}
		halves[len(left) > 0] = true
		if err := fill(t, t.Context(), image, "/srv/data", volume); err != nil || !slices.Equal(names(t, volume), whole) {
			t.Errorf("after %d calls, and again: %v, %q", calls, err, names(t, volume))
		}
	}
	if !halves[true] || !halves[false] {
		t.Errorf("it ended never before the copy was whole, or never after: %v", halves)
	}
}
