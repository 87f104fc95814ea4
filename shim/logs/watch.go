package logs

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// watchOptions select how a watcher notices changes.
type watchOptions struct {
	notify bool          // use inotify, if it is available
	poll   time.Duration // between two reads while inotify can't help: no folder, an unlinked file, no inotify
	check  time.Duration // between two reads in any case, since an event may be lost
}

// A watcher waits until one of the files may have changed. It watches their folders, since these
// also have events for new files.
type watcher struct {
	opt   watchOptions
	fs    *fsnotify.Watcher // nil: the clock alone
	files map[string]bool
	dirs  map[string]os.FileInfo // of the watched folder of that name; nil if none is watched
}

func newWatcher(files []File, opt watchOptions) *watcher {
	w := &watcher{opt: opt, files: map[string]bool{}, dirs: map[string]os.FileInfo{}}
	for _, file := range files {
		path := filepath.Clean(file.Path)
		w.files[path] = true
		w.dirs[filepath.Dir(path)] = nil
	}
	if opt.notify {
		if fs, err := fsnotify.NewWatcher(); err == nil { // fails if the user has no inotify instance left
			w.fs = fs
		}
	}
	w.arm()
	return w
}

// arm watches the folders that are not watched yet or no longer. A folder that was removed and
// created again is another folder. It reports whether it began to watch one, and whether all are
// watched now. It can't rely on events, because a folder sends none about its removal while a file
// in it is still open.
func (w *watcher) arm() (found, all bool) {
	all = true
	for dir, watched := range w.dirs {
		info, err := os.Stat(dir) // before Add, so that a folder created in between is found next time
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

// wait returns true when it is time to read again, and false when ctx has ended. unlinked reports
// that one of the files was unlinked, so its folder may be removed next.
func (w *watcher) wait(ctx context.Context, unlinked bool) bool {
	found, all := w.arm()
	if found {
		return ctx.Err() == nil // the file may have changed between the last read and the watch
	}
	pause := w.opt.check
	if unlinked || !all {
		pause = w.opt.poll
	}
	clock := time.NewTimer(pause)
	defer clock.Stop()

	var events chan fsnotify.Event // nil without inotify, so never ready
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
		case <-errs: // events were lost
			return true
		case <-clock.C:
			return true
		}
	}
}

// concerns reports whether an event is about one of the files or about the removal of a folder.
func (w *watcher) concerns(ev fsnotify.Event) bool {
	return w.files[ev.Name] && !ev.Has(fsnotify.Chmod) || w.dirs[ev.Name] != nil
}

func (w *watcher) close() {
	if w.fs != nil {
		_ = w.fs.Close()
	}
}
