package ctrd

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/containerd/containerd/v2/pkg/cio"
)

// An execFolder is the folder with the streams of an exec'd process. It is also the note that such
// a process may exist: its name is enough to end the process. It is made before the process, and
// removed once containerd doesn't have the process any more.
type execFolder struct {
	path      string
	container string // its id
	exec      string // the id of the process in it
}

// inContainer separates the two ids in a folder's name. Neither id contains it.
const inContainer = "@"

// newExecFolder names the folder of a process that is still to be made. It makes nothing.
func (c *Client) newExecFolder(container string) execFolder {
	return c.execFolder(container, c.execs.next())
}

func (c *Client) execFolder(container, exec string) execFolder {
	return execFolder{filepath.Join(c.execsDir(), exec+inContainer+container), container, exec}
}

func (c *Client) execsDir() string { return filepath.Join(c.cfg.Layout.RunDir, "exec") }

// fifos makes the folder. Closing the set removes the streams alone. Without them a shim that comes
// late reports an error, and doesn't wait for a reader.
func (f execFolder) fifos(tty bool) (*cio.FIFOSet, error) {
	if err := os.MkdirAll(f.path, 0o700); err != nil {
		return nil, err
	}
	in, out, err := filepath.Join(f.path, "stdin"), filepath.Join(f.path, "stdout"), filepath.Join(f.path, "stderr")
	return cio.NewFIFOSet(cio.Config{Stdin: in, Stdout: out, Stderr: err, Terminal: tty}, func() error {
		var errs error
		for _, path := range []string{in, out, err} {
			if err := os.Remove(path); !errors.Is(err, os.ErrNotExist) {
				errs = errors.Join(errs, err)
			}
		}
		return errs
	}), nil
}

// execIDs are the ids of one Client's processes. No other Client has the same.
type execIDs struct {
	prefix string
	last   *atomic.Uint64
}

func newExecIDs() execIDs {
	return execIDs{"exec-" + strconv.FormatInt(time.Now().UnixNano(), 36) + "-", new(atomic.Uint64)}
}

func (i execIDs) next() string { return i.prefix + strconv.FormatUint(i.last.Add(1), 36) }

func (i execIDs) has(exec string) bool { return strings.HasPrefix(exec, i.prefix) }
