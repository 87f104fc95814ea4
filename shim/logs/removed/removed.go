// Package removed keeps the output of one incarnation of a group apart from that of the next. When
// a group is removed and nothing of it runs any more, its log folder moves away, whole. A later
// group of that name begins with an empty one.
//
// The folders are LOGDIR/.removed/GROUP@UNIXSECONDS, with the time of the removal. Another process
// deletes them after a while.
//
// Pitfall: the log folder may lie in one that has other things in it, such as /var/log. So a folder
// that no group has is taken only if it can be none but ours.
package removed

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/layout"
)

// endingFile marks, in a group's log folder, that the group is being removed.
const endingFile = ".ending"

// Logs has the log folders of all groups. Its methods may be called from several goroutines, each
// for another group.
type Logs struct {
	Dir string           // required: LOGDIR
	Now func() time.Time // optional: nil is time.Now
}

// An Output is the output of a removed group.
type Output struct {
	Group string
	At    time.Time // of the removal, to the second
	Dir   string
}

// SetEnding marks a group's output as that of a group that is being removed, or takes the mark
// away. A group without output needs none.
func (l Logs) SetEnding(group string, ending bool) error {
	path := filepath.Join(l.Dir, group, endingFile)
	if !ending {
		if err := os.Remove(path); err != nil && !missing(err) {
			return fmt.Errorf("keep the output of group %s: %w", group, err)
		}
		return nil
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if missing(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("mark the output of group %s, which is being removed: %w", group, err)
	}
	return f.Close()
}

// Ending reports whether the output is that of a group whose removal had begun.
func (l Logs) Ending(group string) bool {
	_, err := os.Lstat(filepath.Join(l.Dir, group, endingFile))
	return err == nil
}

// Retire moves the output of a group away that has nothing running. Where it can't ever be moved,
// as on a full disk, it is deleted. A group without output is no error.
func (l Logs) Retire(group string) error {
	dir := filepath.Join(l.Dir, group)
	if !hasOutput(dir) {
		err := discard(dir)
		if err != nil {
			err = fmt.Errorf("remove the empty log folder of group %s: %w", group, err)
		}
		return err
	}
	err := l.move(group, dir)
	if slices.ContainsFunc(immovable, func(e error) bool { return errors.Is(err, e) }) {
		err = discard(dir)
	}
	if err != nil {
		return fmt.Errorf("put the output of the removed group %s aside: %w", group, err)
	}
	return nil
}

// discard deletes a log folder. One that is a mount stays, empty.
func discard(dir string) error {
	err := os.RemoveAll(dir)
	if errors.Is(err, unix.EBUSY) && !hasOutput(dir) {
		return nil
	}
	return err
}

// immovable are the errors of a move that comes up against the disk, or against a mount: the log
// folder is one, or the folder of removed output is.
var immovable = []error{unix.ENOSPC, unix.EDQUOT, unix.EMLINK, unix.EBUSY, unix.EXDEV}

func (l Logs) move(group, dir string) error {
	if err := os.Mkdir(filepath.Join(l.Dir, layout.RemovedOutput), 0o750); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	now := time.Now
	if l.Now != nil {
		now = l.Now
	}
	latest, _, err := l.Latest(group)
	if err != nil {
		return err
	}
	// Later than the one before, also within a second and after the clock was set back.
	at := max(now().Unix(), latest.At.Unix()+1)
	return os.Rename(dir, filepath.Join(l.Dir, layout.RemovedOutput, group+"@"+strconv.FormatInt(at, 10)))
}

// hasOutput reports whether a log folder has a file that is not empty, but for files that begin
// with a dot. If it can't be read, it may have.
func hasOutput(dir string) bool {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return !missing(err)
	}
	return slices.ContainsFunc(entries, func(e fs.DirEntry) bool {
		info, err := e.Info()
		return !strings.HasPrefix(e.Name(), ".") && (err != nil || info.Size() > 0)
	})
}

// List returns the output of all removed groups, the latest first.
func (l Logs) List() ([]Output, error) {
	entries, err := os.ReadDir(filepath.Join(l.Dir, layout.RemovedOutput))
	if err != nil && !missing(err) {
		return nil, fmt.Errorf("list the output of removed groups: %w", err)
	}
	var all []Output
	for _, e := range entries {
		group, text, ok := strings.Cut(e.Name(), "@")
		at, err := strconv.ParseInt(text, 10, 64)
		if !ok || err != nil || at < 0 || !groupName.MatchString(group) || !e.IsDir() {
			continue // not ours
		}
		all = append(all, Output{group, time.Unix(at, 0), filepath.Join(l.Dir, layout.RemovedOutput, e.Name())})
	}
	slices.SortFunc(all, func(a, b Output) int { return cmp.Or(b.At.Compare(a.At), cmp.Compare(a.Group, b.Group)) })
	return all, nil
}

// Latest returns the output of the latest removed group of that name. ok is false if there is none.
func (l Logs) Latest(group string) (o Output, ok bool, err error) {
	all, err := l.List()
	i := slices.IndexFunc(all, func(o Output) bool { return o.Group == group })
	if i < 0 {
		return Output{At: time.Unix(0, 0)}, false, err
	}
	return all[i], true, err
}

var groupName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)

// Groups returns the groups that have a log folder. If the log folder has files in it whose names
// do not begin with a dot, it is shared with others, and only the folders with a file of ours
// count.
func (l Logs) Groups() ([]string, error) {
	entries, err := os.ReadDir(l.Dir)
	if err != nil {
		return nil, fmt.Errorf("list the log folders: %w", err)
	}
	shared := slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return !e.IsDir() && !strings.HasPrefix(e.Name(), ".") })
	var groups []string
	for _, e := range entries {
		if e.IsDir() && groupName.MatchString(e.Name()) && isLogFolder(filepath.Join(l.Dir, e.Name()), shared) {
			groups = append(groups, e.Name())
		}
	}
	return groups, nil
}

// isLogFolder reports whether all that is in a folder may be ours, and with marked, whether
// something can be nothing else.
func isLogFolder(dir string, marked bool) bool {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	ours := false
	for _, e := range entries {
		name := e.Name()
		switch {
		case !e.Type().IsRegular():
			return false
		case name == endingFile, strings.HasSuffix(name, ".times"), strings.HasPrefix(name, ".output"):
			ours = true
		case !strings.HasPrefix(name, ".") && !strings.Contains(name, ".log") && !strings.Contains(name, ".times"):
			return false
		}
	}
	return ours || !marked
}

func missing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR)
}

// Size returns the bytes that the output takes on the disk. What can't be read counts as nothing.
func (o Output) Size() (size int64) {
	_ = filepath.WalkDir(o.Dir, func(path string, _ fs.DirEntry, _ error) error {
		var st unix.Stat_t
		if unix.Lstat(path, &st) == nil {
			size += st.Blocks * 512
		}
		return nil
	})
	return size
}
