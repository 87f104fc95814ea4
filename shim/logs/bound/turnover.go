package bound

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/shim/logs/times"
)

// largest is the size in bytes that an output file may have when its container starts: 1 TiB. ext4
// takes 16 TiB, and other file systems more.
const largest = 1 << 40

// TurnOver makes the output of a container begin a new file, if its file is larger than 1 TiB by
// its offsets. What is in the file goes to the removed output. No container may be writing to it,
// so this is done before one starts. A container that never starts again reaches the limit of the
// file system, and starts again then.
func TurnOver(logPath string, now time.Time) error {
	info, err := os.Lstat(logPath)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() <= largest {
		return nil
	}
	if err == nil {
		err = moveAway(logPath, now)
	}
	if err != nil {
		return fmt.Errorf("begin a new file for output: %w", err)
	}
	return nil
}

func moveAway(logPath string, now time.Time) error {
	group := filepath.Dir(logPath)
	to := filepath.Join(filepath.Dir(group), layout.RemovedOutput, filepath.Base(group)+"@"+strconv.FormatInt(now.Unix(), 10))
	if err := os.MkdirAll(to, 0o750); err != nil {
		return err
	}
	for _, path := range []string{logPath, times.Path(logPath)} {
		if err := os.Rename(path, filepath.Join(to, filepath.Base(path))); err != nil && !(errors.Is(err, fs.ErrNotExist) && !strings.HasSuffix(path, ".log")) {
			return err
		}
	}
	return nil
}
