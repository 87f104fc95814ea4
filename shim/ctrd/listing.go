package ctrd

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/containerd/api/types/task"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/errdefs/pkg/errgrpc"
)

const (
	// A list for more than mostFilters groups, and more than one of fewOf, names none of them and
	// has all of ours.
	mostFilters, fewOf = 32, 4
	// taskListTime bounds the list of all tasks where those of some groups are asked for.
	// containerd asks one shim after the other, and waits 2 s for each that gives no answer.
	taskListTime = 2 * time.Second
	// taskListSlow is how long such a list may take. A shim that answers just in time for
	// containerd delays the observation of every group that shares the list. Each Client has a
	// value of its own, which tests shorten.
	taskListSlow = 500 * time.Millisecond
	// taskListAgain is how long no list of all tasks is asked for after one that failed or was
	// slow.
	taskListAgain = time.Minute
)

// A listing has our containers, as containerd had them at one time.
type listing struct {
	byGroup map[string][]containers.Container
	// tasks has the tasks of all containers, by id. A nil tasks means that they were not listed,
	// and tasksErr is why: they are to be asked for one by one.
	tasks    map[string]*task.Process
	tasksErr error
}

// of returns the containers of a group, or all if group is "".
func (l *listing) of(group string) (all []containers.Container) {
	if group != "" {
		return l.byGroup[group]
	}
	for _, records := range l.byGroup {
		all = append(all, records...)
	}
	slices.SortFunc(all, func(a, b containers.Container) int { return strings.Compare(a.ID, b.ID) })
	return all
}

// listFor lists the containers of one group, together with other groups. It lists all alone: shims
// that give no answer must not delay others.
func (c *Client) listFor(ctx context.Context, group string) (*listing, error) {
	if group != "" {
		return c.listings.do(ctx, group)
	}
	l, err := c.list(ctx, []string{""})
	if err == nil {
		err = l.tasksErr
	}
	return l, err
}

// list lists the containers of groups, or of all groups if "" is among them. For many groups it
// lists the tasks too: one call is enough for all. The few of a group are asked for one by one,
// because the list would ask every shim of the host.
func (c *Client) list(ctx context.Context, groups []string) (*listing, error) {
	ctx, cancel := c.ctx(ctx, callTimeout)
	defer cancel()
	all := slices.Contains(groups, "")
	many := all || len(groups) > mostFilters && int64(len(groups))*fewOf > c.groups.Load()
	ask := c.recordsOf
	if many {
		ask = func(ctx context.Context, _ []string) (map[string][]containers.Container, error) {
			return c.listRecords(ctx, groupFilters(nil, true))
		}
	}
	byGroup, err := ask(ctx, groups)
	if err != nil {
		return nil, err
	}
	l := &listing{byGroup: byGroup}
	if many {
		c.groups.Store(int64(len(l.byGroup)))
	}
	switch {
	case all:
		l.tasks, l.tasksErr = c.listTasks(ctx)
	case many && c.slowTasks.due(time.Now()):
		ctx, cancel := context.WithTimeout(ctx, taskListTime)
		defer cancel()
		began := time.Now()
		if l.tasks, l.tasksErr = c.listTasks(ctx); l.tasksErr != nil || time.Since(began) > c.taskListSlow {
			c.slowTasks.note(time.Now())
		}
	}
	return l, nil
}

func (c *Client) listTasks(ctx context.Context) (map[string]*task.Process, error) {
	resp, err := c.client.TaskService().List(ctx, &tasks.ListTasksRequest{})
	if err != nil {
		return nil, fmt.Errorf("list tasks: %w", errgrpc.ToNative(err))
	}
	listed := make(map[string]*task.Process, len(resp.Tasks))
	for _, p := range resp.Tasks {
		listed[p.ID] = p
	}
	return listed, nil
}

// groupFilters returns the filters for the containers of groups, or for all of ours. Containers
// without our label, which others have put into the namespace, match none of them.
func groupFilters(groups []string, all bool) (filters []string) {
	label := "labels." + strconv.Quote(labelGroup)
	if all {
		return []string{label}
	}
	for _, group := range groups {
		filters = append(filters, label+"=="+strconv.Quote(group))
	}
	return filters
}

// A slowTasks has when a list of all tasks last failed or took too long.
type slowTasks struct {
	mu   sync.Mutex
	last time.Time
}

// due reports whether the tasks are to be listed again.
func (s *slowTasks) due(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last.IsZero() || now.Sub(s.last) >= taskListAgain
}

func (s *slowTasks) note(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = now
}
