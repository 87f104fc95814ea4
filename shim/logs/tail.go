package logs

import (
	"bytes"
	"io"
)

const tailBlock = 64 << 10

// tailOffset returns the offset of the last n lines between two offsets. A last line without a
// newline counts. It reads backwards in blocks, and no more than n lines of the largest length. For
// a negative n it returns size, and from if there are no more lines.
func tailOffset(f io.ReaderAt, from, size int64, n int) (int64, error) {
	if n < 0 || size <= from {
		return size, nil
	}
	need := int64(min(n, 1<<40)) // so that need*maxLine doesn't overflow
	buf := make([]byte, min(tailBlock, size-from))

	end := size // end of the line that is being measured
	for pos := size; pos > from; {
		block := buf[:min(int64(len(buf)), pos-from)]
		start := pos - int64(len(block))
		if got, err := f.ReadAt(block, start); got < len(block) {
			if err == io.EOF {
				return 0, nil // truncated in the meantime: all of it is new
			}
			return 0, err
		}
		if pos == size && block[len(block)-1] == '\n' {
			end, block = size-1, block[:len(block)-1] // this newline ends the last line
		}
		for {
			i := bytes.LastIndexByte(block, '\n')
			lineStart := start + int64(i) + 1
			if end-lineStart > need*maxLine { // only the last pieces of this line count
				return end - need*maxLine, nil
			}
			if i < 0 {
				break
			}
			if need -= pieces(end - lineStart); need == 0 {
				return lineStart, nil
			}
			end, block = lineStart-1, block[:i]
		}
		pos = start
	}
	return from, nil
}

// lineStart returns where the line begins that has the byte at an offset. It is not before from.
func lineStart(f io.ReaderAt, from, offset int64) (int64, error) {
	if offset <= from {
		return from, nil
	}
	var before [1]byte
	if _, err := f.ReadAt(before[:], offset-1); err != nil {
		if err == io.EOF {
			return 0, nil // truncated in the meantime: all of it is new
		}
		return 0, err
	}
	if before[0] == '\n' {
		return offset, nil
	}
	return tailOffset(f, from, offset, 1)
}

// pieces returns the number of pieces in which a line of that length is emitted.
func pieces(length int64) int64 { return max(1, (length+maxLine-1)/maxLine) }
