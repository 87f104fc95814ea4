package logs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A folder is a group's log folder for a test.
type folder struct {
	t   *testing.T
	dir string
}

func newFolder(t *testing.T) folder { return folder{t, t.TempDir()} }

func (d folder) file(container string) File {
	return File{Container: container, Path: filepath.Join(d.dir, container+".log")}
}

// write appends to a container's file, as containerd's shim does.
func (d folder) write(container, text string) {
	d.t.Helper()
	d.must(os.MkdirAll(d.dir, 0o755))
	f, err := os.OpenFile(d.file(container).Path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
	d.must(err)
	_, err = f.WriteString(text)
	d.must(err)
	d.must(f.Close())
}

func (d folder) must(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

// short abbreviates a long line of one character in failures: "x*65536".
func short(line string) string {
	if len(line) > 64 && strings.Trim(line, line[:1]) == "" {
		return line[:1] + "*" + itoa(len(line))
	}
	return line
}

// text returns a line as tests compare it: "web stderr: text".
func text(l Line) string {
	name := l.Container
	if l.Stream != "" {
		name += " " + l.Stream + ":"
	}
	if l.Missed > 0 {
		return name + " missed " + itoa(int(l.Missed))
	}
	return name + " " + short(l.Text)
}

// free frees the first bytes of a container's file, a multiple of the block size.
func (d folder) free(container string, size int64) {
	d.t.Helper()
	f, err := os.OpenFile(d.file(container).Path, os.O_WRONLY, 0)
	d.must(err)
	defer f.Close()
	d.must(unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE|unix.FALLOC_FL_PUNCH_HOLE, 0, size))
}
