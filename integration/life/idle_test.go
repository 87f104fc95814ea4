package life

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/machine"
)

// At rest nothing runs. These are the most system calls that the daemon and its output process may
// make then, without those of the Go runtime: a few times what was measured, for a busy host. What
// other tests change in tables of the host wakes the daemon once a second. One call for each group
// and second would be 60 a minute.
const (
	hostCalls  = 80  // a second
	groupCalls = 240 // a minute for each group
	restGroups = 20
	// In groupWindow each group has a turn, in which it is looked at if it is not quiet.
	hostWindow, groupWindow = 10 * time.Second, 30 * time.Second
)

// The goroutines and descriptors of a daemon at rest.
const (
	hostGoroutines, groupGoroutines   = 60, 2
	hostDescriptors, groupDescriptors = 40, 1
)

// pausing is a small group: two programs that wait, behind a whole door. %[2]s is its name, and
// %[1]s the image.
const pausing = `
group "%[2]s" {
  app "app" {
    image   = "%[1]s"
    command = ["/pause"]
    stop    { signal = "SIGKILL" }
  }
  ambassador "amb" {
    image   = "%[1]s"
    command = ["/pause"]
    stop    { signal = "SIGKILL" }
  }
}
`

// TestAtRest counts what a daemon does and has while nothing happens, without groups and with 20.
// Its counts depend neither on how fast the host is nor on the mounts of other tests.
func TestAtRest(t *testing.T) {
	t.Parallel()
	m := machine.NewIdle(t, "")
	m.OwnMounts()
	m.Start()
	most := int(hostCalls * hostWindow.Seconds())
	if n := callsAtRest(m, hostWindow, most); n > most {
		t.Errorf("%d system calls in %v without groups, want %d at most", n, hostWindow, most)
	}
	m.Run("apply", writePausing(m, machine.PauseImage(t), "g", restGroups))
	most = int(hostCalls*groupWindow.Seconds() + groupCalls*groupWindow.Minutes()*restGroups)
	if n := callsAtRest(m, groupWindow, most); n > most {
		t.Errorf("%d system calls in %v with %d groups, want %d at most", n, groupWindow, restGroups, most)
	}
	if n, most := len(descriptors(t, m.Daemon.Process.Pid)), hostDescriptors+groupDescriptors*restGroups; n > most {
		t.Errorf("the daemon has %d descriptors with %d groups, want %d at most: %q", n, restGroups, most, descriptors(t, m.Daemon.Process.Pid))
	}
	dump := m.Dump()
	n, most := strings.Count(dump, "\ngoroutine "), hostGoroutines+groupGoroutines*restGroups
	t.Logf("%d goroutines with %d groups", n, restGroups)
	if n == 0 || n > most {
		t.Errorf("the daemon has %d goroutines with %d groups, want %d at most:\n%s", n, restGroups, most, dump)
	}
}

// callsAtRest returns how many system calls the daemon and its output process make in a window. If
// they are more than most, it counts again, three times in all: what happens once, such as a look
// at the images after a change, is not in each window.
func callsAtRest(m *machine.Machine, window time.Duration, most int) (n int) {
	m.T.Helper()
	for range 3 {
		counted := machine.CountRequestedCalls(m.T, m.Daemon.Process.Pid, m.OutputProcess())
		time.Sleep(window)
		n = counted.Close()
		m.T.Logf("%d system calls in %v, %.1f a second", n, window, float64(n)/window.Seconds())
		if n <= most {
			break
		}
	}
	return n
}

// writePausing writes the files of small groups into a folder of their own, and returns its path.
func writePausing(m *machine.Machine, image, prefix string, groups int) (dir string) {
	m.T.Helper()
	for n := range groups {
		name := fmt.Sprintf("%s%d", prefix, n)
		dir = filepath.Dir(m.Write(filepath.Join(prefix, name+".hcl"), fmt.Sprintf(pausing, image, name)))
	}
	return dir
}

// descriptors returns what the open files of a process are.
func descriptors(t *testing.T, pid int) (links []string) {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		link, _ := os.Readlink(filepath.Join(dir, e.Name()))
		links = append(links, link)
	}
	return links
}
