package bound

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/logs/times"
)

// largest is the size in bytes that an output file may have when its container starts: 1 TiB. ext4
// takes 16 TiB. The other file systems take more than a container ever prints.
const largest = 1 << 40

// collapseUnit is a multiple of the block sizes of the file systems that can collapse a file.
const collapseUnit = 64 << 10

// Collapse makes the offsets of an output file small again, if its file is larger than 1 TiB by its
// offsets. What is freed at its head is taken out of the file, and what is kept stays. No container
// may be writing to it, so this is done before one starts. A container that never starts again
// reaches the limit of the file system, and starts again then.
//
// The times of what is kept are lost but for the latest. A file system that can't do it, such as
// btrfs, has no limit that is reached, so there it is no error.
func Collapse(logPath string) error {
	err := collapse(logPath)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("make the offsets of output small again: %w", err)
	}
	return nil
}

func collapse(logPath string) error {
	info, err := os.Lstat(logPath)
	if err != nil || !info.Mode().IsRegular() || info.Size() <= largest {
		return err
	}
	f, err := os.OpenFile(logPath, os.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	head, err := f.Seek(0, unix.SEEK_DATA)
	// A reader sees by the hole at its head that a file begins in the middle of a line. So some of
	// it stays.
	head = (head - collapseUnit) / collapseUnit * collapseUnit
	switch {
	case errors.Is(err, unix.ENXIO): // nothing is kept
		err = f.Truncate(0)
	case err == nil && head <= 0: // nothing is freed
		return nil
	case err == nil:
		err = os.NewSyscallError("fallocate", unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_COLLAPSE_RANGE, 0, head))
	}
	if err != nil {
		return err
	}
	return os.Truncate(times.Path(logPath), 0) // its offsets are others
}
