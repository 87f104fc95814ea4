package disk

import (
	"encoding/binary"
	"iter"
	"strings"
)

// An Entry is an entry of a folder.
type Entry struct {
	Name string
	Kind uint8 // unix.DT_UNKNOWN or another
	Next int64 // the offset of the entry after it, for lseek(2) of the folder
}

// Entries yields the entries that getdents64(2) has put into a buffer, without "." and "..".
func Entries(buf []byte) iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		for rest := buf; len(rest) > 0; {
			// struct linux_dirent64: inode, offset of the next entry, length, type, name
			e := Entry{Next: int64(binary.NativeEndian.Uint64(rest[8:])), Kind: rest[18]}
			length := binary.NativeEndian.Uint16(rest[16:])
			e.Name, _, _ = strings.Cut(string(rest[19:length]), "\x00")
			rest = rest[length:]
			if e.Name != "." && e.Name != ".." && !yield(e) {
				return
			}
		}
	}
}
