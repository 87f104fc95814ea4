package times

import (
	"io"
	"math"
	"os"
	"sort"
	"time"
)

// Marks reads an index. It holds the file open and one page in memory. It serves one goroutine at a
// time. The zero value has no marks.
type Marks struct {
	path  string
	f     *os.File // nil: there is no index
	heads []head
	page  int // index in heads of the page that marks has; -1: none
	marks []mark
	last  mark
}

// A head is a page and its first mark.
type head struct {
	at int64 // of the page, in the index
	mark
}

// Read opens the index of an output file. It has no error: where there is no index, or it can't be
// read, times are unknown. The caller closes it.
func Read(logPath string) *Marks {
	m := &Marks{path: Path(logPath)}
	m.Refresh()
	return m
}

// Refresh reads the index again, which has grown or was rewritten.
func (m *Marks) Refresh() {
	m.Close()
	f, err := openPlain(m.path, os.O_RDONLY)
	if err != nil {
		return
	}
	m.f = f
	_ = eachMark(f, func(k mark, at place) bool {
		if len(m.heads) == 0 || m.heads[len(m.heads)-1].at != at.page {
			m.heads = append(m.heads, head{at.page, k})
		}
		m.last = k
		return true
	})
}

// Close closes the index. All times are then unknown.
func (m *Marks) Close() {
	if m.f != nil {
		_ = m.f.Close()
	}
	m.f, m.heads, m.page, m.marks, m.last = nil, nil, -1, nil, mark{}
}

// Last returns the offset and the time of the newest mark: bytes from there on have no time yet. 0
// means that there is none.
func (m *Marks) Last() (offset int64, at time.Time) { return m.last.offset, m.last.time() }

// At returns when the byte at an offset was written. If exact is true, it is right to within a
// second. If not, the byte was written at that time or before. The zero time means that nothing is
// known.
func (m *Marks) At(offset int64) (at time.Time, exact bool) {
	if offset < 0 || offset >= m.last.offset {
		return time.Time{}, false
	}
	// The mark is in the page before the first one that begins above offset, or it begins that one.
	next := sort.Search(len(m.heads), func(i int) bool { return m.heads[i].offset > offset })
	for i := max(next-1, 0); i <= next && i < len(m.heads); i++ {
		m.load(i)
		k := sort.Search(len(m.marks), func(k int) bool { return m.marks[k].offset > offset })
		if k < len(m.marks) {
			return m.marks[k].time(), !m.marks[k].late
		}
	}
	return time.Time{}, false
}

// load reads a page.
func (m *Marks) load(page int) {
	if m.page == page {
		return
	}
	m.page, m.marks = page, m.marks[:0]
	first := true
	_ = eachMark(io.NewSectionReader(m.f, m.heads[page].at, pageSize), func(k mark, _ place) bool {
		if first {
			k.late, first = m.heads[page].late, false // depends on the page before
		}
		m.marks = append(m.marks, k)
		return true
	})
}

// Offset returns where the output from a time on begins: all bytes before it were written earlier.
// It is the offset of the last mark with an earlier time, so that it is right after the clock was
// set back. 0 means that no mark is earlier.
func (m *Marks) Offset(t time.Time) (offset int64) {
	if m.f == nil {
		return 0
	}
	_ = eachMark(m.f, func(k mark, _ place) bool {
		if k.time().Before(t) {
			offset = k.offset
		}
		return true
	})
	return offset
}

// Until returns where the output up to a time ends: all bytes from there on were written later. It
// is [math.MaxInt64] if bytes without a mark may have been written by then.
func (m *Marks) Until(t time.Time) (offset int64) {
	if m.f == nil {
		return math.MaxInt64
	}
	var last int64
	_ = eachMark(m.f, func(k mark, _ place) bool {
		if !k.time().After(t) || k.late && offset == last {
			offset = k.offset
		}
		last = k.offset
		return true
	})
	if offset == last {
		return math.MaxInt64
	}
	return offset
}
