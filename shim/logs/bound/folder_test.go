package bound

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// What is no plain file of a container's output is left alone.
func TestLeavesOthersAlone(t *testing.T) {
	dir, elsewhere := t.TempDir(), filepath.Join(t.TempDir(), "precious")
	write(t, elsewhere, 3*mib)
	must(t, os.Mkdir(filepath.Join(dir, "shop"), 0o750))
	must(t, os.Symlink(elsewhere, filepath.Join(dir, "shop", "web.log")))
	must(t, unix.Mkfifo(filepath.Join(dir, "shop", "pipe.log"), 0o600))
	write(t, filepath.Join(dir, "shop", "notes.txt"), 3*mib)
	must(t, os.Symlink(filepath.Dir(elsewhere), filepath.Join(dir, "linked")))
	d := newDesk(t, dir, Settings{Size: mib, Removed: time.Hour})
	d.step(true)
	d.settle()
	for _, path := range []string{elsewhere, filepath.Join(dir, "shop", "notes.txt")} {
		if got := allocated(path); got < 3*mib {
			t.Errorf("%s has %d bytes left", path, got)
		}
	}
}

// In a folder that others have files in, such as /var/log, a folder is a group's if the daemon has
// put settings there.
func TestSharedFolder(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "syslog"), 100)
	theirs, ours := filepath.Join(dir, "nginx", "access.log"), filepath.Join(dir, "shop", "web.log")
	write(t, theirs, 3*mib)
	write(t, ours, 3*mib)
	d := newDesk(t, dir, Settings{Size: mib, Removed: time.Hour})
	d.step(true)
	d.settle()
	must(t, os.WriteFile(filepath.Join(dir, "shop", SettingsFile), []byte(`{"version":1}`), 0o600))
	d.settle()
	if got := allocated(ours); got > mib+mib/10 {
		t.Errorf("the group's takes %d bytes", got)
	}
	write(t, theirs, mib)
	d.settle()
	if got := allocated(theirs); got < 4*mib {
		t.Errorf("another program's has %d bytes left", got)
	}
}
