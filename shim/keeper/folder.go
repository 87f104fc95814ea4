package keeper

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/sallyport/sallyport/shim/hint"
)

// watchFiles loads the folder whenever it has changed. If the folder cannot be watched, that is
// tried again. SIGHUP and apply still work meanwhile.
func (k *Keeper) watchFiles(ctx context.Context) error {
	for ctx.Err() == nil {
		err := k.config.Store.ProbeFolder(ctx) // the watch would wait for a file system that gives no answer
		if err == nil {
			err = k.folder(ctx, k.config.Store.Layout().GroupsDir, k.config.Settle, func(names []string) {
				if err := k.loadChanged(ctx, names); err != nil && ctx.Err() == nil {
					k.config.Log.Debug("loaded what could be: " + hint.OneLine(err.Error()))
				}
			})
		}
		if ctx.Err() != nil {
			return nil
		}
		k.config.Log.Warn("group files are not watched for now: " + err.Error())
		timer := time.NewTimer(k.config.Resync)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
	return nil
}

// loadAgain loads the folder when a group may have been missing for long enough.
func (k *Keeper) loadAgain(ctx context.Context) error {
	for {
		var timer *time.Timer
		select {
		case <-ctx.Done():
			return nil
		case after := <-k.again:
			timer = time.NewTimer(after)
		}
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
		if err := k.Load(ctx); err != nil && ctx.Err() == nil {
			k.config.Log.Debug("loaded what could be: " + hint.OneLine(err.Error()))
		}
	}
}

// maxUnsettled is how long a folder that keeps changing is waited for, in settling times. Someone
// may rewrite a note in it all the time.
const maxUnsettled = 5

// watchFolder calls changed once a folder that has changed has been quiet for the settling time,
// or has changed for maxUnsettled of them. names are the names in the folder that have changed. No
// names mean that anything may have changed. It ends when ctx ends. It returns an error if the
// folder is gone or cannot be watched.
func watchFolder(ctx context.Context, dir string, settle time.Duration, changed func(names []string)) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch %s: %w", dir, err)
	}
	defer w.Close()
	if err := w.Add(dir); err != nil {
		return fmt.Errorf("watch %s: %w", dir, err)
	}
	quiet := time.NewTimer(settle) // set from the start, for changes before the watch began
	defer quiet.Stop()
	var since time.Time // of the first change that changed was not called for
	names, anything := map[string]bool{}, true
	unsettled := func() {
		now := time.Now()
		if since.IsZero() {
			since = now
		}
		quiet.Reset(min(settle, max(0, maxUnsettled*settle-now.Sub(since))))
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-w.Errors:
			if errors.Is(err, fsnotify.ErrEventOverflow) { // there were too many changes to list
				anything = true
				unsettled()
				continue
			}
			return fmt.Errorf("watch %s: %w", dir, err)
		case e := <-w.Events:
			if e.Name == dir && e.Has(fsnotify.Remove|fsnotify.Rename) {
				return fmt.Errorf("watch %s: the folder is gone", dir)
			}
			if e.Name == dir { // its mode
				anything = true
			}
			names[filepath.Base(e.Name)] = true
			unsettled()
		case <-quiet.C:
			since = time.Time{}
			if anything {
				clear(names)
			}
			changed(slices.Sorted(maps.Keys(names)))
			clear(names)
			anything = false
		}
	}
}
