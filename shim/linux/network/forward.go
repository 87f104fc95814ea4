package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path"

	"github.com/sallyport/sallyport/netns"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/spec"
)

// DialAmbassador connects to a TCP port at which the ambassador of a group listens, in the group's
// namespace. It connects to no other: [netns.DialOwned] asks the kernel whose socket is at the
// other end, by the cgroups that the rules go by. The connection stays on the loopback.
func (n *Network) DialAmbassador(ctx context.Context, group string, port uint16) (net.Conn, error) {
	owner, err := n.below(n.layout.CgroupParent(group, spec.Ambassador), cgroupLevels)
	if err != nil {
		return nil, fmt.Errorf("find the ambassador of %s: %w", group, err)
	}
	conn, err := netns.DialOwned(ctx, n.layout.NetnsPath(group), port, func(cgroup uint64) bool { return owner[cgroup] })
	switch {
	case errors.Is(err, netns.ErrNotOwned):
		return nil, &hint.Error{
			Err:  fmt.Errorf("port %d of %s is not the ambassador's alone: %w", port, group, err),
			Hint: "only the ambassador is reached from outside; use \"sallyport exec\" to ask another container from inside",
		}
	case errors.Is(err, netns.ErrNoListener):
		return nil, &hint.Error{
			Err:  fmt.Errorf("TCP port %d of the ambassador of %s: %w", port, group, err),
			Hint: "\"sallyport logs " + group + "\" shows what it does",
		}
	case err != nil:
		return nil, fmt.Errorf("port %d of %s: %w", port, group, err)
	}
	return conn, nil
}

// cgroupLevels is how deep cgroups are looked for: those of the containers, and what the runtime
// makes in them.
const cgroupLevels = 3

// below returns the numbers of a cgroup and of those below it.
func (n *Network) below(at string, levels int) (map[uint64]bool, error) {
	found, err := n.cgroups.Find(at)
	if err != nil {
		return nil, err
	}
	all := map[uint64]bool{found.ID: true}
	if levels == 0 {
		return all, nil
	}
	names, err := n.cgroups.Children(at)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		more, err := n.below(path.Join(at, name), levels-1)
		if err != nil {
			continue // it is gone since
		}
		for id := range more {
			all[id] = true
		}
	}
	return all, nil
}
