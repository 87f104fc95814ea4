package secrets

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/sallyport/sallyport/spec"
)

const (
	// quietTime is how long a folder has to be quiet before its groups are told. A file is old
	// enough to be read by then.
	quietTime = settleTime + 200*time.Millisecond
	// watchAgain is the pause before a folder that can't be watched is tried again.
	watchAgain = 30 * time.Second
	// mostQuiet is how long a folder that keeps changing is waited for.
	mostQuiet = 5 * time.Second
)

// watch notes which files a group's secrets come from. A nil want has none.
func (s *Secrets) watch(group string, want *spec.Group) {
	folders := map[string]bool{}
	if want != nil {
		for _, w := range want.Secrets {
			if w.File != "" {
				folders[filepath.Dir(w.File)] = true
			}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	changed := false
	for dir, groups := range s.watched {
		if groups[group] && !folders[dir] {
			delete(groups, group)
			changed = true
		}
		if len(groups) == 0 {
			delete(s.watched, dir)
		}
	}
	for dir := range folders {
		if s.watched[dir] == nil {
			s.watched[dir] = map[string]bool{}
		}
		if !s.watched[dir][group] {
			s.watched[dir][group] = true
			changed = true
		}
	}
	if changed {
		select {
		case s.more <- struct{}{}:
		default:
		}
	}
}

// Watch calls changed with the name of each group whose secrets may have other values in their
// files. It is a hint: Observe finds a change as well. It ends when ctx ends.
func (s *Secrets) Watch(ctx context.Context, changed func(group string)) error {
	w, err := fsnotify.NewWatcher()
	if err != nil { // the observations in turn find the changes
		<-ctx.Done()
		return ctx.Err()
	}
	defer w.Close()
	has, pending := map[string]bool{}, map[string]bool{}
	quiet := time.NewTimer(time.Hour)
	defer quiet.Stop()
	var since time.Time // of the first change that is pending
	again := time.NewTicker(watchAgain)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.more:
			s.follow(w, has)
		case <-again.C:
			s.follow(w, has)
		case <-w.Errors: // such as too many events: what was missed is found in turn
		case e := <-w.Events:
			if has[e.Name] && e.Has(fsnotify.Remove|fsnotify.Rename) { // the folder itself
				delete(has, e.Name)
			}
			for _, dir := range []string{e.Name, filepath.Dir(e.Name)} {
				for _, group := range s.groupsAt(dir) {
					if len(pending) == 0 {
						since = time.Now()
					}
					pending[group] = true
					quiet.Reset(min(quietTime, max(0, mostQuiet-time.Since(since))))
				}
			}
		case <-quiet.C:
			for group := range pending {
				changed(group)
			}
			clear(pending)
		}
	}
}

// follow makes the watcher watch the folders of now.
func (s *Secrets) follow(w *fsnotify.Watcher, has map[string]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for dir := range has {
		if s.watched[dir] == nil {
			_ = w.Remove(dir) // an error: the kernel has dropped it already
			delete(has, dir)
		}
	}
	for dir := range s.watched {
		if !has[dir] && w.Add(dir) == nil {
			has[dir] = true
		}
	}
}

func (s *Secrets) groupsAt(dir string) (groups []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for group := range s.watched[dir] {
		groups = append(groups, group)
	}
	return groups
}

// String keeps values out of what is printed by mistake.
func (g Given) String() string { return fmt.Sprintf("secrets of %s", g.container) }
