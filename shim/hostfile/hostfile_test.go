package hostfile

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// TestMain fails if a goroutine is left.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const most = 1 << 10

func put(t *testing.T, path, content string) string {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o600)); err != nil {
		t.Fatal(err)
	}
	return path
}

func symlink(t *testing.T, to, path string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.Symlink(to, path)); err != nil {
		t.Fatal(err)
	}
}

// Whatever is at the path, Read ends, and a plain file at the same place is read.
func TestRead(t *testing.T) {
	for _, tt := range []struct {
		name string
		make func(t *testing.T, dir, path string)
		err  string // empty: "secret" is read
	}{
		{"plain file", func(t *testing.T, _, path string) { put(t, path, "secret") }, ""},
		{"nothing", func(*testing.T, string, string) {}, "no such file or directory"},
		{"folder", func(t *testing.T, _, path string) { put(t, path+"/x", "") }, "it is a folder"},
		{"named pipe", func(t *testing.T, _, path string) {
			if err := unix.Mkfifo(path, 0o600); err != nil {
				t.Fatal(err)
			}
		}, "it is a named pipe: put a plain file there or take it away"},
		{"socket", func(t *testing.T, _, path string) {
			t.Chdir(filepath.Dir(path)) // a socket's path is at most 107 bytes long
			l, err := net.Listen("unix", filepath.Base(path))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
		}, "it is a socket"},
		{"link to a device", func(t *testing.T, _, path string) { symlink(t, "/dev/zero", path) }, "leads out of its folder"},
		{"40 GB without content", func(t *testing.T, _, path string) {
			put(t, path, "")
			if err := os.Truncate(path, 40<<30); err != nil {
				t.Fatal(err)
			}
		}, "it has more than 40959 MiB and may have at most 1 KiB"},
		{"one byte too many", func(t *testing.T, _, path string) { put(t, path, strings.Repeat("x", most+1)) }, "at most 1 KiB"},
		{"link beside it", func(t *testing.T, dir, path string) {
			put(t, filepath.Join(dir, "real"), "secret")
			symlink(t, "real", path)
		}, ""},
		{"absolute link beside it", func(t *testing.T, dir, path string) {
			symlink(t, put(t, filepath.Join(dir, "real"), "secret"), path)
		}, ""},
		{"links as of a mounted ConfigMap", func(t *testing.T, dir, path string) {
			put(t, filepath.Join(dir, "..2026", filepath.Base(path)), "secret")
			symlink(t, "..2026", filepath.Join(dir, "..data"))
			symlink(t, "..data/"+filepath.Base(path), path)
		}, ""},
		{"link out of the folder", func(t *testing.T, dir, path string) {
			put(t, filepath.Join(filepath.Dir(dir), "key"), "secret")
			symlink(t, "../key", path)
		}, "leads out of its folder: name the file that it leads to, or put that file there"},
		{"absolute link out of the folder", func(t *testing.T, _, path string) {
			symlink(t, put(t, filepath.Join(t.TempDir(), "key"), "secret"), path)
		}, "leads out of its folder"},
		{"link out of the folder and in again", func(t *testing.T, dir, path string) {
			put(t, filepath.Join(dir, "real"), "secret")
			symlink(t, "../"+filepath.Base(dir)+"/real", path)
		}, "leads out of its folder"},
		{"link by a link that leads out", func(t *testing.T, dir, path string) {
			put(t, filepath.Join(dir, "key"), "secret")
			symlink(t, "../key", filepath.Join(dir, "written", "x"))
			symlink(t, "written/x", path)
		}, "/written/x leads out of its folder"},
		{"links in a circle", func(t *testing.T, _, path string) { symlink(t, filepath.Base(path), path) }, "too many levels of symbolic links"},
		{"link to nothing", func(t *testing.T, _, path string) { symlink(t, "none", path) }, "no such file or directory"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			path := filepath.Join(dir, "file")
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			tt.make(t, dir, path)
			for _, folder := range []string{dir, filepath.Dir(dir), "", "/somewhere/else"} {
				content, err := Read(t.Context(), folder, path, most)
				check(t, content, err, tt.err)
			}
			f, err := Open(t.Context(), dir, path)
			if err == nil {
				content := make([]byte, 6)
				_, err = f.ReadAt(content, 0)
				f.Close()
				if f.Info().Size() > most {
					return // Open has no limit
				}
				check(t, content, err, tt.err)
			} else {
				check(t, nil, err, tt.err)
			}
		})
	}
}

func check(t *testing.T, content []byte, err error, want string) {
	t.Helper()
	var perr *fs.PathError
	switch {
	case want == "" && (err != nil || string(content) != "secret"):
		t.Errorf("got %q and %v", content, err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
		t.Errorf("error %v, want %q", err, want)
	case want != "" && !errors.As(err, &perr):
		t.Errorf("error %T, want a PathError", err)
	}
}

// A folder that a container writes to is below the group file's: its link leads to what is outside
// of it, though not outside of the group file's folder.
func TestReadFollowsNoLinkOutOfAFolderBelow(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "web.key"), "secret")
	symlink(t, "../web.key", filepath.Join(dir, "data", "x"))
	symlink(t, "..", filepath.Join(dir, "data", "up"))
	for _, name := range []string{"data/x", "data/up/web.key"} {
		content, err := Read(t.Context(), dir, filepath.Join(dir, name), most)
		check(t, content, err, "leads out of its folder")
	}
	content, err := Read(t.Context(), dir, filepath.Join(dir, "web.key"), most)
	check(t, content, err, "")
}

// The folder that is given may be reached through any links. A path that is not below it may not.
func TestReadInALinkedFolder(t *testing.T) {
	dir, linked := t.TempDir(), filepath.Join(t.TempDir(), "linked")
	put(t, filepath.Join(dir, "file"), "secret")
	symlink(t, dir, linked)
	content, err := Read(t.Context(), linked, filepath.Join(linked, "file"), most)
	check(t, content, err, "")
	content, err = Read(t.Context(), "/somewhere/else", filepath.Join(linked, "file"), most)
	check(t, content, err, "leads out of its folder")
	t.Chdir(linked)
	content, err = Read(t.Context(), ".", "file", most)
	check(t, content, err, "")
	content, err = Read(t.Context(), "", "file", most)
	check(t, content, err, "it is not an absolute path")
}

// Debian links /var/run to /run.
func TestOpenFollowsTheLinksOfTheSystem(t *testing.T) {
	if to, err := os.Readlink("/var/run"); err != nil || to != "/run" {
		t.Skip("/var/run is no link to /run here")
	}
	if _, err := Open(t.Context(), "", "/var/run/sallyport-none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v, want that there is no such file", err)
	}
}

func TestReadOfAFileThatGrows(t *testing.T) {
	path := put(t, filepath.Join(t.TempDir(), "file"), "")
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				_, _ = f.Write(make([]byte, 100))
			}
		}
	}()
	for {
		content, err := Read(t.Context(), "", path, most)
		if err != nil {
			check(t, nil, err, "at most 1 KiB")
			break
		}
		if len(content) > most {
			t.Fatalf("read %d bytes", len(content))
		}
	}
	close(stop)
	<-done
}

// A size that fstat gives as 0 bounds nothing: files of /proc have it.
func TestReadBoundsWhatHasNoSize(t *testing.T) {
	if _, err := Read(t.Context(), "", "/proc/self/smaps", 100); err == nil || !strings.Contains(err.Error(), "at most 0 KiB") {
		t.Errorf("error %v", err)
	}
}

func TestReadDir(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "b"), "")
	put(t, filepath.Join(dir, "a"), "")
	entries, err := ReadDir(t.Context(), dir)
	if err != nil || len(entries) != 2 || entries[0].Name() != "a" {
		t.Errorf("%v, %v", entries, err)
	}
	pipe := filepath.Join(dir, "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadDir(t.Context(), pipe); !errors.Is(err, unix.ENOTDIR) {
		t.Errorf("error %v, want ENOTDIR", err)
	}
}

func TestReadAtReachesTheEnd(t *testing.T) {
	f, err := Open(t.Context(), "", put(t, filepath.Join(t.TempDir(), "file"), "secret"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	content, err := io.ReadAll(io.NewSectionReader(f, 2, 100))
	if err != nil || string(content) != "cret" {
		t.Errorf("%q, %v", content, err)
	}
}

// A call that hangs is given up. Another one of its folder is refused at once, one elsewhere is
// made, and all are made again once the first has returned.
func TestGate(t *testing.T) {
	g := &gate{patience: time.Millisecond}
	hang, dropped := make(chan struct{}), make(chan int, 1)
	call := func() (int, error) { <-hang; return 7, nil }
	_, err := bounded(t.Context(), g, "/dead", "read", "/dead/a", call, func(n int) { dropped <- n })
	check(t, nil, err, "read /dead/a: the file system gave no answer for 1ms: check the mount that holds it")
	g.patience = time.Hour
	_, err = bounded(t.Context(), g, "/dead", "read", "/dead/b", func() (int, error) { t.Error("called"); return 0, nil }, nil)
	check(t, nil, err, "gives no answer in /dead")
	if n, err := bounded(t.Context(), g, "/alive", "read", "/alive/a", func() (int, error) { return 1, nil }, nil); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	close(hang)
	if n := <-dropped; n != 7 {
		t.Errorf("dropped %d", n)
	}
	for g.hanging() {
	}
	if n, err := bounded(t.Context(), g, "/dead", "read", "/dead/b", func() (int, error) { return 2, nil }, nil); n != 2 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}

func (g *gate) hanging() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.stuck) > 0
}

// A caller that ends does not wait. Only a call that outlasts the patience counts as one that
// hangs.
func TestGateEndsWithItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{patience: time.Minute}
		ctx, cancel := context.WithCancelCause(t.Context())
		hang, dropped := make(chan struct{}), make(chan int, 1)
		time.AfterFunc(time.Second, func() { cancel(errors.New("interrupted")) })
		begun := time.Now()
		_, err := bounded(ctx, g, "/slow", "read", "/slow/a", func() (int, error) { <-hang; return 7, nil }, func(n int) { dropped <- n })
		check(t, nil, err, "read /slow/a: interrupted")
		if took := time.Since(begun); took != time.Second {
			t.Errorf("it took %v", took)
		}
		if n, err := bounded(t.Context(), g, "/slow", "read", "/slow/b", func() (int, error) { return 1, nil }, nil); n != 1 || err != nil {
			t.Errorf("another caller: %d, %v", n, err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		_, err = bounded(t.Context(), g, "/slow", "read", "/slow/b", func() (int, error) { t.Error("called"); return 0, nil }, nil)
		check(t, nil, err, "gives no answer in /slow")
		close(hang)
		if n := <-dropped; n != 7 {
			t.Errorf("dropped %d", n)
		}
	})
}

func TestGateBoundsWhatHangs(t *testing.T) {
	g := &gate{patience: time.Millisecond}
	hang := make(chan struct{})
	for i := range maxStuck {
		folder := "/dead/" + string(rune('a'+i))
		_, err := bounded(t.Context(), g, folder, "read", folder+"/x", func() (int, error) { <-hang; return 0, nil }, nil)
		check(t, nil, err, "gave no answer")
	}
	_, err := bounded(t.Context(), g, "/dead/z", "read", "/dead/z/x", func() (int, error) { t.Error("called"); return 0, nil }, nil)
	check(t, nil, err, "16 other reads get no answer from their file systems: check the mounts, such as that of /dead/a")
	close(hang)
	for g.hanging() {
	}
}
