package main

import (
	"errors"
	"io/fs"

	"github.com/sallyport/sallyport/netns/egress"
	"github.com/sallyport/sallyport/shim"
	"github.com/sallyport/sallyport/shim/api"
)

// A counting keeper adds to the status of a group that is asked for by name what the rules in its namespace counted: for a
// list of all groups nobody should wait for so many reads.
type counting struct {
	api.Keeper
	counters func(group string) (egress.Counters, error)
}

func (k counting) Status(group string) ([]shim.GroupStatus, error) {
	groups, err := k.Keeper.Status(group)
	if err != nil || group == "" {
		return groups, err
	}
	for i := range groups {
		counters, err := k.counters(groups[i].Name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it has no rules yet, or no more
		}
		if err != nil {
			return nil, err
		}
		groups[i].Counters = &counters
	}
	return groups, nil
}
