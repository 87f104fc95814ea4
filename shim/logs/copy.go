package logs

import (
	"context"
	"time"
)

// Options select the part of the files to read.
type Options struct {
	Follow bool // continue with later output, until ctx ends
	// Tail is the number of lines of each file to begin with. 0 means all lines. A negative number
	// means no line that is already there.
	Tail int
}

// Copy calls emit with the lines of the files, one call at a time. A line may hold any bytes and
// comes without its newline. A line of more than 64 KiB comes in pieces, and each piece counts as a
// line. A file that doesn't exist has no lines.
//
// Without Follow, Copy reads the files one after the other, each up to its end at the time it was
// opened. With Follow, lines come as they are written. A file that appears is read from its start,
// and so is one that replaces an earlier file. A last line without a newline is held back until the
// newline comes. The end of ctx ends Copy without an error. If a file is truncated and grows beyond
// its old size between two reads, Copy can't distinguish it from a file that only grew.
//
// An error of emit ends Copy, which returns it unchanged.
func Copy(ctx context.Context, files []File, opt Options, emit func(container, line string) error) error {
	return copyFiles(ctx, files, opt, watchOptions{notify: true, poll: time.Second, check: 10 * time.Second}, emit)
}

func copyFiles(ctx context.Context, files []File, opt Options, watch watchOptions, emit emitFunc) error {
	if !opt.Follow {
		return dump(ctx, files, opt.Tail, emit)
	}
	err := follow(ctx, files, opt.Tail, watch, emit)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

type emitFunc func(container, line string) error

// dump copies the files one after the other.
func dump(ctx context.Context, files []File, tail int, emit emitFunc) error {
	for _, file := range files {
		if err := dumpOne(ctx, file, tail, emit); err != nil {
			return err
		}
	}
	return nil
}

func dumpOne(ctx context.Context, file File, tail int, emit emitFunc) error {
	r := &reader{file: file, bounded: true} // a program may print faster than we read
	defer r.close()
	if err := r.open(tail); err != nil {
		return err
	}
	for more := true; more; {
		if err := ctx.Err(); err != nil {
			return err
		}
		var err error
		if more, err = r.step(emit); err != nil {
			return err
		}
	}
	return r.flush(emit)
}

// follow copies the existing lines, and after every wake-up the new ones. The files take turns, so
// that a busy file does not keep the others waiting.
func follow(ctx context.Context, files []File, tail int, watch watchOptions, emit emitFunc) error {
	w := newWatcher(files, watch) // before the first read, so that later output wakes us
	defer w.close()

	readers := make([]*reader, len(files))
	for i, file := range files {
		readers[i] = &reader{file: file}
		defer readers[i].close()
		if err := readers[i].open(tail); err != nil {
			return err
		}
	}
	for {
		again, unlinked := false, false
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
		if !again && !w.wait(ctx, unlinked) {
			return ctx.Err()
		}
	}
}
