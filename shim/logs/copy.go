package logs

import (
	"context"
	"os"
	"path/filepath"
	"time"
)

// Options select the part of the files to read.
type Options struct {
	Follow bool // continue with later output, until ctx ends or Over is closed
	// Over is closed when nothing more is written. With Follow, Copy then reads the rest and ends.
	// A file that it had not found by then is read in the folder that Moved returns. A nil Over is
	// never closed.
	Over  <-chan struct{}
	Moved func() string // "" if the files have not moved
	// Tail is the number of lines of each container to begin with. 0 means all lines. A negative
	// number means no line that is already there.
	Tail int
	// Since and Until bound when the lines were written. Zero means no bound. A line whose time is
	// not known well enough is in the range if it may be. Until needs Follow to be false.
	Since, Until time.Time
	Times        bool // lines have their time
}

// timed reports whether times are needed.
func (o Options) timed() bool { return o.Times || !o.Since.IsZero() || !o.Until.IsZero() }

// Copy calls emit with the lines of the files, one call at a time. A line may hold any bytes and
// comes without its newline. A line of more than 64 KiB comes in pieces, and each piece counts as a
// line. All but the last are Partial. A file that doesn't exist has no lines.
//
// The lines of one file come in their order. With Times, those of several files are in the order of
// their times. Without, one file follows the other.
//
// The head of a file may be freed, before or while it is read. The rest of a line whose beginning
// is freed is dropped, or 64 KiB of it. A [Line] with Missed reports what was freed after Copy had
// begun with the file.
//
// Without Follow, Copy reads each file up to its end at the time it was opened. With Follow, it
// goes on with lines as they are written. A file that appears is read from its start, and so is one
// that replaces an earlier file. A last line without a newline is held back until the newline
// comes, or until Over is closed. The end of ctx ends Copy without an error. If a file is truncated
// and grows beyond its old size between two reads, Copy can't distinguish it from a file that only
// grew.
//
// An error of emit ends Copy, which returns it unchanged.
func Copy(ctx context.Context, files []File, opt Options, emit func(Line) error) error {
	return copyFiles(ctx, files, opt, watchOptions{notify: true, poll: time.Second, check: 10 * time.Second}, emit)
}

func copyFiles(ctx context.Context, files []File, opt Options, watch watchOptions, emit emitFunc) error {
	err := copyAll(ctx, files, opt, watch, emit)
	if opt.Follow && ctx.Err() != nil {
		return nil
	}
	return err
}

func copyAll(ctx context.Context, files []File, opt Options, watch watchOptions, emit emitFunc) error {
	var w *watcher
	if opt.Follow {
		w = newWatcher(files, watch) // before the first read, so that later output wakes us
		defer w.close()
	}
	var readers []*reader
	defer func() {
		for _, r := range readers {
			r.close()
		}
	}()
	for _, file := range files {
		r := newReader(file, opt)
		readers = append(readers, r)
		if err := r.open(); err != nil {
			return err
		}
	}
	if err := dump(ctx, readers, opt, emit); err != nil || !opt.Follow {
		return err
	}
	return follow(ctx, readers, w, opt, emit)
}

// dump copies what is there.
func dump(ctx context.Context, readers []*reader, opt Options, emit emitFunc) error {
	var all merged
	for i := 0; i < len(readers); {
		of := readers[i : i+1]
		if i+1 < len(readers) && readers[i+1].file.Container == readers[i].file.Container {
			of = readers[i : i+2] // its two streams
		}
		one, err := openContainer(of, opt)
		if err != nil {
			return err
		}
		all.sources, i = append(all.sources, one), i+len(of)
	}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		line, ok, err := all.readLine()
		if ok {
			err2 := emit(line)
			if err2 != nil {
				return err2
			}
		}
		if !ok || err != nil {
			return err
		}
	}
}

// follow copies the new lines after every wake-up. The files take turns, so that a busy file does
// not keep the others waiting.
func follow(ctx context.Context, readers []*reader, w *watcher, opt Options, emit emitFunc) error {
	for _, r := range readers {
		r.bounded = false
	}
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-opt.Over:
			cancel()
		case <-waiting.Done():
		}
	}()
	for {
		again, unlinked, over := false, false, waiting.Err() != nil // before the last read
		if over {
			findMoved(readers, opt.Moved)
		}
		for _, r := range readers {
			if err := ctx.Err(); err != nil {
				return err
			}
			more, err := r.step(emit)
			if err == nil && !more {
				more, err = r.renew(emit)
			}
			if err != nil {
				return err
			}
			again, unlinked = again || more, unlinked || r.unlinked
		}
		switch {
		case again:
		case over:
			return flushAll(readers, emit)
		default:
			w.wait(waiting, unlinked)
		}
	}
}

// findMoved leads the readers that have found no file to the folder that the files have moved to.
func findMoved(readers []*reader, moved func() string) {
	for _, r := range readers {
		if _, err := os.Stat(r.file.Path); r.f != nil || err == nil || moved == nil {
			continue
		}
		if dir := moved(); dir != "" {
			r.file.Path = filepath.Join(dir, filepath.Base(r.file.Path))
		}
	}
}

// flushAll emits the last lines that have no newline.
func flushAll(readers []*reader, emit emitFunc) error {
	for _, r := range readers {
		if err := r.flush(emit); err != nil {
			return err
		}
	}
	return nil
}
