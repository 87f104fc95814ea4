package ctrd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A container writes its output into two pipes, and its shim copies them into the log file. The
// shim ends the copying at the first write that fails: copyPipes in containerd's
// cmd/containerd-shim-runc-v2/process/io.go, the same from 1.6 to 2.4. It goes on holding the pipe,
// so the container blocks for ever once the pipe is full.
const (
	outputLooks = 5                      // looks that must find no fewer bytes, while the shim rests
	outputTries = 25                     // looks at a shim that may be busy
	outputPause = 200 * time.Millisecond // between two looks
	outputProbe = 64 << 10               // bytes that a log folder must take before a container is started again
)

// EndedOutputs returns the containers whose output is not copied any more. pids has their
// processes, by container. If there is one, unwritable is why the group's log folder still takes no
// output, or nil.
//
// Copying has ended if bytes lie in a pipe and never get fewer, while no thread of the shim runs or
// waits for a disk. It isn't seen before the container has written something more, nor while
// another container of the same shim keeps it busy all the time. A program that has closed one of
// its two outputs, or put another file in its place, is not judged. If an older daemon made its
// container, the shim has ended the copying of both by itself.
//
// A group in which nothing has run since its pipes were found empty is not looked at: see
// [copiedOutputs].
func (c *Client) EndedOutputs(ctx context.Context, group string, pids map[string]uint32) (ended []string, unwritable error) {
	cgroupPath := c.cfg.Layout.GroupCgroup(group)
	suspects := c.copied.suspects(cgroupPath, group, pids)
	if len(suspects) == 0 {
		return nil, nil
	}
	var mu sync.Mutex
	var all sync.WaitGroup
	copied := map[string]outputEnds{}
	for _, name := range suspects {
		all.Go(func() {
			stuck, ends := c.outputEnded(ctx, int(pids[name]), cgroupPath)
			mu.Lock()
			defer mu.Unlock()
			if stuck {
				ended = append(ended, name)
			}
			if ends != nil {
				copied[name] = *ends
			}
		})
	}
	all.Wait()
	c.copied.found(group, copied)
	slices.Sort(ended)
	if len(ended) > 0 {
		unwritable = probeFolder(filepath.Dir(c.cfg.Layout.LogPath(group, "any")))
	}
	return ended, unwritable
}

// outputEnded reports whether the output of a process is not copied any more. ends are its pipes if
// nothing is in them. They are nil if something is, or if they were not found. cgroupPath is the
// group's cgroup.
func (c *Client) outputEnded(ctx context.Context, pid int, cgroupPath string) (ended bool, ends *outputEnds) {
	shim := parent(pid)
	if shim == 0 || c.servedBy(shim) == "" {
		return false, nil
	}
	pipes, ends := c.pipes.openOutputs(shim, pid)
	defer pipes.close()
	if ends != nil {
		ends.inside = inCgroup(pid, cgroupPath)
	}
	stuck := pipes.waiting()
	if slices.Max(append(stuck, 0)) == 0 {
		return false, ends
	}
	for quiet, tries := 0, 0; quiet < outputLooks; tries++ {
		if slices.Max(stuck) == 0 || tries == outputTries || pause(ctx, outputPause) != nil {
			return false, nil
		}
		for i, n := range pipes.waiting() {
			if n < stuck[i] || stuck[i] == 0 {
				n = 0 // it is read
			}
			stuck[i] = n
		}
		if resting(shim) {
			quiet++
		}
	}
	return slices.Max(stuck) > 0, nil
}

// outputs are the ends that a shim reads of the pipes of one container: none, or both.
type outputs []*os.File

// openOutputs opens the pipes that are a process's standard output and error, through the shim: a
// container chooses what its own descriptors are. It returns none if the shim doesn't read both.
// ends are where they were found. They are nil if that could not be found out.
func (s *shimPipes) openOutputs(shim, pid int) (pipes outputs, ends *outputEnds) {
	ends = &outputEnds{pid: pid}
	for i, fd := range []string{"1", "2"} {
		to, err := os.Readlink(procPath(pid, "fd/"+fd))
		if err != nil {
			return nil, nil
		}
		ends.pipes[i] = to
	}
	if !isPipe(ends.pipes[0]) || !isPipe(ends.pipes[1]) {
		return nil, ends
	}
	held, err := s.find(shim, ends.pipes)
	if err != nil {
		return nil, nil
	}
	if ends.held = held; held[0] == "" || held[1] == "" {
		ends.held = [2]string{}
		return nil, ends
	}
	for _, path := range ends.held {
		f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
		if err != nil {
			return pipes.close(), nil
		}
		pipes = append(pipes, f)
	}
	return pipes, ends
}

func (o outputs) close() outputs {
	for _, f := range o {
		_ = f.Close()
	}
	return nil
}

// waiting returns how many bytes lie in each pipe.
func (o outputs) waiting() []int {
	all := make([]int, len(o))
	for i, f := range o {
		if conn, err := f.SyscallConn(); err == nil {
			_ = conn.Control(func(fd uintptr) { all[i], _ = unix.IoctlGetInt(int(fd), unix.TIOCINQ) })
		}
	}
	return all
}

// resting reports whether no thread of a process runs, waits for a processor, or waits for a disk.
func resting(pid int) bool {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	for _, path := range threads {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		end := strings.LastIndexByte(string(stat), ')') // the name before it may have parentheses
		if end < 0 || !strings.HasPrefix(string(stat[end+1:]), " S") {
			return false
		}
	}
	return len(threads) > 0
}

// probeFolder reports why a folder takes no new bytes.
func probeFolder(dir string) (err error) {
	f, err := os.CreateTemp(dir, ".sallyport-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	if _, err := f.Write(make([]byte, outputProbe)); err != nil {
		return err
	}
	return f.Sync()
}
