// Package journal keeps the events of all groups on disk, in files of a bounded size, and passes
// new ones on to those who follow. Nothing is synced: a killed daemon loses no event, but a machine
// that loses power loses the last seconds.
package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/sallyport/sallyport/shim/disk"
	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/hostfile"
	"github.com/sallyport/sallyport/shim/layout"
)

// A Config holds what a Journal needs.
type Config struct {
	Layout      layout.Layout    // required: its StateDir
	Now         func() time.Time // optional: nil means time.Now
	MaxFileSize int64            // optional: bytes of each of the six files; 0 means 1 MiB
	// Recorded is called with each event that was written, in their order. Others who record wait
	// for it. Optional.
	Recorded func(group.Event)
}

// A Journal keeps events as lines of JSON:
//
//	StateDir/events/denials.jsonl, denials.old.jsonl  refused packets
//	StateDir/events/inbound.jsonl, inbound.old.jsonl  packets dropped on their way in. Their
//	                                                  senders do not push out denials
//	StateDir/events/others.jsonl, others.old.jsonl    all other events, so that a flood of denials
//	                                                  does not push them out
//
// A file that is full replaces the old one. A Journal is safe for concurrent use.
type Journal struct {
	now      func() time.Time
	recorded func(group.Event)

	mu        sync.Mutex
	denials   *eventFile
	inbound   *eventFile
	others    *eventFile
	followers map[*follower]struct{}
}

// Open opens the journal, and makes its folder if it is missing. The caller closes the journal.
func Open(c Config) (*Journal, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.MaxFileSize == 0 {
		c.MaxFileSize = 1 << 20
	}
	dir := c.Layout.EventsDir()
	if err := makeFolder(dir); err != nil {
		return nil, fmt.Errorf("open the journal: %w", err)
	}
	if c.Recorded == nil {
		c.Recorded = func(group.Event) {}
	}
	j := &Journal{now: c.Now, recorded: c.Recorded, followers: map[*follower]struct{}{}}
	for _, f := range []struct {
		name string
		file **eventFile
	}{{"denials", &j.denials}, {"inbound", &j.inbound}, {"others", &j.others}} {
		var err error
		if *f.file, err = openEventFile(filepath.Join(dir, f.name), c.MaxFileSize); err != nil {
			return nil, errors.Join(fmt.Errorf("open the journal: %w", err), j.closeFiles())
		}
	}
	return j, nil
}

// makeFolder makes the folder of the journal. What stands in its place is set aside.
func makeFolder(dir string) error {
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		if _, err := (disk.Disk{}).SetAside(dir); err != nil {
			return err
		}
	}
	return os.MkdirAll(dir, 0o700)
}

// Close closes the journal. Each Events call that follows it returns an error.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	for f := range j.followers {
		j.cutOff(f, errClosed)
	}
	return j.closeFiles()
}

// files returns the files that are open: all of them, unless [Open] fails.
func (j *Journal) files() (open []*eventFile) {
	for _, f := range []*eventFile{j.denials, j.inbound, j.others} {
		if f != nil && f.file != nil {
			open = append(open, f)
		}
	}
	return open
}

func (j *Journal) closeFiles() error {
	var errs []error
	for _, f := range j.files() {
		errs = append(errs, f.close())
	}
	return errors.Join(errs...)
}

// maxText keeps each line far below maxLine.
const maxText = 2 << 10

// Record writes events, and passes them on to those who follow. An event without a time gets the
// current one.
func (j *Journal) Record(events ...group.Event) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	now := j.now()
	var denials, inbound, others []byte
	for i := range events {
		e := &events[i]
		if e.Time.IsZero() {
			e.Time = now
		}
		e.Time = e.Time.UTC().Round(0) // the same as when it is read back
		if e.Text = hint.OneLine(e.Text); len(e.Text) > maxText {
			e.Text = e.Text[:maxText]
		}
		line, err := json.Marshal(e)
		if err != nil {
			return fmt.Errorf("record an event: %w", err)
		}
		to := &others
		switch e.Kind {
		case group.EventDenied:
			to = &denials
		case group.EventDeniedIn:
			to = &inbound
		}
		*to = append(append(*to, line...), '\n')
	}
	if err := errors.Join(j.denials.append(denials), j.inbound.append(inbound), j.others.append(others)); err != nil {
		return fmt.Errorf("record an event: %w", err)
	}
	for _, e := range events {
		j.notify(e)
		j.recorded(e)
	}
	return nil
}

// An eventFile is two files of lines: the new one, which is written, and the old one.
type eventFile struct {
	path    string // without the suffix
	maxSize int64
	file    *os.File
	size    int64
	torn    bool // the last line is incomplete: the daemon was killed, or the disk was full
}

func (f *eventFile) newPath() string { return f.path + ".jsonl" }

func (f *eventFile) oldPath() string { return f.path + ".old.jsonl" }

func openEventFile(path string, maxSize int64) (*eventFile, error) {
	f := &eventFile{path: path, maxSize: maxSize}
	return f, f.open()
}

// open opens the new file, and makes it if it is missing.
func (f *eventFile) open() error {
	if err := errors.Join(setOddAside(f.oldPath()), setOddAside(f.newPath())); err != nil {
		return err
	}
	file, err := os.OpenFile(f.newPath(), os.O_RDWR|os.O_CREATE|os.O_APPEND, disk.FileMode)
	if err != nil {
		return err
	}
	if err := f.measure(file); err != nil {
		return errors.Join(err, file.Close())
	}
	f.file = file
	return nil
}

// measure finds out the size of the new file, and whether its last line is incomplete.
func (f *eventFile) measure(file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	torn := false
	if info.Size() > 0 {
		last := make([]byte, 1)
		if _, err := file.ReadAt(last, info.Size()-1); err != nil {
			return err
		}
		torn = last[0] != '\n'
	}
	f.size, f.torn = info.Size(), torn
	return nil
}

// setOddAside sets aside what is no plain file: a folder can't be written, and a pipe would block a
// write when it is full.
func setOddAside(path string) error {
	info, err := os.Stat(path)
	if err != nil || info.Mode().IsRegular() {
		return nil // opening it shows what is wrong
	}
	_, err = disk.Disk{}.SetAside(path)
	return err
}

// restore opens the new file again if another or none is in its place, such as after the folder was
// emptied. The events in the old descriptor are lost.
func (f *eventFile) restore() error {
	here, err := f.file.Stat()
	if err != nil {
		return err
	}
	if err := setOddAside(f.oldPath()); err != nil {
		return err
	}
	if there, err := os.Stat(f.newPath()); err == nil && os.SameFile(here, there) {
		if there.Size() == f.size {
			return nil
		}
		return f.measure(f.file)
	}
	before := f.file
	if err := makeFolder(filepath.Dir(f.path)); err != nil {
		return err
	}
	if err := f.open(); err != nil {
		return err
	}
	return before.Close()
}

func (f *eventFile) close() error { return f.file.Close() }

// append writes whole lines with one call of Write.
func (f *eventFile) append(lines []byte) error {
	if len(lines) == 0 {
		return nil
	}
	if err := f.restore(); err != nil {
		return err
	}
	if f.size > 0 && f.size+int64(len(lines)) > f.maxSize {
		if err := f.rotate(); err != nil {
			return err
		}
	}
	if f.torn {
		lines = append([]byte{'\n'}, lines...)
	}
	n, err := f.file.Write(lines)
	f.size += int64(n)
	f.torn = err != nil && (n > 0 || f.torn)
	return err
}

// rotate makes the new file the old one, and begins another.
func (f *eventFile) rotate() error {
	if err := os.Rename(f.newPath(), f.oldPath()); err != nil {
		return err
	}
	before := f.file
	if err := f.open(); err != nil {
		return err // f.file is the renamed file, which is written from now on
	}
	return before.Close()
}

// newReader returns a reader of the events that the two files have now, the old file first.
func (f *eventFile) newReader() (*eventReader, error) {
	restoreErr := f.restore() // what can be read is read all the same
	r := &eventReader{}
	old, err := hostfile.Open(context.Background(), filepath.Dir(f.path), f.oldPath())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err == nil {
		r.add(old, f.maxSize)
	}
	now, err := hostfile.Open(context.Background(), filepath.Dir(f.path), f.newPath())
	if err != nil {
		return nil, errors.Join(restoreErr, err, r.close())
	}
	r.add(now, f.size)
	return r, nil
}

// Events calls emit with each event that the query wants, the oldest first. With Follow it goes on
// until ctx ends, which is no error. It returns an error if emit is so slow that more than
// maxWaiting events wait. An error of emit ends it and is returned unchanged.
func (j *Journal) Events(ctx context.Context, q group.EventQuery, emit func(group.Event) error) error {
	past, follower, err := j.open(q)
	if err != nil {
		return fmt.Errorf("read the journal: %w", err)
	}
	if follower != nil {
		defer j.unfollow(follower)
	}
	err = past.emitTail(ctx, q, emit)
	if err := errors.Join(err, past.close()); err != nil || follower == nil {
		return err
	}
	return follower.follow(ctx, emit)
}
