package bound

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A folder has the output of one group.
//
//	resting  --a file is written-->  awake: looked at by the clock
//	   ^                                |
//	   '------- nothing has grown ------'
//
// Only while it rests does inotify report each write.
type folder struct {
	path  string
	files map[string]*file
	sizes map[string]int64 // limits, by container
	watch int              // of inotify; -1: none, so it never rests

	stale   bool // its entries are to be read again
	resting bool
	due     time.Time // when to look; zero: when an event comes
}

// scan reads the folder's entries. late means that nothing watched its files so far.
func (b *Bounder) scan(f *folder, now time.Time, late bool) {
	f.stale = false
	f.sizes = readSizes(f.path)
	entries, err := os.ReadDir(f.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		b.log.Warn("output not bounded: its folder can't be read", "folder", f.path, "error", err)
	}
	if b.shared && !slices.ContainsFunc(entries, func(e os.DirEntry) bool { return e.Name() == SettingsFile }) {
		entries = nil // it may be another program's
	}
	there := map[string]bool{}
	for _, entry := range entries {
		name := entry.Name()
		if !isOutput(name) || !entry.Type().IsRegular() {
			continue
		}
		there[name] = true
		limit := b.limit(f, name)
		if known := f.files[name]; known != nil {
			known.own = limit
			continue
		}
		b.addFile(f, name, limit, now, late)
	}
	for name := range f.files {
		if !there[name] {
			b.dropFile(f, name)
		}
	}
}

func isOutput(name string) bool { return strings.HasSuffix(name, ".log") }

// limit returns the limit of an output file of a group. Names of containers have no dot. With
// `split`, each of the two files has the container's limit.
func (b *Bounder) limit(f *folder, name string) int64 {
	container, _, _ := strings.Cut(name, ".")
	if size := f.sizes[container]; size > 0 {
		return max(size, MinSize)
	}
	return max(b.settings.Size, MinSize)
}

func (b *Bounder) addFile(f *folder, name string, limit int64, now time.Time, late bool) {
	added, err := newFile(filepath.Join(f.path, name), limit, now)
	if err != nil {
		return // gone again
	}
	f.files[name] = added
	f.due = now
	if late && added.size > 0 {
		b.mark(added, added.modified, true)
	}
}

func (b *Bounder) dropFile(f *folder, name string) {
	b.worker.forget(f.files[name])
	delete(f.files, name)
}

// look looks at all files of the folder, trims them, and decides when to look again.
func (b *Bounder) look(f *folder, now time.Time) {
	missed := !f.due.IsZero() && now.Sub(f.due) > maxPause // such as while this process was stopped
	b.rest(f, false)
	if b.lookAtFiles(f, now, missed) {
		return
	}
	// Nothing has grown since the look before. What grows from here on is an event, and what has
	// grown before the watch began is found by one look more.
	if f.watch < 0 || !b.rest(f, true) {
		return
	}
	if b.lookAtFiles(f, now, false) {
		return
	}
	f.due = time.Time{}
	for _, file := range f.files {
		if file.rate = 0; file.size != file.marked {
			f.due = earliest(f.due, file.markedAt.Add(maxPause))
		}
	}
}

// lookAtFiles reports whether a file has grown.
func (b *Bounder) lookAtFiles(f *folder, now time.Time, missed bool) (grown bool) {
	f.due = now.Add(maxPause)
	for name, file := range f.files {
		changed, err := file.look(now)
		if errors.Is(err, errReplaced) {
			limit := file.own
			b.dropFile(f, name)
			b.addFile(f, name, limit, now, false)
			grown = true
			continue
		}
		if err != nil {
			b.dropFile(f, name)
			continue
		}
		grown = grown || changed
		b.trim(file)
		if file.size != file.marked && (missed || now.Sub(file.markedAt) >= maxPause) {
			at := b.wall()
			stopped := at.Sub(file.modified) > 2*maxPause // this process, since the last write
			if stopped {
				at = file.modified
			}
			b.mark(file, at, missed || stopped)
		}
		f.due = earliest(f.due, now.Add(pause(room(b.limitNow(file), file.allocated), file.rate)))
	}
	b.grown = b.grown || grown || f.watch < 0 // without a watch it may have another file
	return grown
}

// rest begins or ends the folder's rest. It reports whether it rests.
func (b *Bounder) rest(f *folder, resting bool) bool {
	if f.resting == resting || f.watch < 0 {
		return f.resting
	}
	mask := uint32(structure)
	if resting {
		mask = growth
	}
	if _, err := b.events.watch(f.path, mask); err != nil {
		f.stale = true // such as gone
		return f.resting
	}
	f.resting = resting
	return resting
}

// earliest returns the earlier of two times. A zero time is none.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
