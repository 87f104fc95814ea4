package logs

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// dataFrom returns the offset of the first byte at or after pos that is not freed. The head of an
// output file is freed in place, which leaves a hole. pos is below the file's size. If all bytes
// from pos on are freed, dataFrom returns end. On a file system that doesn't know its holes, and
// after an error, it returns pos.
func dataFrom(f *os.File, pos, end int64) int64 {
	data, err := f.Seek(pos, unix.SEEK_DATA) // all reads give their offset, so the seek moves none
	switch {
	case errors.Is(err, unix.ENXIO): // lseek(2): only a hole is left
		return end
	case err != nil:
		return pos
	}
	return data
}
