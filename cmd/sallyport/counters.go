package main

import (
	"errors"
	"io/fs"

	"github.com/sallyport/sallyport/shim/api"
	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
)

// A counting keeper adds the counters of the kernel to the status of a single group. The status of
// all groups has none, because so many reads would take too long.
type counting struct {
	api.Keeper
	door countedDoor
}

// A countedDoor reads the counters of a group's rules.
type countedDoor interface {
	Counters(group string) (host.Counters, error)
	Spent(group string) (used, quota uint64, err error)
}

func (k counting) Status(group string) ([]group.Status, error) {
	groups, err := k.Keeper.Status(group)
	if err != nil || group == "" {
		return groups, err
	}
	for i := range groups {
		err := k.count(&groups[i])
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // no rules yet, or no longer
			return nil, err
		}
	}
	return groups, nil
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
