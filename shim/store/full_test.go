package store_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/disk"
	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hosttest"
	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/shim/store"
)

// A faultyDisk fails its nth operation, and unless it fails once, all that follow.
type faultyDisk struct {
	n      int
	once   bool
	frees  bool // removals succeed, as on a full disk
	seen   int
	failed string
}

func (d *faultyDisk) before(op disk.Op, path string) error {
	if d.seen++; d.seen < d.n || d.once && d.seen > d.n || d.frees && (op == disk.OpRemove || op == disk.OpSyncFolder) {
		return nil
	}
	if d.failed == "" {
		d.failed = fmt.Sprintf("%s %s", op, filepath.Base(path))
	}
	return &os.PathError{Op: string(op), Path: path, Err: unix.ENOSPC}
}

// wantedNow returns what a load wants, without its problems.
func wantedNow(s *store.Store) string {
	return strings.Join(slices.DeleteFunc(loaded(s), func(line string) bool { return strings.HasPrefix(line, "!") }), ", ")
}

// An apply of two files fails at any of its operations. If it was refused, neither file counts: not
// now, not for the next daemon, and not when there is space again. If it was accepted, both count.
// The command that follows changes nothing about that.
func TestInstallAllOrNone(t *testing.T) {
	const refused, accepted = "job 1 job.hcl", "job 2 job.hcl, shop 1 shop.hcl"
	another := hosttest.Edited(hosttest.Job, `"job"`, `"late"`)
	for _, kind := range []faultyDisk{{once: true}, {frees: true}, {}} {
		for _, restart := range []bool{false, true} {
			t.Run(fmt.Sprintf("once %v, frees %v, restart %v", kind.once, kind.frees, restart), func(t *testing.T) {
				t.Parallel()
				results := map[bool]int{}
				for n := 1; ; n++ {
					s, l := newStoreInMemory(t)
					if _, err := s.Install(applied("job.hcl", hosttest.Job), group.Origin{By: group.ByApply}); err != nil {
						t.Fatal(err)
					}
					s.Load()
					d := kind
					d.n = n
					s.Disk.Before = d.before
					_, err := s.Install(applied("job.hcl", hosttest.Edited(hosttest.Job, "once:1", "once:2"), "shop.hcl", hosttest.Shop), group.Origin{By: group.ByApply})
					if d.failed == "" {
						if results[true] == 0 || results[false] == 0 {
							t.Errorf("%d applies were accepted and %d refused", results[true], results[false])
						}
						return
					}
					want := accepted
					if err != nil {
						want = refused
					}
					results[err == nil]++
					check := func(when, want string) {
						t.Helper()
						if got := wantedNow(s); got != want {
							t.Errorf("%s failed, Install said %v; %s: wanted %q, want %q", d.failed, err, when, got, want)
						}
					}
					check("at once", want)
					if restart {
						s = store.New(l)
						s.Disk.Before = d.before
						check("the next daemon", want)
					}
					if _, err := s.Install(applied("late.hcl", another), group.Origin{By: group.ByApply}); err == nil {
						want = strings.Replace(want, "hcl", "hcl, late 1 late.hcl", 1)
					}
					check("after the next command", want)
					s.Disk.Before = nil
					check("with space", want)
					if l := s.Load(); !l.Complete() {
						t.Errorf("%s failed; with space: %v", d.failed, l.Problems)
					}
					if left, _ := filepath.Glob(filepath.Join(l.StateDir, "*.json")); len(left) > 0 {
						t.Errorf("%s failed; left: %v", d.failed, left)
					}
					s = store.New(l)
					check("the daemon after that", want)
				}
			})
		}
	}
}

// An apply was accepted, and its groups could not be built. What was before counts again even if
// nothing can be written, and the next daemon finds it when there was space again.
func TestTakenBackOnAFullDisk(t *testing.T) {
	for _, tt := range []struct{ before, name, want string }{
		{hosttest.Job, "job.hcl", "job 3 job.hcl"},
		{"", "job.hcl", "- job"},
	} {
		for n := 1; ; n++ {
			s, l := newStoreInMemory(t)
			s.Load()
			want := tt.want
			if tt.before != "" {
				if _, err := s.Install(applied(tt.name, tt.before), group.Origin{By: group.ByApply}); err != nil {
					t.Fatal(err)
				}
				s.Load()
			}
			undo, err := s.Install(applied(tt.name, hosttest.Edited(hosttest.Job, "once:1", "once:2")), group.Origin{By: group.ByApply})
			if err != nil {
				t.Fatal(err)
			}
			s.Load()
			d := faultyDisk{n: n, frees: true}
			s.Disk.Before = d.before
			if err := undo[tt.name]("not ready"); err != nil {
				t.Errorf("%s failed: %v", d.failed, err)
			}
			if got := wantedNow(s); got != want {
				t.Errorf("%q failed: wanted %q, want %q", d.failed, got, want)
			}
			s.Disk.Before = nil
			if got := loaded(s); strings.Join(got, ", ") != want {
				t.Errorf("%q failed, with space: wanted %q, want %q", d.failed, got, want)
			}
			if got := wantedNow(store.New(l)); got != want {
				t.Errorf("%q failed, the next daemon: wanted %q, want %q", d.failed, got, want)
			}
			if d.failed == "" {
				break
			}
		}
	}
}

// An apply of one file with one group writes each file once, and waits for the disk eight times.
// With each further file and each further group come five more and two more.
func TestSyncsOfAnApply(t *testing.T) {
	for _, tt := range []struct {
		name  string
		files []string
		most  int
	}{
		{"new", []string{"job.hcl", hosttest.Job}, 8},
		{"another definition", []string{"job.hcl", hosttest.Edited(hosttest.Job, "once:1", "once:2")}, 8},
		{"unchanged", []string{"job.hcl", hosttest.Edited(hosttest.Job, "once:1", "once:2")}, 8},
		{"two files", []string{"job.hcl", hosttest.Job, "shop.hcl", hosttest.Shop}, 14},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, _ := newStoreInMemory(t)
			s.Load()
			install := func(files ...string) {
				if _, err := s.Install(applied(files...), group.Origin{By: group.ByApply}); err != nil {
					t.Fatal(err)
				}
				for _, w := range s.Load().New {
					if err := s.RecordOutcome(w.Group.Name, w.Generation, group.Proved, ""); err != nil {
						t.Fatal(err)
					}
				}
			}
			if tt.name != "new" {
				install("job.hcl", hosttest.Job)
			}
			if tt.name == "unchanged" {
				install(tt.files...)
			}
			syncs := 0
			written := map[string]int{}
			s.Disk.Before = func(op disk.Op, path string) error {
				switch op {
				case disk.OpSync, disk.OpSyncFolder:
					syncs++
				case disk.OpRename:
					written[path]++
				}
				return nil
			}
			install(tt.files...)
			if syncs > tt.most || syncs < 4 {
				t.Errorf("%d syncs, want at most %d", syncs, tt.most)
			}
			for path, n := range written {
				if n > 1 {
					t.Errorf("%s was written %d times", path, n)
				}
			}
			if len(written) < 3 {
				t.Errorf("written: %v", written)
			}
		})
	}
}

// newStoreIn is newStore with the state in another folder.
func newStoreIn(t *testing.T, state string) (*store.Store, layout.Layout) {
	dir := t.TempDir()
	l := layout.Layout{GroupsDir: filepath.Join(dir, "groups.d"), StateDir: filepath.Join(state, "state"), RunDir: filepath.Join(dir, "run")}
	return store.New(l), l
}

// newStoreInMemory is newStore in memory, on a host that has such a folder.
func newStoreInMemory(t *testing.T) (*store.Store, layout.Layout) {
	dir := memoryDir(t)
	l := layout.Layout{GroupsDir: filepath.Join(dir, "groups.d"), StateDir: filepath.Join(dir, "state"), RunDir: filepath.Join(dir, "run")}
	return store.New(l), l
}

// memoryDir returns a folder in memory, if the host has such. A sync takes milliseconds on a busy
// disk.
func memoryDir(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "sallyport-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// A disk with any number of free blocks takes both files of an apply, or none.
func TestRootInstallOnAFullDisk(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("mounting needs root")
	}
	const refused, accepted = "job 1 job.hcl", "job 2 job.hcl, shop 1 shop.hcl"
	results := map[bool]int{}
	for free := 0; free < 24; free++ {
		dir := t.TempDir()
		if err := unix.Mount("full", dir, "tmpfs", 0, "size=512k"); err != nil {
			t.Fatal(err)
		}
		func() {
			defer func() {
				if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
					t.Error(err)
				}
			}()
			s, l := newStoreIn(t, dir)
			if _, err := s.Install(applied("job.hcl", hosttest.Job), group.Origin{By: group.ByApply}); err != nil {
				t.Fatal(err)
			}
			s.Load()
			ballast := filepath.Join(dir, "ballast")
			leave(t, ballast, free)
			_, err := s.Install(applied("job.hcl", hosttest.Edited(hosttest.Job, "once:1", "once:2"), "shop.hcl", hosttest.Shop), group.Origin{By: group.ByApply})
			results[err == nil]++
			want := accepted
			if err != nil {
				want = refused
			}
			for when, s := range map[string]*store.Store{"now": s, "the next daemon": store.New(l)} {
				if got := wantedNow(s); got != want {
					t.Errorf("%d blocks free, Install said %v; %s: wanted %q", free, err, when, got)
				}
			}
			if err := os.Remove(ballast); err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(loaded(s), ", "); got != want {
				t.Errorf("%d blocks free, Install said %v; with space: %q", free, err, got)
			}
			if got := strings.Join(loaded(store.New(l)), ", "); got != want {
				t.Errorf("%d blocks free, Install said %v; the daemon after that: %q", free, err, got)
			}
		}()
	}
	if results[true] == 0 || results[false] == 0 {
		t.Errorf("%d applies were accepted and %d refused", results[true], results[false])
	}
}

// The folder of group files is on a file system that gives no answer. The state folder is opened
// all the same.
func TestRootOpenWithADeadFolder(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("mounting needs root")
	}
	for _, groups := range []string{"none", "one"} {
		s, l := newStore(t)
		if groups == "one" {
			if _, err := s.Install(applied("job.hcl", hosttest.Job), group.Origin{By: group.ByApply}); err != nil {
				t.Fatal(err)
			}
		}
		s.Load()
		s = store.New(l)
		fuse, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Skip("the kernel has no FUSE: ", err)
		}
		if err := unix.Mount("dead", l.GroupsDir, "fuse", 0, fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", fuse)); err != nil {
			t.Fatal(err)
		}
		opened := make(chan error, 1)
		go func() { opened <- s.Open() }()
		select {
		case err = <-opened:
		case <-time.After(time.Minute):
			t.Errorf("with %s group, Open waits", groups)
		}
		if err := errors.Join(err, unix.Close(fuse), unix.Unmount(l.GroupsDir, unix.MNT_DETACH)); err != nil {
			t.Errorf("with %s group: %v", groups, err)
		}
	}
}

// leave fills a disk and leaves some blocks free.
func leave(t *testing.T, ballast string, blocks int) {
	t.Helper()
	f, err := os.Create(ballast)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	size := int64(0)
	for err == nil {
		n := 0
		n, err = f.Write(make([]byte, 4096))
		size += int64(n)
	}
	if err := f.Truncate(size - int64(blocks)*4096); err != nil {
		t.Fatal(err)
	}
}
