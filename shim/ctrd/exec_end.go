package ctrd

import (
	"context"
	"os"
	"strconv"

	"github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/containerd/api/types/task"
	"golang.org/x/sys/unix"
)

// stopTries bounds the looks for what an exec'd process has started. Each stops what the look
// before has missed, so a second one seldom finds anything.
const stopTries = 20

// killStarted kills an exec'd process that runs, and what it has started: its descendants and its
// session. Descendants whose parents have ended, in a session of their own, are no longer known as
// such, and go on. It does nothing if containerd doesn't know the process.
func (c *Client) killStarted(ctx context.Context, f execFolder) {
	ctx, cancel := c.ctx(ctx, callTimeout)
	defer cancel()
	r, err := c.client.TaskService().Get(ctx, &tasks.GetRequest{ContainerID: f.container, ExecID: f.exec})
	if err != nil || r.Process.Status != task.Status_RUNNING || r.Process.Pid == 0 {
		return
	}
	killTree(int(r.Process.Pid))
}

// killTree kills a process, its descendants and its session, all in one PID namespace. They are
// stopped first. One that is killed while its children run would leave them to another parent.
func killTree(root int) {
	space, err := pidNamespace(root)
	if err != nil {
		return
	}
	stopped := map[int]bool{}
	for range stopTries {
		found := false
		for _, pid := range startedBy(root, space) {
			if !stopped[pid] {
				stopped[pid], found = true, true
				signalIn(space, pid, unix.SIGSTOP)
			}
		}
		if !found {
			break
		}
	}
	for pid := range stopped {
		signalIn(space, pid, unix.SIGKILL)
	}
}

// signalIn sends a signal to a process if it is in the PID namespace.
func signalIn(space string, pid int, signal unix.Signal) {
	held, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return
	}
	defer unix.Close(held)
	if now, err := pidNamespace(pid); err == nil && now == space { // its number is not another's by now
		_ = unix.PidfdSendSignal(held, signal, nil, 0)
	}
}

func pidNamespace(pid int) (string, error) {
	return os.Readlink("/proc/" + strconv.Itoa(pid) + "/ns/pid")
}

// startedBy returns root, its descendants and the other processes of its session.
func startedBy(root int, space string) []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	parents, ours := map[int]int{}, map[int]bool{}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if in, err := pidNamespace(pid); err != nil || in != space {
			continue
		}
		parent, session, ok := parentOf(pid)
		if !ok {
			continue
		}
		parents[pid] = parent
		if pid == root || session == root {
			ours[pid] = true
		}
	}
	var all []int
	for pid := range parents {
		for up, seen := pid, 0; seen <= len(parents); up, seen = parents[up], seen+1 {
			if ours[up] {
				all = append(all, pid)
				break
			}
			if _, known := parents[up]; !known {
				break
			}
		}
	}
	return all
}

// parentOf returns the parent and the session of a process (proc_pid_stat(5)).
func parentOf(pid int) (parent, session int, ok bool) {
	s := readStat(pid)
	return s.parent, s.session, s.state != 0
}
