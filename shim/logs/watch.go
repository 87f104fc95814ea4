package logs

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// watchOptions say how a watcher learns of changes.
type watchOptions struct {
	notify bool          // use inotify where it is to be had
	poll   time.Duration // between two looks while inotify can't tell: no such folder, a file that lost its name, no inotify
	check  time.Duration // between two looks all the same, should a notice have been lost
}

// A watcher wakes up when one of the files may have changed. It watches their folders, which tell of files that appear too.
type watcher struct {
	opt   watchOptions
	fs    *fsnotify.Watcher // nil: only by the clock
	files map[string]bool
	dirs  map[string]os.FileInfo // of the folder that is watched by that name; nil: none
}

func newWatcher(files []File, opt watchOptions) *watcher {
	w := &watcher{opt: opt, files: map[string]bool{}, dirs: map[string]os.FileInfo{}}
	for _, file := range files {
		path := filepath.Clean(file.Path)
		w.files[path] = true
		w.dirs[filepath.Dir(path)] = nil
	}
	if opt.notify {
		if fs, err := fsnotify.NewWatcher(); err == nil { // it fails where the user's inotify instances are used up
			w.fs = fs
		}
	}
	w.arm()
	return w
}

// arm watches the folders that aren't watched yet, or no longer: a folder that was removed and made anew is another one. It
// reports whether there was one, and whether all are watched now. It can't rely on a notice, for a folder gives none of its
// removal while a file that was in it is open.
func (w *watcher) arm() (found, all bool) {
	all = true
	for dir, watched := range w.dirs {
		info, err := os.Stat(dir) // before Add: a folder made between the two is found next time
		switch {
		case err == nil && watched != nil && os.SameFile(info, watched):
			continue
		case watched != nil:
			_ = w.fs.Remove(dir)
			w.dirs[dir] = nil
		}
		if err == nil && w.fs != nil && w.fs.Add(dir) == nil {
			w.dirs[dir], found = info, true
		} else {
			all = false
		}
	}
	return found, all
}

// wait returns true when it is time to look again, false when ctx has ended. unlinked says that one of the files has lost its
// name, so that its folder may be next.
func (w *watcher) wait(ctx context.Context, unlinked bool) bool {
	found, all := w.arm()
	if found {
		return ctx.Err() == nil // the look that was before it doesn't count
	}
	pause := w.opt.check
	if unlinked || !all {
		pause = w.opt.poll
	}
	clock := time.NewTimer(pause)
	defer clock.Stop()

	var events chan fsnotify.Event // nil, and never ready, without inotify
	var errs chan error
	if w.fs != nil {
		events, errs = w.fs.Events, w.fs.Errors
	}
	for {
		select {
		case <-ctx.Done():
			return false
		case ev := <-events:
			if w.concerns(ev) {
				return true
			}
		case <-errs: // notices were lost
			return true
		case <-clock.C:
			return true
		}
	}
}

// concerns reports whether an event is about one of the files, or about a folder that went.
func (w *watcher) concerns(ev fsnotify.Event) bool {
	return w.files[ev.Name] && !ev.Has(fsnotify.Chmod) || w.dirs[ev.Name] != nil
}

func (w *watcher) close() {
	if w.fs != nil {
		_ = w.fs.Close()
	}
}
