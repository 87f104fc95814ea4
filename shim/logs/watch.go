package logs

import (
	"context"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// watchOptions say how a watcher learns of changes.
type watchOptions struct {
	notify bool          // use inotify where it is to be had
	poll   time.Duration // between two looks while a folder isn't watched: it doesn't exist, or there is no inotify
	check  time.Duration // between two looks all the same, should a notice have been lost
}

// A watcher wakes up when one of the files may have changed. It watches their folders, which tell of files that appear too.
type watcher struct {
	opt   watchOptions
	fs    *fsnotify.Watcher // nil: only by the clock
	files map[string]bool
	dirs  map[string]bool // whether the folder is watched
}

func newWatcher(files []File, opt watchOptions) *watcher {
	w := &watcher{opt: opt, files: map[string]bool{}, dirs: map[string]bool{}}
	for _, file := range files {
		path := filepath.Clean(file.Path)
		w.files[path] = true
		w.dirs[filepath.Dir(path)] = false
	}
	if opt.notify {
		if fs, err := fsnotify.NewWatcher(); err == nil { // it fails where the user's inotify instances are used up
			w.fs = fs
		}
	}
	w.arm()
	return w
}

// arm watches the folders that aren't watched yet. It reports whether it found one, and whether all are.
func (w *watcher) arm() (found, all bool) {
	all = true
	for dir, watched := range w.dirs {
		switch {
		case watched:
		case w.fs != nil && w.fs.Add(dir) == nil:
			w.dirs[dir], found = true, true
		default:
			all = false
		}
	}
	return found, all
}

// wait returns true when it is time to look again, false when ctx has ended.
func (w *watcher) wait(ctx context.Context) bool {
	found, all := w.arm()
	if found {
		return ctx.Err() == nil // the look that was before it doesn't count
	}
	pause := w.opt.check
	if !all {
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

// concerns reports whether an event is about one of the files, or about a folder that is gone and has to be watched anew.
func (w *watcher) concerns(ev fsnotify.Event) bool {
	if w.dirs[ev.Name] && ev.Has(fsnotify.Remove|fsnotify.Rename) {
		w.dirs[ev.Name] = false
		_ = w.fs.Remove(ev.Name)
		return true
	}
	return w.files[ev.Name] && !ev.Has(fsnotify.Chmod)
}

func (w *watcher) close() {
	if w.fs != nil {
		_ = w.fs.Close()
	}
}
