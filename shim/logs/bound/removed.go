package bound

import (
	"time"

	"github.com/sallyport/sallyport/shim/logs/removed"
)

// A leftover is the output of a group that was removed. Nothing writes to it any more.
type leftover struct {
	removed.Output
	size int64 // bytes on the disk
	// since is when it was removed, on the clock that is never set. So output of a host that boots
	// in 1970 stays when its clock is set.
	since time.Time
}

// scanRemoved reads the folder of removed output. What it knows it doesn't look at again.
func (b *Bounder) scanRemoved() {
	b.removedStale = false
	known := map[string]leftover{}
	for _, l := range b.removed {
		known[l.Dir] = l
	}
	all, err := removed.Logs{Dir: b.cfg.LogDir}.List()
	if err != nil {
		b.log.Warn("removed output stays: its folder can't be read", "error", err)
		return
	}
	b.removed = nil
	for _, o := range all {
		l, has := known[o.Dir]
		if !has {
			l = leftover{o, o.Size(), b.now().Add(-max(b.wall().Sub(o.At), 0))}
		}
		b.removed = append(b.removed, l)
	}
}

// expire deletes the removed output whose time is over.
func (b *Bounder) expire(now time.Time) {
	for next := b.nextExpiry(); !next.IsZero() && !now.Before(next); next = b.nextExpiry() {
		b.deleteOldest()
	}
}

// deleteOldest deletes the removed output that is the oldest.
func (b *Bounder) deleteOldest() (size int64) {
	oldest := b.removed[len(b.removed)-1]
	b.worker.delete(oldest.Dir)
	b.removed = b.removed[:len(b.removed)-1]
	return oldest.size
}

// nextExpiry returns when removed output is to be deleted. The zero time means that there is none.
func (b *Bounder) nextExpiry() time.Time {
	if len(b.removed) == 0 {
		return time.Time{}
	}
	return b.removed[len(b.removed)-1].since.Add(b.settings.Removed)
}
