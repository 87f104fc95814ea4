package ctrd

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns/cgroup"
)

// copiedKept is how long a group is remembered that is not asked about any more. A group that is
// there is asked about twice a minute.
const copiedKept = 10 * time.Minute

// A copiedOutputs has the groups whose output was all copied when it was last looked at. It spares
// the search for their pipes:
//
//   - A pipe fills only if a process of the group runs. So while the processor time of the group's
//     cgroup stays the same, empty pipes stay empty.
//   - The pipes of a process that has the same ones as before are held by the shim where they were.
//
// All that is not found to be empty this way is looked at in full. So what is remembered decides
// nothing but that there is nothing to do.
type copiedOutputs struct {
	mu     sync.Mutex
	groups map[string]*copiedGroup
	root   string // where cgroup v2 is mounted. Empty: not looked for yet
}

// A copiedGroup has what the last look has found.
type copiedGroup struct {
	used string                // processor time of its processes before the look. Empty: unknown
	ends map[string]outputEnds // by container, of those whose pipes were empty
	at   time.Time
}

// An outputEnds has the pipes that are a process's standard output and error.
type outputEnds struct {
	pid   int
	pipes [2]string // what the process's descriptors lead to
	held  [2]string // the shim's descriptors of the same pipes. Both are empty if it lacks one
	// inside means that the process is in the group's cgroup, as everything is that it starts.
	inside bool
}

// suspects returns the containers whose pipes may have something in them. pids has the processes of
// all containers of the group, and cgroupPath is its cgroup.
func (o *copiedOutputs) suspects(cgroupPath, group string, pids map[string]uint32) (names []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(pids) == 0 {
		delete(o.groups, group)
		return nil
	}
	now, known := time.Now(), o.groups[group]
	if known == nil {
		if o.groups == nil {
			o.groups = map[string]*copiedGroup{}
		}
		maps.DeleteFunc(o.groups, func(_ string, g *copiedGroup) bool { return now.Sub(g.at) >= copiedKept })
		known = &copiedGroup{}
		o.groups[group] = known
	}
	used, before := o.used(cgroupPath), known.used // read before the pipes
	known.used, known.at = used, now
	maps.DeleteFunc(known.ends, func(name string, e outputEnds) bool { return e.pid != int(pids[name]) })
	ran := used == "" || used != before
	for name := range pids {
		if e, ok := known.ends[name]; !ok || (ran || !e.inside) && !e.empty() {
			delete(known.ends, name)
			names = append(names, name)
		}
	}
	return names
}

// found adds containers whose pipes a look after suspects has found empty.
func (o *copiedOutputs) found(group string, ends map[string]outputEnds) {
	o.mu.Lock()
	defer o.mu.Unlock()
	known := o.groups[group]
	if known == nil {
		return
	}
	if known.ends == nil {
		known.ends = map[string]outputEnds{}
	}
	maps.Copy(known.ends, ends)
}

// used returns the processor time that the processes of a cgroup have used so far, as the kernel
// writes it. It is empty if that can't be read. The kernel counts it in each v2 cgroup, whether or
// not a controller is enabled (cgroup_base_stat_cputime_show). The caller holds mu.
func (o *copiedOutputs) used(cgroupPath string) string {
	if o.root == "" {
		h, err := cgroup.FindHierarchies()
		if err != nil || len(h.V2Mounts) == 0 {
			return ""
		}
		o.root = h.V2Mounts[0]
	}
	var buf [128]byte
	text, _ := readSmall(filepath.Join(o.root, cgroupPath, "cpu.stat"), buf[:])
	line, _, whole := bytes.Cut(text, []byte("\n")) // the other lines may change without a process that runs
	if !whole || !bytes.HasPrefix(line, []byte("usage_usec ")) {
		return ""
	}
	return string(line)
}

// inCgroup reports whether a process is below a v2 cgroup.
func inCgroup(pid int, path string) bool {
	text, _ := readSmall(procPath(pid, "cgroup"), make([]byte, 16<<10))
	return below(text, path)
}

// below reports whether what /proc/PID/cgroup has is below a v2 cgroup. The path in it begins at
// the root of the reader's cgroup namespace.
func below(text []byte, path string) bool {
	for line := range bytes.Lines(text) {
		if in, v2 := bytes.CutPrefix(line, []byte("0::")); v2 {
			return bytes.Contains(in, []byte(path+"/"))
		}
	}
	return false
}

// empty reports whether the process has the same pipes as before and nothing is in them. A process
// whose pipes the shim doesn't read is not judged, so for it the same pipes are enough.
func (e outputEnds) empty() bool {
	for i, fd := range []string{"1", "2"} {
		if to, err := os.Readlink(procPath(e.pid, "fd/"+fd)); err != nil || to != e.pipes[i] {
			return false
		}
	}
	return e.held[0] == "" || e.emptyEnd(0) && (e.held[1] == e.held[0] || e.emptyEnd(1))
}

// emptyEnd reports whether the shim still has a pipe where it was, and it is empty.
func (e outputEnds) emptyEnd(i int) bool {
	if to, err := os.Readlink(e.held[i]); err != nil || to != e.pipes[i] {
		return false
	}
	fd, err := unix.Open(e.held[i], unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	n, err := unix.IoctlGetInt(fd, unix.TIOCINQ)
	return err == nil && n == 0
}
