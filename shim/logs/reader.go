package logs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// maxLine is the longest line that is emitted whole, in bytes.
const maxLine = 64 << 10

// A reader cuts one file into lines. It owns the open file.
type reader struct {
	file    File
	bounded bool        // stop where the end was when the file was opened
	f       *os.File    // nil: not there yet
	info    os.FileInfo // of f when it was opened
	next    *os.File    // what has taken f's place, until f has been read to its end
	pos     int64       // of the next byte to read
	buf     []byte      // read, and not emitted: the beginning of a line

	unlinked bool // f is open, and nothing stands at its path
}

// open opens the file where the last lines begin. A file that isn't there leaves f nil.
func (r *reader) open(tail int) (err error) {
	r.f, r.info, err = openRegular(r.file.Path)
	if err == nil && r.f != nil && tail != 0 {
		r.pos, err = tailOffset(r.f, r.info.Size(), tail)
	}
	return r.wrap(err)
}

// step reads once and emits the lines that are whole. It reports whether there may be more to read at once.
func (r *reader) step(emit emitFunc) (more bool, err error) {
	if r.f == nil {
		return false, nil
	}
	if r.buf == nil {
		r.buf = make([]byte, 0, maxLine+1) // one more: a line of exactly maxLine and its newline
	}
	free := r.buf[len(r.buf):cap(r.buf)]
	if r.bounded {
		free = free[:min(int64(len(free)), r.info.Size()-r.pos)]
	}
	if len(free) == 0 {
		return false, nil // at the bound
	}
	n, err := r.f.ReadAt(free, r.pos)
	r.pos += int64(n)
	r.buf = r.buf[:len(r.buf)+n]
	if err != nil && err != io.EOF {
		return false, r.wrap(err)
	}
	return err == nil, r.cut(emit)
}

// cut emits what is whole in buf and moves the rest to its front, which leaves at least one byte free.
func (r *reader) cut(emit emitFunc) error {
	rest := r.buf
	for {
		line, after, whole := bytes.Cut(rest, []byte{'\n'})
		if !whole {
			if len(rest) <= maxLine {
				break
			}
			line, after = rest[:maxLine], rest[maxLine:]
		}
		if err := emit(r.file.Container, string(line)); err != nil {
			return err
		}
		rest = after
	}
	r.buf = r.buf[:copy(r.buf, rest)]
	return nil
}

// flush emits a last line that has no newline.
func (r *reader) flush(emit emitFunc) error {
	if len(r.buf) == 0 {
		return nil
	}
	line := string(r.buf)
	r.buf = r.buf[:0]
	return emit(r.file.Container, line)
}

// renew is called at the end of the file. It begins again where the file was cut short or another one stands in its place,
// and reports whether there is something to read. A file that was only unlinked is still read: its writer has it open too.
func (r *reader) renew(emit emitFunc) (more bool, err error) {
	if r.next != nil { // and f has been read to its end once more since next was found
		_ = r.f.Close()
		r.f, r.next, r.pos = r.next, nil, 0
		return true, r.flush(emit)
	}
	if r.f == nil {
		err := r.open(0)
		return r.f != nil, err
	}
	named, err := os.Stat(r.file.Path)
	r.unlinked = errors.Is(err, fs.ErrNotExist)
	switch {
	case r.unlinked:
	case err != nil:
		return false, r.wrap(err)
	case !os.SameFile(r.info, named):
		f, info, err := openRegular(r.file.Path)
		if err == nil && f != nil {
			r.next, r.info = f, info
		}
		return r.next != nil, r.wrap(err)
	}
	opened, err := r.f.Stat()
	if err != nil || opened.Size() >= r.pos {
		return false, r.wrap(err)
	}
	r.pos = 0
	return true, r.flush(emit)
}

func (r *reader) close() {
	for _, f := range []*os.File{r.f, r.next} {
		if f != nil {
			_ = f.Close()
		}
	}
}

func (r *reader) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("read the output of %q: %w", r.file.Container, err)
}

// openRegular opens a regular file; nil if there is nothing at path. Anything else is refused without waiting for it, as
// opening a pipe would.
func openRegular(path string) (*os.File, os.FileInfo, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", path)
	}
	if err != nil {
		_ = f.Close()
		return nil, nil, err
	}
	return f, info, nil
}
