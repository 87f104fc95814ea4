package journald

import (
	"bytes"
	"errors"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/logs/times"
)

// forward sends what is new in one file, a buffer at most. It reports whether there may be more. An
// error is the journal's. A file that is not there, or can't be read, has nothing new.
func (f *forwarder) forward(o output) (more bool, err error) {
	file, err := os.OpenFile(o.path(), os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		f.waits = f.waits || !errors.Is(err, os.ErrNotExist) // such as too many open files
		return false, nil
	}
	defer file.Close()
	var st unix.Stat_t
	if unix.Fstat(int(file.Fd()), &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return false, nil
	}
	s := f.state(o, st)
	now := time.Now()
	if s.Offset == st.Size {
		s.allSent = now
		return false, nil
	}
	more, err = f.send(o, file, s, st.Size)
	if s.Offset == st.Size {
		s.allSent = now
	} else {
		f.waits = true
	}
	if s.Offset != s.saved {
		f.save(o, s)
	}
	return more, err
}

// state returns what is known of a file. Another file, or one that was cut, begins anew.
func (f *forwarder) state(o output, st unix.Stat_t) *state {
	s := f.states[o.path()]
	if s == nil {
		s = &state{position: readPositions(o.dir, o.container)[o.file]}
		s.saved = s.Offset
		f.states[o.path()] = s
	}
	if s.Inode != st.Ino || s.Offset > st.Size {
		*s = state{position: position{Inode: st.Ino}}
	}
	return s
}

// save saves the position in a file, beside that of the container's other file.
func (f *forwarder) save(o output, s *state) {
	all := readPositions(o.dir, o.container)
	all[o.file], s.saved = s.position, s.Offset
	why := ""
	if err := savePositions(o.dir, o.container, all); err != nil {
		why = err.Error()
	}
	if why != "" && f.unsave == "" {
		f.log.Warn("how much of the output was sent to the journal can't be saved: some of it will come again after a restart", "error", why)
	}
	f.unsave = why
}

// send sends the lines of one buffer, and moves the state's offset behind what was sent.
func (f *forwarder) send(o output, file *os.File, s *state, size int64) (more bool, err error) {
	n, err := file.ReadAt(f.buf[:min(int64(len(f.buf)), size-s.Offset)], s.Offset)
	if err != nil && err != io.EOF || n == 0 {
		return false, nil
	}
	// After the read: what was freed meanwhile was read as zero bytes.
	if data := dataFrom(file, s.Offset, size); data > s.Offset {
		return true, f.skip(o, file, s, data, size)
	}
	written := func(int64) moment { return moment{} }
	if time.Since(s.allSent) > lateAfter {
		marks := times.Read(o.path())
		defer marks.Close()
		written = func(offset int64) moment {
			at, exact := marks.At(offset)
			return moment{at, !exact}
		}
	}
	rest := f.buf[:n]
	for {
		line, after, whole := bytes.Cut(rest, []byte{'\n'})
		length := len(line) + 1
		if !whole {
			length = len(line)
			atEnd := s.Offset+int64(length) == size
			if length == 0 || length < len(f.buf) && !(atEnd && s.overdue(size, f.cfg.Unended)) {
				return n == len(f.buf), nil
			}
			after = nil
		}
		if err := f.entry(lineEntry(o.source, written(s.Offset+int64(length)-1), line)); err != nil {
			return false, err
		}
		s.Offset += int64(length)
		rest = after
		if s.Offset-s.saved >= saveEvery {
			f.save(o, s)
		}
	}
}

// overdue reports whether a line without an end has waited for it long enough.
func (s *state) overdue(size int64, wait time.Duration) bool {
	if s.unended != size {
		s.unended, s.since = size, time.Now()
	}
	return time.Since(s.since) >= wait
}

// skip goes on behind freed output. The rest of a line whose head was freed is left out too.
func (f *forwarder) skip(o output, file *os.File, s *state, data, size int64) error {
	n, err := file.ReadAt(f.buf[:min(int64(len(f.buf)), size-data)], data)
	if err != nil && err != io.EOF {
		return nil
	}
	if now := dataFrom(file, data, size); now > data {
		return nil // and it was freed meanwhile: look again
	}
	if end := bytes.IndexByte(f.buf[:n], '\n'); end >= 0 {
		data += int64(end) + 1
	}
	if err := f.entry(missedEntry(o.source, data-s.Offset)); err != nil {
		return err
	}
	s.Offset = data
	return nil
}

// entry sends one entry.
func (f *forwarder) entry(entry []byte) error {
	if err := f.socket.send(entry); err != nil {
		return err
	}
	if f.away {
		f.away = false
		f.log.Info("the journal takes output again")
	}
	return nil
}

// dataFrom returns where data begins at an offset or behind it. That is the offset itself, unless
// the space was freed (lseek(2), SEEK_DATA). It is the size if all was.
func dataFrom(file *os.File, offset, size int64) int64 {
	data, err := unix.Seek(int(file.Fd()), offset, unix.SEEK_DATA)
	switch {
	case errors.Is(err, unix.ENXIO):
		return size
	case err != nil:
		return offset // a file system without holes
	}
	return min(data, size) // it may have grown since
}
