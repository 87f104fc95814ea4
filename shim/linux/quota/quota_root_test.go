package quota

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/linux/quota/quotatest"
)

const mib = 1 << 20

// write writes to a file without CAP_SYS_RESOURCE, which no container has: ext4 refuses nothing to
// a process with it.
func write(t *testing.T, path string) (wrote int, errno string) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{writerEnv + "=" + path}
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	fmt.Sscan(string(out), &wrote, &errno)
	return wrote, errno
}

// refused checks that a write was refused for lack of space. ext4 and xfs have different errors.
func refused(t *testing.T, path string, most int) {
	t.Helper()
	wrote, errno := write(t, path)
	if errno != "EDQUOT" && errno != "ENOSPC" || wrote > most {
		t.Errorf("%d bytes written to %s, error %q; want at most %d, and EDQUOT or ENOSPC", wrote, path, errno, most)
	}
}

// admitted is the control of refused.
func admitted(t *testing.T, path string) {
	t.Helper()
	if wrote, errno := write(t, path); errno != "" || wrote != fillBytes {
		t.Errorf("%d bytes written to %s, error %q; want all", wrote, path, errno)
	}
}

func bind(t *testing.T, bytes int64, paths ...string) {
	t.Helper()
	if err := Bound(context.Background(), bytes, paths...); err != nil {
		t.Fatal(err)
	}
}

func state(t *testing.T, path string) State {
	t.Helper()
	s, err := Look(path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestRootBound(t *testing.T) {
	quotatest.Each(t, func(t *testing.T, d *quotatest.FileSystem) {
		data, other := d.Folder(t, "data"), d.Folder(t, "other")
		d.Folder(t, "data/deep/er")
		if err := os.WriteFile(filepath.Join(data, "deep/er/before"), make([]byte, mib), 0o666); err != nil {
			t.Fatal(err)
		}
		if s := state(t, data); !s.Hard || s.ID != 0 || s.Limit != 0 {
			t.Errorf("at first: %+v", s)
		}
		bind(t, 4*mib, data)
		if s := state(t, data); s.ID != FirstID || s.Limit != 4*mib || s.Used < mib || s.Used > 2*mib || s.Files != 4 {
			t.Errorf("bounded: %+v", s)
		}
		refused(t, filepath.Join(data, "deep/er/more"), 3*mib)
		refused(t, filepath.Join(data, "deep/er/before"), 64<<10)
		admitted(t, filepath.Join(other, "more"))

		bind(t, 32*mib, data)
		admitted(t, filepath.Join(data, "more"))
		bind(t, 2*mib, data) // less than it has
		refused(t, filepath.Join(data, "again"), 0)
		if s := state(t, data); s.Limit != 2*mib || s.Used <= s.Limit {
			t.Errorf("made smaller than its content: %+v", s)
		}
		bind(t, 0, data)
		admitted(t, filepath.Join(data, "again"))
		if s := state(t, data); s.ID != FirstID || s.Limit != 0 {
			t.Errorf("without a bound: %+v", s)
		}
	})
}

func TestRootBoundOutlivesAMount(t *testing.T) {
	quotatest.Each(t, func(t *testing.T, d *quotatest.FileSystem) {
		data := d.Folder(t, "data")
		bind(t, 4*mib, data)
		refused(t, filepath.Join(data, "x"), 4*mib)
		before := state(t, data)
		d.MountAgain(t)
		if s := state(t, data); s != before {
			t.Errorf("%+v, before %+v", s, before)
		}
		refused(t, filepath.Join(data, "x"), 0)
	})
}

// An id that any file has is another's, whether or not we know whose.
func TestRootIDs(t *testing.T) {
	quotatest.Each(t, func(t *testing.T, d *quotatest.FileSystem) {
		others, theirs, data, more := d.Folder(t, "others"), d.Folder(t, "theirs"), d.Folder(t, "data"), d.Folder(t, "more")
		project(t, others, FirstID)
		project(t, theirs, 7)
		bind(t, 4*mib, data)
		bind(t, 4*mib, more)
		if a, b := state(t, data).ID, state(t, more).ID; a != FirstID+1 || b != FirstID+2 {
			t.Errorf("ids %d and %d beside %d", a, b, FirstID)
		}
		if s := state(t, theirs); s.Hard || !strings.Contains(s.Why, "project 7") {
			t.Errorf("a folder of another program's project: %+v", s)
		}
		if err := Bound(context.Background(), 4*mib, theirs); !errors.Is(err, ErrSoft) {
			t.Errorf("bound another program's folder: %v", err)
		}
		if err := os.RemoveAll(others); err != nil {
			t.Fatal(err)
		}
		awaitFree(t, data, FirstID)
		bind(t, 4*mib, d.Folder(t, "last"))
		if id := state(t, filepath.Join(d.At, "last")).ID; id != FirstID {
			t.Errorf("a free id isn't given again: %d", id)
		}
	})
}

// awaitFree waits until no file has the id: xfs deletes files in the background.
func awaitFree(t *testing.T, path string, id uint32) {
	t.Helper()
	fd, err := openFolder(path)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if q, err := usage(fd, id); err != nil || q.inodes == 0 {
			return
		} else if time.Now().After(end) {
			t.Fatalf("project %d still has %d files", id, q.inodes)
		}
	}
}

func project(t *testing.T, path string, id uint32) {
	t.Helper()
	fd, err := openFolder(path)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := setProject(fd, id, true); err != nil {
		t.Fatal(err)
	}
}

// A daemon that is killed while it counts a folder leaves it without a limit, and so does it again.
func TestRootBoundInterrupted(t *testing.T) {
	quotatest.Each(t, func(t *testing.T, d *quotatest.FileSystem) {
		data := d.Folder(t, "data")
		if err := os.WriteFile(filepath.Join(data, "before"), make([]byte, mib), 0o666); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := Bound(ctx, 4*mib, data); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if s := state(t, data); s.ID != FirstID || s.Limit != 0 {
			t.Errorf("interrupted: %+v", s)
		}
		bind(t, 4*mib, data)
		if s := state(t, data); s.Limit != 4*mib || s.Used < mib {
			t.Errorf("done again: %+v", s)
		}
	})
}

// A container chooses what is in its folder. Nothing out of it gets the id.
func TestRootBoundStaysInside(t *testing.T) {
	quotatest.Each(t, func(t *testing.T, d *quotatest.FileSystem) {
		data, outside := d.Folder(t, "data"), d.Folder(t, "outside")
		if err := errors.Join(
			os.WriteFile(filepath.Join(outside, "file"), make([]byte, mib), 0o666),
			os.Symlink(outside, filepath.Join(data, "link")),
			os.Symlink(filepath.Join(outside, "file"), filepath.Join(data, "link to a file")),
			unix.Mkfifo(filepath.Join(data, "pipe"), 0o666),
		); err != nil {
			t.Fatal(err)
		}
		mounted := d.Folder(t, "data/mounted")
		if err := unix.Mount(outside, mounted, "", unix.MS_BIND, ""); err != nil {
			t.Fatal(err)
		}
		defer unix.Unmount(mounted, unix.MNT_DETACH)
		bind(t, 4*mib, data)
		if s := state(t, data); s.Used > mib/2 {
			t.Errorf("it counts what is outside: %+v", s)
		}
		if s := state(t, outside); s.ID != 0 {
			t.Errorf("outside: %+v", s)
		}
	})
}

// An actor is a context that calls do each time it is asked whether it has ended.
type actor struct {
	context.Context
	do func()
}

func (a actor) Err() error {
	a.do()
	return a.Context.Err()
}

// projectOf returns the project id of an open file.
func projectOf(t *testing.T, fd int) uint32 {
	t.Helper()
	a, err := attributes(fd)
	if err != nil {
		t.Fatal(err)
	}
	return a.project
}

// projectAt returns the project id of a folder.
func projectAt(t *testing.T, path string) uint32 {
	t.Helper()
	fd, err := openFolder(path)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	return projectOf(t, fd)
}

// eachTagged calls test with a folder of each file system that has project ids. xfs has them
// without quotas, so a kernel that lacks quotas can test it.
func eachTagged(t *testing.T, test func(t *testing.T, data string)) {
	for kind, options := range map[string]string{"ext4": "prjquota", "xfs": "noatime"} {
		t.Run(kind, func(t *testing.T) { test(t, quotatest.New(t, kind, options).Folder(t, "data")) })
	}
}

// A container may move folders in which others are still to be tagged.
func TestRootTagWhileFoldersMove(t *testing.T) { eachTagged(t, testTagWhileFoldersMove) }

func testTagWhileFoldersMove(t *testing.T, data string) {
	from, to := filepath.Join(data, "from"), filepath.Join(data, "to")
	if err := errors.Join(os.MkdirAll(filepath.Join(from, "in"), 0o755), os.WriteFile(filepath.Join(from, "in", "file"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	moved := false
	move := func() {
		if !moved && projectAt(t, from) == FirstID {
			if err := os.Rename(from, to); err != nil {
				t.Fatal(err)
			}
			moved = true
		}
	}
	if err := tag(actor{context.Background(), move}, data, FirstID); err != nil {
		t.Fatal(err)
	}
	if !moved {
		t.Fatal("nothing was moved")
	}
	file, err := os.Open(filepath.Join(to, "in", "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if folder, id := projectAt(t, filepath.Join(to, "in")), projectOf(t, int(file.Fd())); folder != FirstID || id != FirstID {
		t.Errorf("a folder that was moved is in project %d, and its file in %d", folder, id)
	}
}

// A container may nest folders deeper than a path is long, and make more of them than are read at
// once.
func TestRootTagDeepAndWide(t *testing.T) { eachTagged(t, testTagDeepAndWide) }

func testTagDeepAndWide(t *testing.T, data string) {
	at, err := openFolder(data)
	if err != nil {
		t.Fatal(err)
	}
	var all []int
	for range 40 {
		for i := range 30 {
			if err := unix.Mkdirat(at, fmt.Sprint(i), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		name := strings.Repeat("d", 200)
		if err := unix.Mkdirat(at, name, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"0", "29", name} {
			fd, err := unix.Openat(at, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, fd)
		}
		unix.Close(at)
		at, err = unix.Dup(all[len(all)-1])
		if err != nil {
			t.Fatal(err)
		}
	}
	unix.Close(at)
	if err := tag(context.Background(), data, FirstID); err != nil {
		t.Error(err)
	}
	for i, fd := range all {
		if id := projectOf(t, fd); id != FirstID {
			t.Errorf("folder %d is in project %d", i, id)
		}
		unix.Close(fd)
	}
}

// Empty files take no bytes, and ext4 has a fixed number of inodes.
func TestRootBoundFiles(t *testing.T) {
	quotatest.Each(t, func(t *testing.T, d *quotatest.FileSystem) {
		data := d.Folder(t, "data")
		bind(t, mib, data)
		for i := state(t, data).Files; i < host.MaxFiles(mib); i++ {
			if err := os.WriteFile(filepath.Join(data, fmt.Sprint(i)), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		refused(t, filepath.Join(data, "one more"), 0)
		if err := os.Remove(filepath.Join(data, "2")); err != nil {
			t.Fatal(err)
		}
		if wrote, errno := write(t, filepath.Join(data, "one more")); wrote == 0 {
			t.Errorf("in place of another: %s", errno)
		}
	})
}

// overlayfs writes with the rights of the one who mounted it, without CAP_SYS_RESOURCE (Linux
// 4.10, ovl_fill_super).
func TestRootBoundOverlay(t *testing.T) {
	quotatest.Each(t, func(t *testing.T, d *quotatest.FileSystem) {
		upper, work, lower, merged := d.Folder(t, "upper"), d.Folder(t, "work"), d.Folder(t, "lower"), d.Folder(t, "merged")
		if err := errors.Join(os.WriteFile(filepath.Join(lower, "image"), make([]byte, mib), 0o666), os.Chmod(filepath.Join(lower, "image"), 0o666)); err != nil {
			t.Fatal(err)
		}
		bind(t, 4*mib, upper, work)
		if err := unix.Mount("overlay", merged, "overlay", 0, fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", lower, upper, work)); err != nil {
			t.Fatal(err)
		}
		defer unix.Unmount(merged, unix.MNT_DETACH)
		refused(t, filepath.Join(merged, "image"), 3*mib) // copied up
		refused(t, filepath.Join(merged, "new"), mib/4)
		if err := os.Truncate(filepath.Join(merged, "image"), 0); err != nil { // a whiteout might find no room
			t.Fatal(err)
		}
		if wrote, _ := write(t, filepath.Join(merged, "new")); wrote < mib {
			t.Errorf("after a file was emptied, %d bytes fit", wrote)
		}
		bind(t, 64*mib, upper, work)
		admitted(t, filepath.Join(merged, "newer"))
	})
}

func TestRootNoProjectQuotas(t *testing.T) {
	for _, kind := range []string{"ext4", "xfs"} {
		t.Run(kind, func(t *testing.T) {
			d := quotatest.New(t, kind, "noatime")
			data := d.Folder(t, "data")
			if s := state(t, data); s.Hard || !strings.Contains(s.Why, kind) || !strings.Contains(s.Why, "prjquota") {
				t.Errorf("%+v", s)
			}
			if err := Bound(context.Background(), mib, data); !errors.Is(err, ErrSoft) {
				t.Error(err)
			}
			admitted(t, filepath.Join(data, "x"))
		})
	}
	if s := state(t, "/dev/shm"); s.Hard || s.Why == "" {
		t.Errorf("memory: %+v", s)
	}
}
