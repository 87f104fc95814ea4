package child

import (
	"bytes"
	"errors"
	"os"
)

// trim empties a log that has grown past limit bytes. Its writer appends, so it goes on at the new
// end.
func trim(path string, limit int64) error {
	fi, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) || err == nil && fi.Size() <= limit {
		return nil
	}
	if err != nil {
		return err
	}
	return os.Truncate(path, 0)
}

// lastLine returns the last line of a short log. It returns "" if there is none.
func lastLine(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	b = bytes.TrimSpace(b)
	return string(b[bytes.LastIndexByte(b, '\n')+1:])
}
