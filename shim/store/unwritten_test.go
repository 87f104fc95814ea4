package store_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/disk"
	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hosttest"
	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/shim/restart"
	"github.com/sallyport/sallyport/shim/store"
)

// A small is a store on a disk that can be full.
type small struct {
	*store.Store
	t       *testing.T
	layout  layout.Layout
	full    bool // the disk of the state and the group files
	runFull bool // that of the run folder
}

func newSmall(t *testing.T) *small {
	dir := memoryDir(t)
	d := &small{t: t, layout: layout.Layout{
		GroupsDir: filepath.Join(dir, "groups.d"), StateDir: filepath.Join(dir, "state"), RunDir: filepath.Join(dir, "run"),
	}}
	d.reopen()
	return d
}

// reopen is the start of another daemon.
func (d *small) reopen() {
	d.Store = store.New(d.layout)
	d.Disk.Before = func(op disk.Op, path string) error {
		inRun := strings.HasPrefix(path, d.layout.RunDir)
		if op == disk.OpWrite && (d.full && !inRun || d.runFull && inRun) {
			return &fs.PathError{Op: "write", Path: path, Err: unix.ENOSPC}
		}
		return nil
	}
}

func (d *small) must(err error) {
	if err != nil {
		d.t.Helper()
		d.t.Fatal(err)
	}
}

func (d *small) install(files ...string) {
	d.t.Helper()
	_, err := d.Install(applied(files...), group.Origin{})
	d.must(err)
	d.Load()
}

// wants returns what a load finds: "shop stopped", "- shop" for one that is gone, with " purge" if
// its volumes go too, and "! path" for a problem.
func (d *small) wants() (lines []string) {
	l := d.Load()
	for _, w := range l.Wanted {
		line := w.Group.Name
		if w.Stopped {
			line += " stopped"
		}
		lines = append(lines, line)
	}
	for _, w := range l.Gone {
		line := "- " + w.Group.Name
		if w.Purge {
			line += " purge"
		}
		lines = append(lines, line)
	}
	for _, p := range l.Problems {
		lines = append(lines, "! "+p.Path)
	}
	return lines
}

func (d *small) check(when string, want ...string) {
	d.t.Helper()
	if diff := cmp.Diff(want, d.wants()); diff != "" {
		d.t.Errorf("%s (-want +got):\n%s", when, diff)
	}
}

// checkWritten checks that nothing waits to be written, and that no copy is left.
func (d *small) checkWritten() {
	d.t.Helper()
	if n, lost := d.Unwritten(); n != 0 || lost != nil {
		d.t.Errorf("%d files are not written, lost: %v", n, lost)
	}
	_ = filepath.WalkDir(d.layout.RunDir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			d.t.Errorf("%s is left", path)
		}
		return nil
	})
}

// powerCut empties the run folder and starts another daemon.
func (d *small) powerCut() {
	d.must(os.RemoveAll(d.layout.RunDir))
	d.reopen()
}

// A full disk refuses an apply, and not what frees the disk. The wish outlives the daemon, and is
// written when there is space.
func TestFullDiskRefusesNoWishToStop(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(*small) error
		want []string
	}{
		{"stop", func(d *small) error { return d.SetStopped("job", true) }, []string{"job stopped", "shop"}},
		{"remove", func(d *small) error { return d.Remove("job", false) }, []string{"shop", "- job"}},
		{"remove with volumes", func(d *small) error { return d.Remove("job", true) }, []string{"shop", "- job purge"}},
		{"remove a file", func(d *small) error { _, err := d.RemoveFile("job.hcl", false); return err }, []string{"shop", "- job"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newSmall(t)
			d.install("job.hcl", hosttest.Job, "shop.hcl", hosttest.Shop)
			d.full = true
			if _, err := d.Install(applied("job.hcl", hosttest.Edited(hosttest.Job, "once:1", "once:2")), group.Origin{}); err == nil {
				t.Error("control: a full disk took an apply")
			}
			d.check("before", "job", "shop")
			d.must(tt.do(d))
			d.check("at once", tt.want...)
			d.reopen()
			d.check("after a crash", tt.want...)
			if n, lost := d.Unwritten(); n == 0 || lost != nil {
				t.Errorf("%d files wait, lost: %v", n, lost)
			}
			if err := d.WriteUnwritten(); err == nil {
				t.Error("control: a full disk was written to")
			}
			d.full = false
			d.must(d.WriteUnwritten())
			d.checkWritten()
			d.powerCut()
			d.check("after a power cut", tt.want...)
		})
	}
}

// What is documented: a power cut before there was space loses the wish.
func TestPowerCutLosesAnUnwrittenWish(t *testing.T) {
	d := newSmall(t)
	d.install("job.hcl", hosttest.Job)
	d.full = true
	d.must(d.SetStopped("job", true))
	d.powerCut()
	d.check("after a power cut", "job")
}

// The run folder is emptied. The daemon knows the wish, and writes another copy.
func TestEmptiedRunFolder(t *testing.T) {
	d := newSmall(t)
	d.install("job.hcl", hosttest.Job)
	d.full = true
	d.must(d.SetStopped("job", true))
	d.must(os.RemoveAll(d.layout.RunDir))
	d.check("with an emptied run folder", "job stopped")
	d.reopen()
	d.check("the next daemon", "job stopped")
}

// Without space anywhere the wish lives as long as the daemon, which knows that.
func TestFullRunFolder(t *testing.T) {
	d := newSmall(t)
	d.install("job.hcl", hosttest.Job)
	d.full, d.runFull = true, true
	d.must(d.SetStopped("job", true))
	d.check("at once", "job stopped")
	if n, lost := d.Unwritten(); n == 0 || lost == nil {
		t.Errorf("%d files wait, lost: %v", n, lost)
	}
	d.full, d.runFull = false, false
	d.must(d.WriteUnwritten())
	d.checkWritten()
	d.reopen()
	d.check("the next daemon", "job stopped")
}

// Any wish after the first counts, whatever the disk does in between.
func TestContraryWishes(t *testing.T) {
	steps := map[string]struct {
		do   func(*small) error
		want string
	}{
		"stop":  {func(d *small) error { return d.SetStopped("job", true) }, "job stopped"},
		"start": {func(d *small) error { return d.SetStopped("job", false) }, "job"},
	}
	for bits := range 1 << 4 { // the disk is full at each of four wishes, or not
		for _, order := range [][]string{{"stop", "start", "stop", "start"}, {"stop", "stop", "start", "stop"}} {
			d := newSmall(t)
			d.install("job.hcl", hosttest.Job)
			for i, name := range order {
				d.full = bits>>i&1 == 1
				d.must(steps[name].do(d))
				d.check(fmt.Sprintf("%04b, wish %d of %v", bits, i, order), steps[name].want)
				d.reopen()
				d.check(fmt.Sprintf("%04b, wish %d of %v, the next daemon", bits, i, order), steps[name].want)
			}
			d.full = false
			d.must(d.WriteUnwritten())
			d.checkWritten()
			d.powerCut()
			d.check(fmt.Sprintf("%04b, in the end", bits), steps[order[3]].want)
		}
	}
}

// A group that is removed on a full disk and applied again afterwards is there once, and runs.
func TestApplyAfterAnUnwrittenRemoval(t *testing.T) {
	d := newSmall(t)
	d.install("job.hcl", hosttest.Job)
	d.full = true
	d.must(d.SetStopped("job", true))
	d.must(d.Remove("job", true))
	d.full = false
	d.install("job.hcl", hosttest.Job)
	d.checkWritten()
	d.powerCut()
	d.check("after a power cut", "job")
}

// Forgetting a removed group leaves no copy that would bring it back.
func TestForgetUnwritten(t *testing.T) {
	d := newSmall(t)
	d.install("job.hcl", hosttest.Job)
	d.full = true
	d.must(d.Remove("job", false))
	d.check("removed", "- job")
	d.must(d.Forget("job"))
	d.checkWritten()
	d.check("forgotten")
	d.reopen()
	d.check("the next daemon")
}

// How a group and its containers have ended is kept as well: else they would run again.
func TestFullDiskKeepsHowAGroupHasEnded(t *testing.T) {
	d := newSmall(t)
	d.install("job.hcl", hosttest.Job)
	d.full = true
	d.must(d.SetEnded("job", &group.Ended{Generation: 1, At: time.Now()}))
	d.must(d.SetRestarts("job", restart.Records{"once": {Ended: true, Digest: "d"}}))
	d.reopen()
	if e, err := d.Ended("job", 1); err != nil || e == nil {
		t.Errorf("ended %v, %v", e, err)
	}
	if r, err := d.Restarts("job"); err != nil || !r["once"].Ended {
		t.Errorf("restarts %v, %v", r, err)
	}
	d.must(d.SetEnded("job", nil))
	d.reopen()
	if e, err := d.Ended("job", 1); err != nil || e != nil {
		t.Errorf("ended %v, %v, after it was forgotten", e, err)
	}
	d.full = false
	d.must(d.WriteUnwritten())
	d.checkWritten()
}

// The daemon is killed before any change of a file while it stops a group on a full disk, and while
// the wish is written or contradicted. The next one finds the wish, or that before.
func TestUnwrittenSurvivesAKill(t *testing.T) {
	for _, tt := range []struct {
		name          string
		fullThen      bool
		do            func(*store.Store) error
		before, after string
	}{
		{"stop", true, func(s *store.Store) error { return s.SetStopped("job", true) }, "job", "job stopped"},
		{"write", false, (*store.Store).WriteUnwritten, "job stopped", "job stopped"},
		{"start, full", true, func(s *store.Store) error { return s.SetStopped("job", false) }, "job stopped", "job"},
		{"start", false, func(s *store.Store) error { return s.SetStopped("job", false) }, "job stopped", "job"},
		{"remove", true, func(s *store.Store) error { return s.Remove("job", false) }, "job stopped", "- job"},
		{"remove later", false, func(s *store.Store) error { return s.Remove("job", false) }, "job stopped", "- job"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			points := 0
			for n := 1; ; n++ {
				d := newSmall(t)
				d.install("job.hcl", hosttest.Job)
				d.full = true
				if tt.name != "stop" {
					d.must(d.SetStopped("job", true))
				}
				d.full = tt.fullThen
				onDisk := d.Disk
				at := killedAt(d.layout, n, func(s *store.Store) {
					s.Disk = onDisk
					d.must(tt.do(s))
				})
				d.reopen()
				got := strings.Join(d.wants(), ", ")
				if at == "" && got != tt.after {
					t.Errorf("not killed: %s, want %s", got, tt.after)
				}
				if at == "" {
					break
				}
				points++
				if got != tt.before && got != tt.after {
					t.Errorf("killed before %q: %s", at, got)
				}
				d.full = false
				d.must(d.WriteUnwritten())
				d.powerCut()
				if then := strings.Join(d.wants(), ", "); then != got {
					t.Errorf("killed before %q: %s, and once there was space: %s", at, got, then)
				}
			}
			if points < 2 {
				t.Errorf("killed at %d points", points)
			}
		})
	}
}

// Without a free inode, the folder of a file can't be made either.
func TestRootFullDiskWithoutTheFolder(t *testing.T) {
	d := newSmall(t)
	d.install("job.hcl", hosttest.Job)
	if err := unix.Mount("full", d.layout.StateDir, "tmpfs", 0, "nr_inodes=1"); err != nil {
		t.Skip("needs root, to mount a disk without a free inode: ", err)
	}
	defer unix.Unmount(d.layout.StateDir, unix.MNT_DETACH)
	d.must(d.SetEnded("job", &group.Ended{Generation: 1}))
	d.must(d.SetRestarts("job", restart.Records{"once": {Ended: true, Digest: "d"}}))
	if n, lost := d.Unwritten(); n != 2 || lost != nil {
		t.Errorf("%d files wait, lost: %v", n, lost)
	}
}

// acceptedOnly applies two files, and the disk is full as soon as the apply is accepted.
func (d *small) acceptedOnly(files ...string) {
	d.t.Helper()
	before := d.Disk.Before
	d.Disk.Before = func(op disk.Op, path string) error {
		d.full = d.full || op == disk.OpSyncFolder && path == d.layout.StateDir
		return before(op, path)
	}
	_, err := d.Install(applied(files...), group.Origin{By: group.ByApply})
	d.must(err)
	d.Disk.Before = before
	if !d.full {
		d.t.Fatal("control: the disk is not full")
	}
	pending := func(p group.FileProblem) bool {
		return strings.Contains(p.Err.Error(), "a change counts, but is not in")
	}
	if !slices.ContainsFunc(d.Load().Problems, pending) {
		d.t.Fatal("control: nothing is pending")
	}
}

// An apply was accepted, and the disk was full before it was in the folder. Its groups are stopped
// and removed all the same. What else it has is in the folder once there is space, in the order in
// which it was asked for.
func TestWishWhileAnApplyIsPending(t *testing.T) {
	newJob := hosttest.Edited(hosttest.Job, "once:1", "once:2")
	for _, tt := range []struct {
		name    string
		do      func(*small) error
		want    string
		folder  string
		nothing bool // is pending then: removals need no space
	}{
		{"stop a new group", func(d *small) error { return d.SetStopped("shop", true) }, "job, shop stopped", "job.hcl shop.hcl", false},
		{"stop a changed group", func(d *small) error { return d.SetStopped("job", true) }, "job stopped, shop", "job.hcl shop.hcl", false},
		{"remove a new group", func(d *small) error { return d.Remove("shop", true) }, "job, - shop purge", "job.hcl", false},
		{"remove a changed group", func(d *small) error { return d.Remove("job", false) }, "shop, - job", "shop.hcl", false},
		{"remove both", func(d *small) error {
			first := d.Remove("job", false)
			_, err := d.RemoveFile("shop.hcl", true)
			return errors.Join(first, err)
		}, "- job, - shop purge", "", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			points := 0
			for n := 1; ; n++ {
				d := newSmall(t)
				d.install("job.hcl", hosttest.Job)
				d.acceptedOnly("job.hcl", newJob, "shop.hcl", hosttest.Shop)
				onDisk := d.Disk
				at := killedAt(d.layout, n, func(s *store.Store) {
					s.Disk = onDisk
					s.Load()
					d.Store = s
					d.must(tt.do(d))
				})
				if d.Begin = nil; at != "" {
					d.reopen()
				} else if n := len(d.Load().Problems); (n == 0) != tt.nothing {
					t.Errorf("%d problems", n)
				}
				counts := func(when string) {
					t.Helper()
					var got []string
					for _, line := range d.wants() {
						if !strings.HasPrefix(line, "!") {
							got = append(got, line)
						}
					}
					if is := strings.Join(got, ", "); is != tt.want && at == "" {
						t.Errorf("%s: %s, want %s", when, is, tt.want)
					}
				}
				counts("at once")
				d.reopen()
				counts("after a crash")
				d.full = false
				counts("with space")
				if problems := d.Load().Problems; len(problems) > 0 {
					t.Errorf("killed before %q, with space: %v", at, problems)
				}
				if at != "" {
					points++
					_ = tt.do(d) // again, which is an error if it counts already
				}
				d.checkWritten()
				d.powerCut()
				counts("after a power cut")
				names, _ := filepath.Glob(filepath.Join(d.layout.GroupsDir, "*"))
				for i, path := range names {
					names[i] = filepath.Base(path)
				}
				if got := strings.Join(names, " "); got != tt.folder {
					t.Errorf("killed before %q: the folder has %s, want %s", at, got, tt.folder)
				}
				if b, err := store.Bundle(d.Store, "job.hcl"); err == nil && string(b.HCL) != newJob {
					t.Errorf("killed before %q: the old file of job is there", at)
				}
				if left, _ := filepath.Glob(filepath.Join(d.layout.StateDir, "*.json")); len(left) > 0 {
					t.Errorf("left: %q", left)
				}
				if at == "" {
					break
				}
			}
			if points < 2 {
				t.Errorf("killed at %d points", points)
			}
		})
	}
}

// A removal that was carried out is not carried out again while another change is pending: a file
// that an operator puts there afterwards is theirs.
func TestRemovalIsCarriedOutOnce(t *testing.T) {
	for _, restart := range []bool{false, true} {
		d := newSmall(t)
		d.install("job.hcl", hosttest.Job)
		d.acceptedOnly("job.hcl", hosttest.Edited(hosttest.Job, "once:1", "once:2"), "shop.hcl", hosttest.Shop)
		d.must(d.Remove("job", false))
		loadAndForget(d.Store)
		d.must(os.WriteFile(filepath.Join(d.layout.GroupsDir, "job.hcl"), []byte(hosttest.Job), 0o600))
		if restart {
			d.reopen()
		}
		d.full = false
		d.check(fmt.Sprintf("restart %v", restart), "job", "shop")
	}
}

// An apply was accepted and is in the folder, and can't be built. What was before counts on a full
// disk, also for the next daemon.
func TestTakenBackOutlivesTheDaemon(t *testing.T) {
	d := newSmall(t)
	d.install("job.hcl", hosttest.Job)
	undo, err := d.Install(applied("job.hcl", hosttest.Edited(hosttest.Job, "once:1", "once:2")), group.Origin{By: group.ByApply})
	d.must(err)
	d.Load()
	d.full = true
	d.must(undo["job.hcl"]("not ready"))
	check := func(when string) {
		t.Helper()
		if b, err := store.Bundle(d.Store, "job.hcl"); err != nil || string(b.HCL) != hosttest.Job {
			t.Errorf("%s: %s, %v", when, b.HCL, err)
		}
		if got := wantedNow(d.Store); got != "job 3 job.hcl" {
			t.Errorf("%s: %s", when, got)
		}
	}
	check("at once")
	d.reopen()
	d.Load()
	check("after a crash")
	if _, err := d.Install(applied("shop.hcl", hosttest.Shop), group.Origin{By: group.ByApply}); err == nil {
		t.Error("control: a full disk took an apply")
	}
	d.full = false
	d.Load()
	check("with space")
	d.checkWritten()
	d.powerCut()
	d.Load()
	check("after a power cut")
}

// A damaged copy under the run folder counts for nothing: the file does.
func TestDamagedCopy(t *testing.T) {
	for _, content := range []string{"{", "[]", `{"group":{"name":"shop"}}`} {
		d := newSmall(t)
		d.install("job.hcl", hosttest.Job)
		d.full = true
		d.must(d.SetStopped("job", true))
		d.must(os.WriteFile(filepath.Join(d.layout.UnwrittenDir(), "wanted", "job.json"), []byte(content), 0o600))
		d.must(os.RemoveAll(filepath.Join(d.layout.UnwrittenDir(), "stopped")))
		d.reopen()
		d.check(content, "job")
		d.full = false
		d.check(content+", with space", "job")
		d.checkWritten()
	}
}

// The history of one group is lost and can't be made again on a full disk. Another group is stopped
// before the first load.
func TestStopBesideALostHistory(t *testing.T) {
	d := newSmall(t)
	d.install("job.hcl", hosttest.Job, "shop.hcl", hosttest.Shop)
	d.install("job.hcl", hosttest.Edited(hosttest.Job, "once:1", "once:2"))
	lose(t, d.layout, "history/job.json")
	d.reopen()
	d.full = true
	_ = d.Open()
	d.must(d.SetStopped("shop", true))
	d.reopen()
	d.full = false
	d.check("with space", "job", "shop stopped")
}

// A removal fails once its intent is on disk. The command may fail or succeed, but a removal that
// it has refused does not happen later.
func TestARefusedRemovalDoesNotHappen(t *testing.T) {
	d := newSmall(t)
	d.install("job.hcl", hosttest.Job)
	intent := filepath.Join(d.layout.StateDir, "install.json")
	before, written := d.Disk.Before, false
	d.Disk.Before = func(op disk.Op, path string) error {
		written = written || op == disk.OpRename && path == intent
		if op == disk.OpSyncFolder && written {
			return &fs.PathError{Op: "open", Path: path, Err: unix.EMFILE}
		}
		return before(op, path)
	}
	err := d.Remove("job", false)
	d.Disk.Before = before
	if d.check("now", map[bool]string{true: "- job", false: "job"}[err == nil]); !written {
		t.Error("control: nothing was written")
	}
}

// A change is accepted while its folder takes nothing, and an operator edits its file by hand
// before it does. What is asked for last counts. The control is without the edit.
func TestAnEditWhileAChangeIsPending(t *testing.T) {
	older, edit := hosttest.Edited(hosttest.Job, "once:1", "once:2"), hosttest.Edited(hosttest.Job, "once:1", "once:9")
	for _, edited := range []bool{true, false} {
		for _, restart := range []bool{true, false} {
			d := newSmall(t)
			d.install("job.hcl", hosttest.Job)
			undo, err := d.Install(applied("job.hcl", older), group.Origin{By: group.ByApply})
			d.must(err)
			d.Load()
			d.full = true
			d.must(undo["job.hcl"]("not ready"))
			d.Load()
			want, by := hosttest.Job, group.ByRevert
			if edited {
				want, by = edit, group.ByFile
				d.must(os.WriteFile(filepath.Join(d.layout.GroupsDir, "job.hcl"), []byte(edit), 0o600))
			}
			if restart {
				d.reopen()
			}
			d.full = false
			l := d.Load()
			if b, err := store.Bundle(d.Store, "job.hcl"); err != nil || string(b.HCL) != want {
				t.Errorf("edited %v, restart %v: %s, %v", edited, restart, b.HCL, err)
			}
			if len(l.Problems) > 0 || len(l.Wanted) != 1 || l.Wanted[0].By != by {
				t.Errorf("edited %v, restart %v: wanted %+v, problems %v", edited, restart, l.Wanted, l.Problems)
			}
			d.checkWritten()
		}
	}
}

// The same with a file that was put there by hand, and an apply that is not in the folder yet.
func TestAnEditOfAFilePutByHandWhileAnApplyIsPending(t *testing.T) {
	d := newSmall(t)
	d.Load()
	path := filepath.Join(d.layout.GroupsDir, "job.hcl")
	d.must(os.WriteFile(path, []byte(hosttest.Job), 0o600))
	d.Load()
	d.acceptedOnly("job.hcl", hosttest.Edited(hosttest.Job, "once:1", "once:2"), "shop.hcl", hosttest.Shop)
	d.Load()
	d.must(os.WriteFile(path, []byte(hosttest.Edited(hosttest.Job, "once:1", "once:9")), 0o600))
	if l := d.Load(); len(l.Wanted) != 2 || l.Wanted[0].By != group.ByApply {
		t.Errorf("control: wanted %+v, problems %v", l.Wanted, l.Problems)
	}
	d.full = false
	if l := d.Load(); len(l.Wanted) != 2 || l.Wanted[0].By != group.ByFile || !strings.HasSuffix(l.Wanted[0].Group.Containers[0].Image, "once:9") || len(l.Problems) > 0 {
		t.Errorf("with space: wanted %+v, problems %v", l.Wanted, l.Problems)
	}
	d.checkWritten()
}

// Nothing needs to ask again and again whether a file has become unwritten. One that still is gives
// no second value, also if its copy can't be written either: who takes them would never rest.
func TestSomeUnwritten(t *testing.T) {
	d := newSmall(t)
	d.install("job.hcl", hosttest.Job, "shop.hcl", hosttest.Shop)
	some := func() bool {
		select {
		case <-d.SomeUnwritten():
			return true
		default:
			return false
		}
	}
	if some() {
		t.Error("reported before the disk was full")
	}
	d.full, d.runFull = true, true
	d.must(d.SetStopped("job", true))
	if files, lost := d.Unwritten(); files == 0 || lost == nil || !some() {
		t.Errorf("%d files are unwritten, lost %v, and it was not reported", files, lost)
	}
	if err := d.WriteUnwritten(); err == nil || some() {
		t.Errorf("reported again after %v", err)
	}
	d.full, d.runFull = false, false
	d.must(d.WriteUnwritten())
	d.full = true
	d.must(d.SetStopped("shop", true))
	if !some() {
		t.Error("not reported when the disk was full again")
	}
}
