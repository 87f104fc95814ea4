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

// maxLine is the length in bytes of the longest line that is emitted in one piece.
const maxLine = 64 << 10

// A reader splits one file into lines. It owns the open file.
type reader struct {
	file    File
	bounded bool        // stop at the end that the file had when it was opened
	f       *os.File    // nil if there is no file yet
	info    os.FileInfo // of f when it was opened
	next    *os.File    // the file that replaced f, while the rest of f is read
	pos     int64       // offset of the next byte to read
	buf     []byte      // bytes that are read and not emitted: the beginning of a line

	unlinked bool // f is open, and there is no file at its path
}

// open opens the file and finds the offset of the last lines. If there is no file, f stays nil.
func (r *reader) open(tail int) (err error) {
	r.f, r.info, err = openRegular(r.file.Path)
	if err == nil && r.f != nil && tail != 0 {
		r.pos, err = tailOffset(r.f, r.info.Size(), tail)
	}
	return r.wrap(err)
}

// step reads once and emits the complete lines. It reports whether there may be more to read now.
func (r *reader) step(emit emitFunc) (more bool, err error) {
	if r.f == nil {
		return false, nil
	}
	if r.buf == nil {
		r.buf = make([]byte, 0, maxLine+1) // with room for a line of maxLine bytes and its newline
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

// cut emits the complete lines in buf and moves the rest to its front. At least one byte is then
// free.
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

// flush emits a last line without a newline.
func (r *reader) flush(emit emitFunc) error {
	if len(r.buf) == 0 {
		return nil
	}
	line := string(r.buf)
	r.buf = r.buf[:0]
	return emit(r.file.Container, line)
}

// renew is called at the end of the file. If the file was truncated or replaced, it begins again at
// the start. It reports whether there is something to read. A file that was only unlinked is read
// further, because its writer still has it open too.
func (r *reader) renew(emit emitFunc) (more bool, err error) {
	if r.next != nil { // and f was read to its end again after next was found
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

// openRegular opens a regular file. It returns nil if there is nothing at path. It refuses any
// other kind of file without waiting for it, as opening a pipe would.
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
