package bound

import (
	"errors"
	"os"
	"time"
)

// warnEvery limits how often a total that is used up is reported.
const warnEvery = time.Hour

// limitNow returns the limit of a file, which the total or the disk may have lowered.
func (b *Bounder) limitNow(f *file) int64 { return min(f.own, b.level) }

// trim trims a file to its limit.
func (b *Bounder) trim(f *file) {
	head := f.head
	err := f.trim(b.limitNow(f), b.freeHead)
	switch {
	case err == nil && f.head > head:
		f.reported = false
		b.worker.drop(f, f.head)
	case err != nil && !errors.Is(err, errReplaced) && !f.reported:
		f.reported = true
		b.log.Warn("output not trimmed", "file", f.path, "error", err)
	}
}

// freeHead frees the bytes of a file before an offset. A file system that can't do that loses all
// of the file: to lose output is better than to fill the disk. A copy of the newest bytes would
// have gaps and take a second file, since nothing holds back the writer meanwhile.
func (b *Bounder) freeHead(f *os.File, upto int64) error {
	err := b.free(f, upto)
	if !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	if !b.cantFree {
		b.cantFree = true
		b.log.Warn("this file system can't free the head of a file: output that reaches its limit is deleted and begins again", "folder", b.cfg.LogDir)
	}
	return f.Truncate(0)
}

// used returns how many bytes all output takes on the disk.
func (b *Bounder) used() (sum int64) {
	for _, r := range b.removed {
		sum += r.size
	}
	for _, f := range b.folders {
		for _, file := range f.files {
			sum += file.allocated + file.index
		}
	}
	return sum
}

// share keeps all output within the total and what the disk has left. Removed output goes first,
// then the largest files are trimmed below their limits. It returns when to look again.
func (b *Bounder) share(now time.Time) time.Time {
	d, err := b.disk(b.cfg.LogDir)
	if err != nil {
		return time.Time{}
	}
	used := b.used()
	most := budget(b.settings.Total, used, d)
	for used > most && len(b.removed) > 0 {
		used -= b.deleteOldest()
	}
	b.level = unlimited
	if used > most {
		b.lower(now, most, used)
		used = b.used()
	}
	rate, awake := 0.0, false
	for _, f := range b.folders {
		awake = awake || !f.resting
		for _, file := range f.files {
			rate += file.rate
		}
	}
	if !awake {
		return time.Time{}
	}
	return now.Add(pause(room(most, used), rate))
}

// lower trims the largest files, so that all of them together take the most that they may.
func (b *Bounder) lower(now time.Time, most, used int64) {
	var sizes []int64
	for _, f := range b.folders {
		for _, file := range f.files {
			sizes = append(sizes, file.allocated)
			used -= file.allocated
		}
	}
	b.level = level(sizes, most-used)
	for _, f := range b.folders {
		for _, file := range f.files {
			b.trim(file)
		}
	}
	if b.warned.IsZero() || now.Sub(b.warned) > warnEvery {
		b.warned = now
		b.log.Warn("all output together is at its limit, so the largest is trimmed below its own", "bytes", most, "each", b.level)
	}
}
