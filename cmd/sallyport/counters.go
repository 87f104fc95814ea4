package main

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"time"

	"github.com/sallyport/sallyport/shim/api"
	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// A counting keeper adds the counters of the kernel to the status of a single group, and how full
// its bounds on disk are now. The status of all groups has none, because so many reads would take
// too long.
type counting struct {
	api.Keeper
	door   countedDoor
	bounds func(ctx context.Context, group string) []host.Bound
}

// boundsTimeout bounds the look at a group's bounds on disk.
const boundsTimeout = 5 * time.Second

// A countedDoor reads the counters of a group's rules.
type countedDoor interface {
	Counters(group string) (host.Counters, error)
	Spent(group string) (used, quota uint64, err error)
	PublishNotes(group string, published []spec.Publish, listens bool) []string
}

func (k counting) Status(group string) ([]group.Status, error) {
	groups, err := k.Keeper.Status(group)
	if err != nil || group == "" {
		return groups, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), boundsTimeout)
	defer cancel()
	for i := range groups {
		if now := k.bounds(ctx, group); len(now) > 0 {
			groups[i].Bounds = now
		}
		groups[i].Notes = slices.Concat(groups[i].Notes, k.notes(&groups[i]))
		err := k.count(&groups[i])
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // no rules yet, or no longer
			return nil, err
		}
	}
	return groups, nil
}

// notes returns why callers of published ports get no answer.
func (k counting) notes(st *group.Status) []string {
	i := slices.IndexFunc(st.Containers, func(c group.ContainerStatus) bool { return c.Role == spec.Ambassador })
	if i < 0 || len(st.Publish) == 0 {
		return nil
	}
	c := st.Containers[i]
	listens := c.Task == host.TaskRunning && time.Since(c.StartedAt) > group.ListenTime
	return k.door.PublishNotes(st.Name, st.Publish, listens)
}

func (k counting) count(g *group.Status) error {
	counters, err := k.door.Counters(g.Name)
	if err != nil {
		return err
	}
	g.Counters = &counters
	if g.Quota != 0 {
		g.QuotaUsed, _, err = k.door.Spent(g.Name)
	}
	return err
}
