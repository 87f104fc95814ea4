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

// An execFolder has the streams of an exec'd process. It is also the note that there may be such a process: whoever finds it
// knows by its name what to end. It is there before the process is, and goes when containerd has the process no more.
type execFolder struct {
	path      string
	container string // its id, and
	exec      string // the process's in it
}

// inContainer stands between the two in a folder's name; neither has one in it.
const inContainer = "@"

// newExecFolder names a folder for a process that is still to be made, and makes nothing.
func (c *Client) newExecFolder(container string) execFolder {
	return c.execFolder(container, c.execs.next())
}

func (c *Client) execFolder(container, exec string) execFolder {
	return execFolder{filepath.Join(c.execsDir(), exec+inContainer+container), container, exec}
}

func (c *Client) execsDir() string { return filepath.Join(c.cfg.Layout.RunDir, "exec") }

// fifos makes the folder. Who closes the set takes away the streams alone: without them, a shim that comes late makes an error
// of it instead of waiting for a reader.
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

// execIDs are the names of one Client's processes, which no other's are.
type execIDs struct {
	prefix string
	last   *atomic.Uint64
}

func newExecIDs() execIDs {
	return execIDs{"exec-" + strconv.FormatInt(time.Now().UnixNano(), 36) + "-", new(atomic.Uint64)}
}

func (i execIDs) next() string { return i.prefix + strconv.FormatUint(i.last.Add(1), 36) }

func (i execIDs) has(exec string) bool { return strings.HasPrefix(exec, i.prefix) }
