package bound

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/shim/logs/times"
)

// A Config names the folder with the output of all groups.
type Config struct {
	LogDir  string       // required; it exists
	Log     *slog.Logger // optional: nil discards
	Started func()       // optional: called once, when all output was looked at for the first time
	// Changed is called after output has grown, and after a change of the folders of output and of
	// what a group asks for. It must not block. Optional.
	Changed func()
}

// A Bounder bounds the output of all groups. It must be the only one for its folder.
type Bounder struct {
	cfg    Config
	log    *slog.Logger
	events *inotify
	worker *worker

	settings      Settings
	settingsStale bool
	folders       map[string]*folder // by group
	byWatch       map[int]*folder
	foldersStale  bool // the folder of all output is to be read again
	// shared means that others have files in the folder of all output, as in /var/log. Then a
	// folder in it is a group's only if the daemon has put settings there.
	shared       bool
	removed      []leftover // the latest first
	removedStale bool
	removedWatch int
	level        int64     // limit of each file, where the total or the disk has no room
	shareDue     time.Time // when all files that grow could use up the room of all together
	warned       time.Time
	cantFree     bool // the file system can't free the head of a file; reported
	grown        bool // output has grown since Changed was called

	// The tests replace these.
	now  func() time.Time // never goes back, nor ahead of time
	wall func() time.Time
	free func(f *os.File, upto int64) error
	disk func(dir string) (disk, error)
}

// New returns a bounder, and starts nothing.
func New(cfg Config) (*Bounder, error) {
	if !filepath.IsAbs(cfg.LogDir) {
		return nil, fmt.Errorf("bound the output in %q: not an absolute path", cfg.LogDir)
	}
	cfg.LogDir = filepath.Clean(cfg.LogDir)
	b := &Bounder{
		cfg: cfg, log: cfg.Log, folders: map[string]*folder{}, byWatch: map[int]*folder{}, removedWatch: -1, level: unlimited,
		now: time.Now, wall: time.Now, free: punch, disk: statDisk,
	}
	if b.log == nil {
		b.log = slog.New(slog.DiscardHandler)
	}
	b.worker = newWorker(b.log)
	return b, nil
}

func statDisk(dir string) (disk, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return disk{}, err
	}
	return disk{size: int64(st.Blocks) * st.Frsize, free: int64(st.Bavail) * st.Frsize}, nil
}

// Run bounds the output until ctx ends, or until the folder of all output is gone. Its goroutine
// must end with it, since that has a thread of its own.
func (b *Bounder) Run(ctx context.Context) (err error) {
	if b.events, err = newInotify(); err != nil {
		return err
	}
	top, err := b.events.watch(b.cfg.LogDir, structure)
	if err != nil {
		return errors.Join(fmt.Errorf("watch %s: %w", b.cfg.LogDir, err), b.events.close())
	}
	// A folder that this process has open has no event of its own when it is deleted.
	above, err := b.events.watch(filepath.Dir(b.cfg.LogDir), unix.IN_DELETE|unix.IN_MOVED_FROM|unix.IN_ONLYDIR)
	if err != nil {
		return errors.Join(fmt.Errorf("watch %s: %w", filepath.Dir(b.cfg.LogDir), err), b.events.close())
	}
	stopped := make(chan struct{})
	forget := context.AfterFunc(ctx, func() { defer close(stopped); b.events.end() })
	working, endWork := context.WithCancel(context.WithoutCancel(ctx))
	worked := make(chan struct{})
	go func() { defer close(worked); b.worker.run(working) }()
	defer func() {
		b.flush()
		endWork()
		<-worked
		if !forget() {
			<-stopped
		}
		err = errors.Join(err, b.events.close())
	}()

	if err := prefer(); err != nil {
		b.log.Info("no real-time priority, so looks at the output may come late on a busy host", "error", err)
	}
	b.settingsStale, b.foldersStale = true, true
	for first := true; ctx.Err() == nil; first = false {
		next := b.pass(first)
		if first && b.cfg.Started != nil {
			b.cfg.Started()
		}
		b.reportChange(b.grown)
		events, err := b.events.wait(b.until(next))
		if err != nil {
			return err
		}
		b.reportChange(len(events) > 0)
		for _, e := range events {
			if e.watch == top && e.mask&(unix.IN_DELETE_SELF|unix.IN_MOVE_SELF|unix.IN_IGNORED) != 0 ||
				e.watch == above && e.name == filepath.Base(b.cfg.LogDir) {
				b.log.Warn("the folder of the output is gone", "folder", b.cfg.LogDir)
				b.leaveSettings()
				return nil
			}
			b.note(e, top)
		}
	}
	return nil
}

// leaveSettings puts the settings where the next process reads them, once their folder is gone. The
// daemon writes them only when they change.
func (b *Bounder) leaveSettings() {
	if b.settings == Defaults {
		return
	}
	if err := errors.Join(os.MkdirAll(b.cfg.LogDir, 0o750), WriteSettings(b.cfg.LogDir, b.settings)); err != nil {
		b.log.Warn("the next process has the default bounds, until the daemon reads its configuration again", "error", err)
	}
}

// reportChange calls Changed if there was a change.
func (b *Bounder) reportChange(changed bool) {
	if changed && b.cfg.Changed != nil {
		b.cfg.Changed()
	}
	b.grown = false
}

// until returns how long it is from now to a time. It is negative if the time is zero.
func (b *Bounder) until(t time.Time) time.Duration {
	if t.IsZero() {
		return -1
	}
	return max(t.Sub(b.now()), 0)
}

// note marks as stale what an event is about.
func (b *Bounder) note(e event, top int) {
	f := b.byWatch[e.watch]
	switch {
	case e.mask&unix.IN_Q_OVERFLOW != 0:
		b.settingsStale, b.foldersStale, b.removedStale = true, true, true
		for _, f := range b.folders {
			f.stale = true
		}
	case e.watch == top && e.name == SettingsFile:
		b.settingsStale = true
	case e.watch == top:
		b.foldersStale = true
	case e.watch == b.removedWatch:
		b.removedStale = true
	case f == nil: // of a watch that has ended
	case e.mask&(unix.IN_IGNORED|unix.IN_DELETE_SELF|unix.IN_MOVE_SELF) != 0:
		b.foldersStale = true
	case e.mask&unix.IN_MODIFY != 0:
		if isOutput(e.name) && f.resting {
			f.due = b.now()
		}
	case isOutput(e.name) || e.name == SettingsFile:
		f.stale = true
		if f.files[e.name] != nil {
			b.dropFile(f, e.name) // a new file may have the number of an old one
		}
	}
}

// pass does everything that is due, and returns when the next thing is. The zero time means that
// nothing is before an event. late means that nothing watched the output so far.
func (b *Bounder) pass(late bool) (next time.Time) {
	now := b.now()
	if b.settingsStale {
		// The daemon never removes them. If someone has, they stay as they were.
		if _, err := os.Lstat(filepath.Join(b.cfg.LogDir, SettingsFile)); b.settings == (Settings{}) || !errors.Is(err, fs.ErrNotExist) {
			b.settings = readSettings(b.cfg.LogDir)
		}
		b.settingsStale = false
		b.log.Info("bounding output", "folder", b.cfg.LogDir, "size", b.settings.Size, "total", b.settings.Total, "removed", b.settings.Removed)
		for _, f := range b.folders {
			f.stale = true
		}
	}
	if b.foldersStale {
		b.scanFolders(now, late)
	}
	if b.removedStale {
		b.scanRemoved()
	}
	looked, all := false, !b.shareDue.IsZero() && !now.Before(b.shareDue)
	for _, f := range b.folders {
		if f.stale {
			b.scan(f, now, false)
			f.due = now
		}
		if !f.due.IsZero() && !now.Before(f.due) || all && !f.resting {
			b.look(f, now)
			looked = true
		}
	}
	b.expire(now)
	if looked || all {
		b.shareDue = b.share(now)
	}
	next = b.shareDue
	for _, f := range b.folders {
		next = earliest(next, f.due)
	}
	return earliest(next, b.nextExpiry())
}

// scanFolders reads the folder of all output.
func (b *Bounder) scanFolders(now time.Time, late bool) {
	b.foldersStale, b.removedStale = false, true
	entries, err := os.ReadDir(b.cfg.LogDir)
	if err != nil {
		b.log.Warn("output not bounded: its folder can't be read", "folder", b.cfg.LogDir, "error", err)
		return
	}
	shared := slices.ContainsFunc(entries, func(e os.DirEntry) bool { return !e.IsDir() && !strings.HasPrefix(e.Name(), ".") })
	for _, f := range b.folders {
		f.stale = f.stale || shared != b.shared
	}
	if b.shared = shared; !shared {
		dontPreallocate(b.cfg.LogDir)
	}
	there := map[string]bool{}
	for _, entry := range entries {
		path := filepath.Join(b.cfg.LogDir, entry.Name())
		switch {
		case entry.Name() == layout.RemovedOutput:
			b.removedWatch, _ = b.events.watch(path, structure)
		case entry.IsDir() && !strings.HasPrefix(entry.Name(), "."):
			there[entry.Name()] = true
			b.addFolder(entry.Name(), path, now, late)
		}
	}
	for name := range b.folders {
		if !there[name] {
			b.dropFolder(name)
		}
	}
}

// addFolder adds a group's folder, unless it is known.
func (b *Bounder) addFolder(name, path string, now time.Time, late bool) {
	watch, err := b.events.watch(path, structure)
	if known := b.folders[name]; known != nil {
		if err == nil && watch == known.watch {
			known.resting, known.stale = false, true // these are its events now
			return
		}
		b.dropFolder(name) // it was replaced
	}
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if !b.shared {
		dontPreallocate(path)
	}
	f := &folder{path: path, files: map[string]*file{}, watch: watch}
	if err != nil {
		f.watch = -1
		b.log.Warn("output is looked at once a second", "folder", path, "error", err)
	} else {
		b.byWatch[watch] = f
	}
	b.folders[name] = f
	b.scan(f, now, late)
	f.due = now
}

func (b *Bounder) dropFolder(name string) {
	f := b.folders[name]
	for file := range f.files {
		b.dropFile(f, file)
	}
	b.events.unwatch(f.watch)
	delete(b.byWatch, f.watch)
	delete(b.folders, name)
}

// mark marks that a file has its size.
func (b *Bounder) mark(f *file, at time.Time, late bool) {
	f.marked, f.markedAt = f.size, b.now()
	b.worker.mark(f, f.size, at, late)
	var st unix.Stat_t
	if unix.Lstat(times.Path(f.path), &st) == nil {
		f.index = st.Blocks * 512
	}
}

// flush marks what has no mark yet, before the end.
func (b *Bounder) flush() {
	for _, f := range b.folders {
		for _, file := range f.files {
			if file.size != file.marked {
				b.mark(file, b.now(), false)
			}
		}
	}
}
