package ctrd

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	shimtask "github.com/containerd/containerd/api/runtime/task/v3"
	"github.com/containerd/containerd/v2/core/containers"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/sallyport/sallyport/shim/host"
)

// shimEnds is how long a shim that was asked to end may take for it. It gives its events five
// seconds to reach containerd.
const shimEnds = 6 * time.Second

// EndEmptyShims ends the shims of ours that have no task and stay. containerd asks a shim to end
// when its last task is deleted, and so does [Client.Remove]. Neither reaches every shim. One that
// ends removes its socket by name, so it may remove that of the next shim of its group
// (RemoveSocket in cleanupSockets). containerd may be killed in between, or give up on a busy host.
//
// It returns at once if each shim has a process. Else it waits, as a task that is being made or
// deleted has none either, and looks again.
func (c *Client) EndEmptyShims(ctx context.Context) error {
	before, err := c.emptyShims(ctx)
	if err != nil || len(before) == 0 {
		return err
	}
	if err := pause(ctx, c.leftoverAfter); err != nil {
		return err
	}
	now, err := c.emptyShims(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for pid, s := range now {
		if before[pid].started == s.started { // else the number is another process's
			errs = append(errs, c.endEmptyShim(ctx, pid, s))
		}
	}
	return errors.Join(errs...)
}

// An emptyShim is a shim without a task.
type emptyShim struct {
	container string // for which it was started
	socket    string // where it listens, even if that was removed; empty if it has ceased to
	alone     bool   // no other shim listens there
	started   string // in ticks since boot
}

// emptyShims returns the shims without a task, by process. Such a shim has no child process, and
// each container that it may serve runs below another shim. A container without a process, as one
// that has ended, may be in any shim of its group.
func (c *Client) emptyShims(ctx context.Context) (map[int]emptyShim, error) {
	shims, children := c.shimProcesses()
	idle := map[int]emptyShim{}
	for pid, id := range shims {
		if children[pid] > 0 || !strings.Contains(id, ".") { // or another program's, in our namespace
			continue
		}
		_, _, started := processStat(pid)
		idle[pid] = emptyShim{container: id, started: started}
	}
	if len(idle) == 0 {
		return nil, nil
	}
	listening, err := listeningSockets()
	if err != nil {
		return nil, err
	}
	// The list comes after the look at the processes. A record is there before the task, and is
	// deleted after it.
	list, cancel := c.ctx(ctx, callTimeout)
	defer cancel()
	records, err := c.client.ContainerService().List(list)
	if err != nil {
		return nil, c.unanswered(fmt.Errorf("list containers: %w", err))
	}
	sockets, users := map[int]string{}, map[string]int{}
	for pid := range shims {
		sockets[pid] = listensAt(pid, listening)
		users[sockets[pid]]++
	}
	for pid, s := range idle {
		s.socket = sockets[pid]
		s.alone = users[s.socket] == 1
		idle[pid] = s
		if c.mayServe(ctx, pid, s, records, shims) {
			delete(idle, pid)
		}
	}
	return idle, nil
}

// mayServe reports whether a shim may have the task of one of these containers. A shim that listens
// at the address of its container's group serves that group. Any other may serve all.
func (c *Client) mayServe(ctx context.Context, pid int, s emptyShim, records []containers.Container, shims map[int]string) bool {
	group := groupOf(s.container)
	all := s.socket != c.shimSocket(group)
	for _, r := range records {
		if !all && groupOf(r.ID) != group {
			continue
		}
		p, err := c.process(ctx, r.ID)
		if err != nil || p == nil || taskState(p) == host.TaskStopped {
			return true
		}
		if by := parent(int(p.Pid)); by == pid || shims[by] == "" {
			return true
		}
	}
	return false
}

// endEmptyShim asks a shim to end, and kills it if it can't be asked or doesn't end.
func (c *Client) endEmptyShim(ctx context.Context, pid int, s emptyShim) error {
	if s.alone { // else another shim would be asked
		ask, cancel := c.ctx(ctx, shimEnds)
		defer cancel()
		_ = callShimAt(ask, s.socket, "Shutdown", &shimtask.ShutdownRequest{ID: s.container}, &emptypb.Empty{})
		for c.alive(pid, s) && pause(ask, lookAgain) == nil {
		}
	}
	if _, children := c.shimProcesses(); ctx.Err() != nil || !c.alive(pid, s) || children[pid] > 0 {
		return ctx.Err()
	}
	// It may have got a task since it was looked at, and that may have ended.
	if now, err := c.emptyShims(ctx); err != nil || now[pid].started != s.started {
		return err
	}
	c.log.Warn("a shim without a task stays, ending it", "container", s.container, "pid", pid)
	if err := c.endShim(pid); err != nil {
		return fmt.Errorf("end shim %d: %w", pid, err)
	}
	return nil
}

// alive reports whether pid is still the process of this shim.
func (c *Client) alive(pid int, s emptyShim) bool {
	_, _, started := processStat(pid)
	return started == s.started && c.servedBy(pid) == s.container
}

// listeningSockets returns the paths of the unix sockets that take connections, by inode. The
// kernel keeps the path of one that was removed.
func listeningSockets() (map[string]string, error) {
	text, err := os.ReadFile("/proc/thread-self/net/unix")
	if err != nil {
		return nil, err
	}
	paths := map[string]string{}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		// Num RefCount Protocol Flags Type St Inode Path
		f := strings.Fields(lines.Text())
		if len(f) == 8 && f[3] == acceptsConnections {
			paths["socket:["+f[6]+"]"] = f[7]
		}
	}
	return paths, nil
}

// acceptsConnections is __SO_ACCEPTCON as /proc/net/unix has it.
const acceptsConnections = "00010000"

// listensAt returns the path of the socket that a shim listens at. It is empty if there is none.
func listensAt(pid int, listening map[string]string) string {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	fds, _ := os.ReadDir(dir)
	for _, fd := range fds {
		target, _ := os.Readlink(dir + "/" + fd.Name())
		if path := listening[target]; path != "" {
			return path
		}
	}
	return ""
}
