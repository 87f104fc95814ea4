package logs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/logs/times"
)

// maxLine is the length in bytes of the longest line that is emitted in one piece.
const maxLine = 64 << 10

// A reader splits one file into lines. It owns the open file.
type reader struct {
	file    File
	opt     Options
	bounded bool        // stop at limit
	limit   int64       // the end of what is read at first
	whole   bool        // limit is the end of the file, so a line without a newline ends there
	f       *os.File    // nil if there is no file yet
	info    os.FileInfo // of f when it was opened
	next    *os.File    // the file that replaced f, while the rest of f is read
	pos     int64       // offset of the first byte in buf, or of the next byte to read
	buf     []byte      // bytes that are read and not emitted, in space
	space   []byte

	skip    bool  // the start of the line at pos is missing: drop its rest
	skipped int   // bytes of it that are dropped
	missed  int64 // bytes that were freed and are not reported
	begun   bool  // the first bytes were there, so what is freed from now on is missed

	marks *times.Marks
	asked time.Time // when marks were last read
	atEnd bool      // the last read came to the end of the file
	live  bool      // the read before did, so this one got what was just written

	unlinked bool // f is open, and there is no file at its path
}

// newReader returns a reader that is not open. It computes times if the options want them.
func newReader(file File, opt Options) *reader {
	return &reader{file: file, opt: opt, bounded: true, marks: &times.Marks{}}
}

// open opens the file and finds the range that the options select. If there is no file, f stays
// nil.
func (r *reader) open() (err error) {
	r.f, r.info, err = openRegular(r.file.Path)
	if err != nil || r.f == nil {
		return r.wrap(err)
	}
	if r.opt.timed() {
		r.marks, r.asked = times.Read(r.file.Path), time.Now()
	}
	return r.wrap(r.selectRange())
}

// selectRange sets pos and limit.
func (r *reader) selectRange() error {
	size := r.info.Size()
	from, to := int64(0), size
	if size > 0 {
		from = dataFrom(r.f, 0, size)
	}
	first := from
	if until := r.opt.Until; !until.IsZero() {
		if end := r.marks.Until(until); end < to {
			start, err := lineStart(r.f, from, max(from, end))
			if err != nil {
				return err
			}
			to = start
		}
	}
	if since := r.opt.Since; !since.IsZero() {
		offset := to
		if !r.info.ModTime().Before(since) {
			offset = min(to, max(from, r.marks.Offset(since)))
		}
		start, err := lineStart(r.f, from, offset)
		if err != nil {
			return err
		}
		first = start
	}
	if r.opt.Tail != 0 {
		last, err := tailOffset(r.f, first, to, r.opt.Tail)
		if err != nil {
			return err
		}
		first = last
	}
	r.pos, r.limit, r.whole = first, to, to == size
	r.skip = first == from && from > 0 && first < to
	return nil
}

// readLine returns the next line. ok is false if there is none for now.
func (r *reader) readLine() (line Line, ok bool, err error) {
	for {
		if line, ok := r.cut(); ok {
			return line, true, nil
		}
		if n, err := r.fill(); n == 0 || err != nil {
			return Line{}, false, err
		}
	}
}

// fill reads once. n is 0 at the end.
func (r *reader) fill() (n int, err error) {
	if r.f == nil {
		return 0, nil
	}
	if r.space == nil {
		r.space = make([]byte, maxLine+1) // with room for a line of maxLine bytes and its newline
	}
	r.buf = r.space[:copy(r.space, r.buf)]
	free, at := r.space[len(r.buf):], r.pos+int64(len(r.buf))
	if r.bounded {
		free = free[:max(0, min(int64(len(free)), r.limit-at))]
	}
	if len(free) == 0 {
		return 0, nil // at the bound
	}
	got, err := r.f.ReadAt(free, at)
	if err != nil && err != io.EOF {
		return 0, r.wrap(err)
	}
	r.live, r.atEnd = r.atEnd, err == io.EOF
	if got == 0 {
		r.begun = true
		return 0, nil
	}
	// Only the head of a file is freed. So if this byte is still there now, all were when they were
	// read.
	if data := dataFrom(r.f, at, at+int64(got)); data > at {
		if r.begun {
			r.missed += data - r.pos
		}
		r.pos, r.buf, r.skip, r.skipped, r.atEnd = data, nil, true, 0, false
		return got, nil
	}
	r.begun = true
	r.buf = r.space[:len(r.buf)+got]
	return got, nil
}

// cut takes the next line from buf. After it has returned false, at least one byte of buf is free.
func (r *reader) cut() (Line, bool) {
	text, _, whole := bytes.Cut(r.buf, []byte{'\n'})
	switch {
	case r.skip:
		return r.skipLine(len(text)+1, whole)
	case whole && len(text) <= maxLine:
		return r.line(len(text), len(text)+1), true
	case len(text) <= maxLine:
		return Line{}, false
	}
	piece := maxLine - cutRune(text[:maxLine])
	line := r.line(piece, piece)
	line.Partial = true
	return line, true
}

// skipLine drops the first length bytes, which are the rest of a line, whole or as far as it is
// read. Of a very long line, it drops no more than a piece.
func (r *reader) skipLine(length int, whole bool) (Line, bool) {
	length = min(length, len(r.buf))
	if left := maxLine - r.skipped; length >= left {
		length, whole = left, true
	}
	r.skip, r.skipped = !whole, r.skipped+length
	if r.missed > 0 {
		r.missed += int64(length)
	}
	r.take(length)
	switch missed := r.missed; {
	case !whole:
		return Line{}, false
	case missed > 0:
		r.missed = 0
		return Line{Container: r.file.Container, Stream: r.file.Stream, Missed: missed}, true
	}
	return r.cut()
}

// cutRune returns how many bytes at the end of text are the start of a character whose end is
// missing.
func cutRune(text []byte) int {
	for n := 1; n < utf8.UTFMax && n < len(text); n++ {
		if tail := text[len(text)-n:]; utf8.RuneStart(tail[0]) {
			if utf8.FullRune(tail) {
				return 0
			}
			return n
		}
	}
	return 0
}

// line takes the first length bytes from buf, as a line with that many bytes of text.
func (r *reader) line(text, length int) Line {
	l := Line{Container: r.file.Container, Stream: r.file.Stream, Text: string(r.buf[:text])}
	l.Time, l.Latest = r.timeOf(r.pos + int64(length) - 1)
	r.take(length)
	return l
}

// take removes the first bytes from buf.
func (r *reader) take(n int) {
	r.buf = r.buf[n:]
	r.pos += int64(n)
}

// timeOf returns when a byte was written. If the index doesn't have it yet, a line that was awaited
// is of now, and another one is not newer than the file.
func (r *reader) timeOf(offset int64) (at time.Time, latest bool) {
	if !r.opt.timed() {
		return time.Time{}, false
	}
	last, lastTime := r.marks.Last()
	if offset < last {
		at, exact := r.marks.At(offset)
		return at, !exact
	}
	now := time.Now()
	if r.live {
		return now, false
	}
	if now.Sub(r.asked) > time.Second {
		r.marks.Refresh()
		r.asked = now
		return r.timeOf(offset)
	}
	at = r.info.ModTime()
	if r.opt.Follow {
		if info, err := r.f.Stat(); err == nil {
			at = info.ModTime()
		}
	}
	return at, last == 0 || at.Sub(lastTime) > time.Second || at.Before(lastTime)
}

// rest returns a last line without a newline, or how much of it was freed.
func (r *reader) rest() (Line, bool) {
	if missed := r.missed; missed > 0 {
		r.missed = 0
		return Line{Container: r.file.Container, Stream: r.file.Stream, Missed: missed}, true
	}
	if len(r.buf) == 0 || r.skip {
		return Line{}, false
	}
	return r.line(len(r.buf), len(r.buf)), true
}

// flush emits a last line without a newline.
func (r *reader) flush(emit emitFunc) error {
	if line, ok := r.rest(); ok {
		return emit(line)
	}
	return nil
}

// step reads once and emits the complete lines. It reports whether there may be more to read now.
func (r *reader) step(emit emitFunc) (more bool, err error) {
	n, err := r.fill()
	if n == 0 || err != nil {
		return false, err
	}
	for {
		line, ok := r.cut()
		if !ok {
			return !r.atEnd, nil
		}
		if err := emit(line); err != nil {
			return false, err
		}
	}
}

// renew is called at the end of the file. If the file was truncated or replaced, it begins again at
// the start. It reports whether there is something to read. A file that was only unlinked is read
// further, because its writer still has it open too.
func (r *reader) renew(emit emitFunc) (more bool, err error) {
	if r.next != nil { // and f was read to its end again after next was found
		err := r.flush(emit)
		_ = r.f.Close()
		r.f, r.next = r.next, nil
		r.again()
		return true, err
	}
	if r.f == nil {
		r.f, r.info, err = openRegular(r.file.Path)
		if r.f != nil {
			r.again()
		}
		return r.f != nil, r.wrap(err)
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
	if err != nil || opened.Size() >= r.pos+int64(len(r.buf)) {
		return false, r.wrap(err)
	}
	err = r.flush(emit)
	r.again()
	return true, err
}

// again begins at the start of f.
func (r *reader) again() {
	r.pos, r.buf, r.skip, r.skipped, r.missed, r.begun, r.atEnd = 0, nil, false, 0, 0, false, false
	if r.opt.timed() {
		r.marks.Close()
		r.marks, r.asked = times.Read(r.file.Path), time.Now()
	}
}

func (r *reader) close() {
	r.marks.Close()
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
