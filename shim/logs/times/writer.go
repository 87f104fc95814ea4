package times

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	suffix    = ".times"
	newSuffix = ".times.new" // the index while it is rewritten
)

// Path returns the path of the index of an output file, which ends in ".log".
func Path(logPath string) string { return strings.TrimSuffix(logPath, ".log") + suffix }

// A Writer adds marks to the index of one output file. It must be the only one. It serves one
// goroutine at a time. After an error it can be used further: the mark that failed is missing, and
// the next one stands for it.
type Writer struct {
	path  string
	limit int64 // of the index, in bytes
	f     *os.File
	end   int64 // where the next record goes
	last  mark
	heads []int64 // the first offset of each page; of a spoilt page, that of the next one
	gap   bool    // a mark is missing before the next one
}

// Open opens the index of an output file, and creates it if there is none. It takes away a torn
// end. limit is the size in bytes that the index may have after [Writer.Drop]. A limit below 64 KiB
// counts as 64 KiB.
func Open(logPath string, limit int64) (*Writer, error) {
	w := &Writer{path: Path(logPath), limit: max(limit, 64<<10)}
	if err := w.open(); err != nil {
		return nil, fmt.Errorf("open the times of the output: %w", err)
	}
	return w, nil
}

func (w *Writer) open() (err error) {
	_ = os.Remove(strings.TrimSuffix(w.path, suffix) + newSuffix)
	w.f, err = openPlain(w.path, os.O_RDWR|os.O_CREATE)
	if errors.Is(err, errTooLarge) {
		if err = os.Remove(w.path); err == nil {
			w.f, err = openPlain(w.path, os.O_RDWR|os.O_CREATE)
		}
	}
	if err != nil {
		return err
	}
	w.end, w.last, w.heads = 0, mark{}, nil
	err = eachMark(w.f, func(m mark, at place) bool {
		w.last, w.end = m, at.end
		w.heads = append(w.heads, slices.Repeat([]int64{m.offset}, int(at.page/pageSize)+1-len(w.heads))...)
		return true
	})
	if err == nil {
		err = w.f.Truncate(w.end)
	}
	if err != nil {
		_ = w.f.Close()
	}
	return err
}

// maxSize is more bytes than an index ever has. A file that seems to have more is none: it would be
// read for minutes.
const maxSize = 1 << 30

var errTooLarge = fmt.Errorf("no index has more than %d bytes", maxSize)

// openPlain opens an index. It follows no link, and waits for nothing, as opening a pipe would.
func openPlain(path string, flags int) (*os.File, error) {
	f, err := os.OpenFile(path, flags|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o640)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = fmt.Errorf("%s is not a regular file", path)
	case info.Size() > maxSize:
		err = errTooLarge
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// Close closes the index.
func (w *Writer) Close() error { return w.f.Close() }

// Last returns the offset of the newest mark. 0 means that there is none.
func (w *Writer) Last() int64 { return w.last.offset }

// Mark records that the output file had a size of offset bytes at a time, and that the bytes since
// the mark before were written in the second before it. If offset is that of the newest mark, Mark
// does nothing. If it is smaller, the output has begun again, and so does the index.
func (w *Writer) Mark(offset int64, at time.Time) error {
	return w.add(mark{offset: offset, millis: at.UnixMilli()})
}

// MarkLate is Mark for bytes that were written while nothing watched the file. Their time is at the
// latest the given one, such as the file's time of modification.
func (w *Writer) MarkLate(offset int64, latest time.Time) error {
	return w.add(mark{offset: offset, millis: latest.UnixMilli(), late: true})
}

func (w *Writer) add(m mark) error {
	if m.offset < w.last.offset {
		if err := w.f.Truncate(0); err != nil {
			return fmt.Errorf("begin the times of the output again: %w", err)
		}
		w.end, w.last, w.heads = 0, mark{}, nil
	}
	if m.offset == w.last.offset {
		return nil
	}
	m.late = m.late || w.gap
	at, record := w.end, appendRecord(nil, w.last, m)
	begins := at%pageSize == 0 || at%pageSize+int64(len(record)) > pageSize
	if begins {
		at, record = (at+pageSize-1)/pageSize*pageSize, appendHead(nil, m)
	}
	if _, err := w.f.WriteAt(record, at); err != nil {
		w.gap = true
		return fmt.Errorf("write the times of the output: %w", err)
	}
	if begins {
		w.heads = append(w.heads, m.offset)
	}
	w.end, w.last, w.gap = at+int64(len(record)), m, false
	return nil
}

// Drop forgets the marks of the bytes before an offset, because these bytes are freed. It may keep
// some of them for a while, since it rewrites the index only where that makes it much smaller. If
// the index is then still above its limit, every second mark of the older half goes. The bytes of
// such a mark then have a latest time only, unless the marks were that close.
func (w *Writer) Drop(before int64) error {
	freed := 0 // pages at the start without a mark that counts
	for freed+1 < len(w.heads) && w.heads[freed+1] <= before {
		freed++
	}
	over := w.end-int64(freed)*pageSize > w.limit
	half := before
	if over {
		half = w.heads[(freed+len(w.heads))/2]
	} else if freed <= len(w.heads)/2 {
		return nil
	}
	if err := w.rewrite(before, half); err != nil {
		return fmt.Errorf("shorten the times of the output: %w", err)
	}
	return nil
}

// rewrite writes the index again without the marks up to before, and without every second mark
// between before and half.
func (w *Writer) rewrite(before, half int64) (err error) {
	mine, err := w.f.Stat()
	if err != nil {
		return err
	}
	if named, err := os.Stat(w.path); err != nil || !os.SameFile(mine, named) {
		return fmt.Errorf("%s is another file by now", w.path) // its group was removed
	}
	name := strings.TrimSuffix(w.path, suffix) + newSuffix
	f, err := openPlain(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			_ = os.Remove(name) // the disk may be full
		}
	}()
	if err := w.copyTo(&pager{w: f}, before, half); err != nil {
		return err
	}
	if err := f.Sync(); err != nil { // else the rename may be on the disk before the content is
		return err
	}
	if err := os.Rename(name, w.path); err != nil {
		return err
	}
	_ = w.f.Close()
	return w.open()
}

func (w *Writer) copyTo(to *pager, before, half int64) (err error) {
	var kept, skipped mark // kept is the last one that to has. skipped came after it, unless it is zero
	readErr := eachMark(w.f, func(m mark, _ place) bool {
		switch {
		case m.offset <= before:
			return true
		case m.offset < half && kept != mark{} && skipped == mark{}:
			skipped = m
			return true
		case skipped != mark{}:
			m.late = m.late || skipped.late || m.millis < kept.millis || m.millis-kept.millis > 1000
			skipped = mark{}
		}
		kept, err = m, to.add(m)
		return err == nil
	})
	return errors.Join(err, readErr, to.flush())
}

// A pager writes marks as pages.
type pager struct {
	w     io.WriterAt
	pages int64 // that are written
	page  []byte
	last  mark
}

func (p *pager) add(m mark) error {
	if len(p.page) > 0 {
		record := appendRecord(p.page, p.last, m)
		if len(record) <= pageSize {
			p.page, p.last = record, m
			return nil
		}
		if err := p.flush(); err != nil {
			return err
		}
	}
	p.page, p.last = appendHead(p.page, m), m
	return nil
}

// flush writes the page that is not full yet.
func (p *pager) flush() error {
	if len(p.page) == 0 {
		return nil
	}
	_, err := p.w.WriteAt(p.page, p.pages*pageSize)
	p.page, p.pages = p.page[:0], p.pages+1
	return err
}
