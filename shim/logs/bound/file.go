package bound

import (
	"errors"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// errReplaced means that there is another file at a path.
var errReplaced = errors.New("another file")

// A file is one output file. The bytes before its head are freed.
type file struct {
	path      string
	dev, ino  uint64
	own       int64 // its limit, which the total may lower
	size      int64 // where its writer appends
	allocated int64 // bytes on the disk
	head      int64
	block     int64     // of the file system
	rate      float64   // bytes in a second
	looked    time.Time // when size and allocated were read
	modified  time.Time

	marked   int64 // the size of its newest mark
	markedAt time.Time
	index    int64 // bytes of its index

	reported bool // that it can't be trimmed
}

// newFile returns the file at a path, as it is.
func newFile(path string, limit int64, now time.Time) (*file, error) {
	f := &file{path: path, own: limit, looked: now}
	st, err := f.stat()
	if err != nil {
		return nil, err
	}
	f.dev, f.ino, f.block = uint64(st.Dev), st.Ino, max(int64(st.Blksize), 4096)
	f.take(st)
	return f, nil
}

func (f *file) stat() (st unix.Stat_t, err error) {
	err = unix.Lstat(f.path, &st)
	if err == nil && st.Mode&unix.S_IFMT != unix.S_IFREG {
		err = fs.ErrNotExist
	}
	return st, err
}

func (f *file) take(st unix.Stat_t) {
	f.size, f.allocated = st.Size, st.Blocks*512 // the unit on every file system: stat(2)
	f.modified = time.Unix(st.Mtim.Unix())
}

// look reads the file's sizes again. It reports whether it has grown or begun again.
func (f *file) look(now time.Time) (changed bool, err error) {
	st, err := f.stat()
	switch {
	case err != nil:
		return false, err
	case uint64(st.Dev) != f.dev || st.Ino != f.ino:
		return false, errReplaced
	case st.Size < f.size: // truncated: its offsets begin again
		f.head, f.marked = 0, 0
	}
	grown := float64(max(st.Size-f.size, 0))
	f.rate = max(grown/max(now.Sub(f.looked), time.Millisecond).Seconds(), f.rate/2)
	changed = st.Size != f.size
	f.take(st)
	f.looked = now
	return changed, nil
}

// trim frees the head, so that the newest limit bytes stay. Output that is hardly above its limit
// stays as it is. The writer goes on meanwhile, so f.allocated is at least what is left.
func (f *file) trim(limit int64, free func(f *os.File, upto int64) error) error {
	upto := (f.size - limit) / f.block * f.block
	if f.allocated <= limit+limit/trimAt || upto <= f.head {
		return nil
	}
	opened, err := os.OpenFile(f.path, os.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer opened.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(opened.Fd()), &st); err != nil {
		return err
	}
	if uint64(st.Dev) != f.dev || st.Ino != f.ino || st.Size < f.size {
		return errReplaced // or begun again, so that these bytes are others
	}
	if err := free(opened, upto); err != nil {
		return err
	}
	f.head = upto
	if err := unix.Fstat(int(opened.Fd()), &st); err != nil {
		return err
	}
	f.allocated = st.Blocks * 512
	return nil
}

// punch frees the bytes of a file before an offset. Its size stays.
func punch(f *os.File, upto int64) error {
	for {
		err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, upto)
		if err == unix.EINTR {
			continue
		}
		return os.NewSyscallError("fallocate", err)
	}
}

// CanFree reports why the head of a file in a folder can't be freed in its place. If the error is
// [errors.ErrUnsupported], the folder's file system can't do it.
func CanFree(dir string) (err error) {
	f, err := os.CreateTemp(dir, ".sallyport-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	if _, err := f.Write(make([]byte, 2*4096)); err != nil {
		return err
	}
	return punch(f, 4096)
}
