package network

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/netns/cgroup"
	"github.com/sallyport/sallyport/spec"
)

// A containerCgroup is a cgroup directly below that of a group's ambassador or of its members.
type containerCgroup struct {
	path string
	name string // of the container
	cgroup.Cgroup
}

// containerCgroups returns the cgroups of the containers that a group has now, by role and name.
func (n *Network) containerCgroups(group string) (all []containerCgroup, err error) {
	for _, role := range []spec.Role{spec.Ambassador, spec.App} {
		parent := n.layout.CgroupParent(group, role)
		names, listErr := n.cgroups.Children(parent)
		if err = errors.Join(err, listErr); listErr != nil {
			continue
		}
		for _, name := range names {
			at := path.Join(parent, name)
			if c, err := n.cgroups.Find(at); err == nil { // else it is gone since
				all = append(all, containerCgroup{at, name, c})
			}
		}
	}
	return all, err
}

// placed reports whether each container of the definition has its cgroup, and no other has one. The
// cgroup of another counts only once no process is in it. all and listErr come from
// [Network.containerCgroups].
func (n *Network) placed(want *spec.Group, all []containerCgroup, listErr error) (bool, error) {
	for _, c := range want.Containers {
		at := n.layout.ContainerCgroup(want.Name, c.Role, c.Name)
		if slices.ContainsFunc(all, func(x containerCgroup) bool { return x.path == at }) {
			continue
		}
		if _, err := n.cgroups.Find(at); err != nil { // it is absent, or this is why it is not in the list
			return false, err
		}
	}
	left, err := n.leftCgroups(want, all)
	return len(left) == 0, errors.Join(listErr, err)
}

// makeCgroups makes the cgroup of each container of the definition. An older daemon's containers
// are in such a cgroup themselves: it is used as it is, and made anew when the runtime has removed
// it with its container.
func (n *Network) makeCgroups(want *spec.Group) error {
	for _, c := range want.Containers {
		if _, err := n.cgroups.Make(n.layout.ContainerCgroup(want.Name, c.Role, c.Name)); err != nil {
			return err
		}
	}
	return nil
}

// removeLeftCgroups removes the cgroups that containers of earlier definitions have left.
func (n *Network) removeLeftCgroups(want *spec.Group) error {
	all, err := n.containerCgroups(want.Name)
	left, leftErr := n.leftCgroups(want, all)
	err = errors.Join(err, leftErr)
	for _, at := range left {
		err = errors.Join(err, n.cgroups.Remove(at))
	}
	return err
}

// leftCgroups returns the paths of the cgroups that containers of earlier definitions have left,
// out of those of all containers. One with a process in it is not left yet.
func (n *Network) leftCgroups(want *spec.Group, all []containerCgroup) (left []string, err error) {
	wanted := map[string]bool{}
	for _, c := range want.Containers {
		wanted[n.layout.ContainerCgroup(want.Name, c.Role, c.Name)] = true
	}
	for _, c := range all {
		if wanted[c.path] {
			continue
		}
		used, usedErr := n.cgroups.Populated(c.path)
		if err = errors.Join(err, usedErr); usedErr == nil && !used {
			left = append(left, c.path)
		}
	}
	return left, err
}

// cgroupPrint identifies the cgroups of a group's containers.
func (n *Network) cgroupPrint(group string) (string, error) {
	all, err := n.containerCgroups(group)
	var b strings.Builder
	for _, c := range all {
		fmt.Fprintf(&b, "%s %d\n", c.path, c.ID)
	}
	return b.String(), err
}
