package times

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"time"
)

// An index consists of pages. A page starts with its first mark in full and goes on with the
// differences of the later ones. So a mark takes four or five bytes, and what a power cut or a bad
// disk spoils is one page. All numbers of a head are little-endian:
//
//	head:   "SPT", flags (1 byte), offset (8), milliseconds since 1970 (8), CRC-32C of these (4)
//	record: uvarint(offset difference << 1 | late), varint(millisecond difference), check (1 byte)
//
// A record that begins with 0 ends the page. It can't be a mark, since offsets only grow.
const (
	pageSize = 4096
	headSize = 24
)

const (
	magic    = "SPT"
	flagLate = 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A mark is a size of the output file and when it had it. late means that nothing watched the file
// since the mark before: its bytes were written at that time at the latest.
type mark struct {
	offset int64
	millis int64
	late   bool
}

func (m mark) time() time.Time { return time.UnixMilli(m.millis) }

func appendHead(b []byte, m mark) []byte {
	start := len(b)
	b = append(b, magic...)
	b = append(b, m.flags())
	b = binary.LittleEndian.AppendUint64(b, uint64(m.offset))
	b = binary.LittleEndian.AppendUint64(b, uint64(m.millis))
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

func (m mark) flags() byte {
	if m.late {
		return flagLate
	}
	return 0
}

// decodeHead returns the first mark of a page. It reports false if there is none.
func decodeHead(page []byte) (m mark, ok bool) {
	if len(page) < headSize || string(page[:len(magic)]) != magic || page[3]&^flagLate != 0 {
		return m, false
	}
	if crc32.Checksum(page[:headSize-4], castagnoli) != binary.LittleEndian.Uint32(page[headSize-4:]) {
		return m, false
	}
	m = mark{
		offset: int64(binary.LittleEndian.Uint64(page[4:])), millis: int64(binary.LittleEndian.Uint64(page[12:])),
		late: page[3] == flagLate,
	}
	return m, m.offset > 0
}

// appendRecord appends m as the difference from the mark before it. m.offset is above
// before.offset.
func appendRecord(b []byte, before, m mark) []byte {
	start := len(b)
	b = binary.AppendUvarint(b, uint64(m.offset-before.offset)<<1|uint64(m.flags()))
	b = binary.AppendVarint(b, m.millis-before.millis)
	return append(b, check(b[start:], before))
}

// decodeRecord returns the mark after before, and its length in bytes. A length of 0 means that the
// page has no further mark: it ends here, or the rest is torn or garbage.
func decodeRecord(b []byte, before mark) (m mark, length int) {
	grown, n := binary.Uvarint(b)
	if n <= 0 || grown>>1 == 0 {
		return m, 0
	}
	passed, p := binary.Varint(b[n:])
	if p <= 0 || n+p >= len(b) || b[n+p] != check(b[:n+p], before) {
		return m, 0
	}
	m = mark{offset: before.offset + int64(grown>>1), millis: before.millis + passed, late: grown&1 == flagLate}
	if m.offset <= before.offset { // overflow
		return m, 0
	}
	return m, n + p + 1
}

// check is the check byte of a record. The mark before is part of it, so that the rest of an
// overwritten page doesn't pass. It is never 0, so that a record whose end is zeros doesn't: that
// is how a power cut tears one.
func check(record []byte, before mark) byte {
	var base [8]byte
	binary.LittleEndian.PutUint64(base[:], uint64(before.offset)^uint64(before.millis))
	return max(1, byte(crc32.Update(crc32.Checksum(base[:], castagnoli), castagnoli, record)))
}

// A place is where a mark stands in an index.
type place struct {
	page int64 // start of its page
	end  int64 // where it ends
}

// eachMark calls each with the marks of an index, in the order of their offsets, until it returns
// false. What is spoilt has no marks. The mark after it is late, since marks before it are missing.
func eachMark(index io.ReaderAt, each func(mark, place) bool) error {
	buf := make([]byte, 16*pageSize)
	var last mark
	room := 0 // in the page before, behind its last mark
	for at := int64(0); ; {
		n, err := index.ReadAt(buf, at)
		for rest := buf[:n]; len(rest) > 0; {
			page := rest[:min(pageSize, len(rest))]
			m, ok := decodeHead(page)
			if !ok || m.offset <= last.offset {
				room = pageSize
			} else {
				m.late = m.late || len(appendRecord(nil, last, m)) <= room
				for length := headSize; ; {
					if !each(m, place{at, at + int64(length)}) {
						return nil
					}
					last, room = m, pageSize-length
					next, size := decodeRecord(page[length:], m)
					if size == 0 {
						break
					}
					m, length = next, length+size
				}
			}
			at, rest = at+int64(len(page)), rest[len(page):]
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
