package journald

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sallyport/sallyport/shim/disk"
)

// A position is how much of a container's output was sent, by file.
type positions map[string]position

// A position is a place in one output file.
type position struct {
	Inode  uint64 `json:"inode"` // another one is another file, which is sent from its start
	Offset int64  `json:"offset"`
}

// positionPath returns the file with the positions of a container, beside its output. It goes where
// the output goes.
func positionPath(dir, container string) string {
	return filepath.Join(dir, container+".journal")
}

// readPositions returns what was saved last. What can't be read is nothing that was sent: then
// lines come again, and none is lost.
func readPositions(dir, container string) positions {
	text, err := os.ReadFile(positionPath(dir, container))
	p := positions{}
	if err != nil || json.Unmarshal(text, &p) != nil || p == nil {
		return positions{}
	}
	return p
}

// savePositions saves the positions. It doesn't wait for the disk: a power cut may bring back
// earlier ones, and so lines that were sent.
func savePositions(dir, container string, p positions) error {
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	err = disk.Disk{}.WriteUnsynced(positionPath(dir, container), text)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // the group was removed meanwhile
	}
	return err
}
