package bound

import (
	"cmp"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/sallyport/sallyport/shim/layout"
)

// A removed is the output of a group that was removed.
type removed struct {
	path string
	at   time.Time // when it was removed
	size int64     // bytes on the disk
}

// scanRemoved reads the folder of removed output.
func (b *Bounder) scanRemoved() {
	b.removedStale = false
	b.removed = nil
	dir := filepath.Join(b.cfg.LogDir, layout.RemovedOutput)
	entries, _ := os.ReadDir(dir)
	for _, entry := range entries {
		_, seconds, _ := strings.Cut(entry.Name(), "@")
		at, err := strconv.ParseInt(seconds, 10, 64)
		if err != nil || !entry.IsDir() {
			continue // not ours
		}
		path := filepath.Join(dir, entry.Name())
		b.removed = append(b.removed, removed{path, time.Unix(at, 0), allocatedBelow(path)})
	}
	slices.SortFunc(b.removed, func(a, b removed) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.path, b.path)) })
}

// allocatedBelow returns how many bytes a folder takes on the disk.
func allocatedBelow(dir string) (sum int64) {
	_ = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil {
			return nil // deleted meanwhile
		}
		if info, err := entry.Info(); err == nil {
			sum += info.Sys().(*syscall.Stat_t).Blocks * 512
		}
		return nil
	})
	return sum
}

// expire deletes the removed output whose time is over.
func (b *Bounder) expire(now time.Time) {
	for len(b.removed) > 0 && !now.Before(b.removed[0].at.Add(b.settings.Removed)) {
		b.deleteOldest()
	}
}

// deleteOldest deletes the removed output that is the oldest.
func (b *Bounder) deleteOldest() {
	b.worker.delete(b.removed[0].path)
	b.removed = b.removed[1:]
}

// nextExpiry returns when removed output is to be deleted. The zero time means that there is none.
func (b *Bounder) nextExpiry() time.Time {
	if len(b.removed) == 0 {
		return time.Time{}
	}
	return b.removed[0].at.Add(b.settings.Removed)
}
