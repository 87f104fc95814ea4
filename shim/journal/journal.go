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
	"github.com/sallyport/sallyport/shim/layout"
)

// A Config is what a Journal works with.
type Config struct {
	Layout      layout.Layout    // required: its StateDir
	Now         func() time.Time // optional: nil is time.Now
	MaxFileSize int64            // optional: bytes of each of the four files; 0 is 1 MiB
}

// A Journal keeps events, as lines of JSON:
//
//	StateDir/events/denials.jsonl, denials.old.jsonl  refused packets
//	StateDir/events/others.jsonl, others.old.jsonl    everything else, which no flood of the former pushes out
//
// A file that is full takes the place of the old one. Nothing is forced to the disk: a daemon that is killed loses nothing, a
// machine that loses power the last seconds. It is safe for concurrent use.
type Journal struct {
	now func() time.Time

	mu       sync.Mutex
	denials  *eventFile
	others   *eventFile
	watchers map[*eventWatcher]struct{}
}

// Open makes the folder where there is none. The caller closes the journal.
func Open(c Config) (*Journal, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.MaxFileSize == 0 {
		c.MaxFileSize = 1 << 20
	}
	dir := c.Layout.EventsDir()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open the journal: %w", err)
	}
	denials, err := openEventFile(filepath.Join(dir, "denials"), c.MaxFileSize)
	if err != nil {
		return nil, fmt.Errorf("open the journal: %w", err)
	}
	others, err := openEventFile(filepath.Join(dir, "others"), c.MaxFileSize)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the journal: %w", err), denials.close())
	}
	return &Journal{now: c.Now, denials: denials, others: others, watchers: map[*eventWatcher]struct{}{}}, nil
}

// Close ends the journal; who follows it is told so.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	for w := range j.watchers {
		j.cutOff(w, errJournalClosed)
	}
	return errors.Join(j.denials.close(), j.others.close())
}

// longestText keeps a line far below what the reader of lines takes.
const longestText = 2 << 10

// Record writes events and tells those who follow. An event without a time is of now.
func (j *Journal) Record(events ...group.Event) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	now := j.now()
	var denials, others []byte
	for i := range events {
		e := &events[i]
		if e.Time.IsZero() {
			e.Time = now
		}
		e.Time = e.Time.UTC().Round(0) // as it will be read
		if e.Text = hint.OneLine(e.Text); len(e.Text) > longestText {
			e.Text = e.Text[:longestText]
		}
		line, err := json.Marshal(e)
		if err != nil {
			return fmt.Errorf("record an event: %w", err)
		}
		to := &others
		if e.Kind == group.EventDenied {
			to = &denials
		}
		*to = append(append(*to, line...), '\n')
	}
	if err := errors.Join(j.denials.append(denials), j.others.append(others)); err != nil {
		return fmt.Errorf("record an event: %w", err)
	}
	for _, e := range events {
		j.tell(e)
	}
	return nil
}

// An eventFile is two files of lines, of which the new one is written to.
type eventFile struct {
	path string // without the ending
	most int64
	file *os.File
	size int64
	torn bool // the last line has no end: a daemon was killed, or the disk was full, while it was written
}

func (f *eventFile) newPath() string { return f.path + ".jsonl" }

func (f *eventFile) oldPath() string { return f.path + ".old.jsonl" }

func openEventFile(path string, most int64) (*eventFile, error) {
	f := &eventFile{path: path, most: most}
	if err := f.open(); err != nil {
		return nil, err
	}
	last := make([]byte, 1)
	if f.size > 0 {
		if _, err := f.file.ReadAt(last, f.size-1); err != nil {
			return nil, errors.Join(err, f.close())
		}
		f.torn = last[0] != '\n'
	}
	return f, nil
}

func (f *eventFile) open() error {
	file, err := os.OpenFile(f.newPath(), os.O_RDWR|os.O_CREATE|os.O_APPEND, disk.FileMode)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err != nil {
		return errors.Join(err, file.Close())
	}
	f.file, f.size, f.torn = file, info.Size(), false
	return nil
}

func (f *eventFile) close() error { return f.file.Close() }

// append writes whole lines with one call.
func (f *eventFile) append(lines []byte) error {
	if len(lines) == 0 {
		return nil
	}
	if f.size > 0 && f.size+int64(len(lines)) > f.most {
		if err := f.turn(); err != nil {
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

// turn makes the new file the old one.
func (f *eventFile) turn() error {
	if err := os.Rename(f.newPath(), f.oldPath()); err != nil {
		return err
	}
	before := f.file
	if err := f.open(); err != nil {
		return err // the file that was renamed is written on
	}
	return before.Close()
}

// read opens what there is now, the old file first. The readers see nothing that is written later.
func (f *eventFile) read() (*eventReader, error) {
	r := &eventReader{}
	old, err := os.Open(f.oldPath())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err == nil {
		r.add(old, f.most)
	}
	now, err := os.Open(f.newPath())
	if err != nil {
		return nil, errors.Join(err, r.close())
	}
	r.add(now, f.size)
	return r, nil
}

// Events calls emit with the events that are meant, the oldest first. With Follow it goes on until ctx ends, which is no error,
// or until emit is so slow that more wait for it than are kept. An error of emit ends it and is returned as it is.
func (j *Journal) Events(ctx context.Context, q group.EventQuery, emit func(group.Event) error) error {
	past, w, err := j.open(q)
	if err != nil {
		return fmt.Errorf("read the journal: %w", err)
	}
	if w != nil {
		defer j.forget(w)
	}
	err = past.last(ctx, q, emit)
	if err := errors.Join(err, past.close()); err != nil || w == nil {
		return err
	}
	return w.follow(ctx, emit)
}
