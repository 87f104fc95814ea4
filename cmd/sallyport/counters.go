package main

import (
	"errors"
	"io/fs"

	"github.com/sallyport/sallyport/shim"
	"github.com/sallyport/sallyport/shim/api"
)

// A counting keeper adds to the status of a group that is asked for by name what the kernel counted at its door: for a list of
// all groups nobody should wait for so many reads.
type counting struct {
	api.Keeper
	door countedDoor
}

// A countedDoor is what counting asks. Implemented by [shim.HostNetwork].
type countedDoor interface {
	Counters(group string) (shim.Counters, error)
	Spent(group string) (used, quota uint64, err error)
}

func (k counting) Status(group string) ([]shim.GroupStatus, error) {
	groups, err := k.Keeper.Status(group)
	if err != nil || group == "" {
		return groups, err
	}
	for i := range groups {
		err := k.count(&groups[i])
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // it has no rules yet, or no more
			return nil, err
		}
	}
	return groups, nil
}

func (k counting) count(g *shim.GroupStatus) error {
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
