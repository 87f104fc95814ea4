package logs

import (
	"context"
	"time"
)

// Options say how much of the files to read.
type Options struct {
	Follow bool // go on with what is written later, until ctx ends
	// Tail is the number of lines of each file to begin with. 0: everything there is; negative: nothing that is there already.
	Tail int
}

// Copy calls emit with the lines of the files, any bytes, without their newline, one call at a time. A line of more than
// 64 KiB comes in pieces, each counted as a line. A file that doesn't exist has no lines.
//
// Without Follow it goes through the files in their order, up to what was there when it opened them. With Follow the lines
// come as they are written; a file that appears, or takes the place of one that was read, is shown from its start; a last
// line without a newline waits for it. Then the end of ctx is the end, and no error. A file cut short and grown beyond its
// old size between two looks can't be told from one that grew.
//
// An error of emit ends it and is returned as it is.
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

// dump copies one file after another.
func dump(ctx context.Context, files []File, tail int, emit emitFunc) error {
	for _, file := range files {
		if err := dumpOne(ctx, file, tail, emit); err != nil {
			return err
		}
	}
	return nil
}

func dumpOne(ctx context.Context, file File, tail int, emit emitFunc) error {
	r := &reader{file: file, bounded: true} // a program that prints faster than we read must not keep us here
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

// follow copies what is there and then, at every wake-up, what has come. The files take turns, so that one that is written
// without a pause doesn't silence the others.
func follow(ctx context.Context, files []File, tail int, watch watchOptions, emit emitFunc) error {
	w := newWatcher(files, watch) // before the first look: what comes after the look wakes us
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
