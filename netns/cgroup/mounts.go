package cgroup

import (
	"errors"
	"fmt"
	"strings"

	"github.com/moby/sys/mountinfo"
)

// ErrNoCgroup2 means that the host has no cgroup v2 hierarchy. Rules tell processes apart by it.
var ErrNoCgroup2 = errors.New("no cgroup v2 hierarchy is mounted")

// Hierarchies are the mount points of the host's cgroup file systems.
type Hierarchies struct {
	V2 string // mount point of the v2 hierarchy. Of several the first
	// Above is the path, from the root of the v2 hierarchy, of the cgroup mounted at V2. It is "/"
	// except in some containers.
	Above    string
	V2Mounts []string // all mount points of the v2 hierarchy
	V1       []string // mount points of the v1 hierarchies of a hybrid host
	// Controllers maps each v1 controller to the mount point of its hierarchy. A mount of only a
	// part of it, such as a bind mount in a container's folder, is the last choice. Other mount
	// options are keys as well.
	Controllers map[string]string
}

// FindHierarchies reads the mounts of the calling thread. Without cgroup v2 it returns the v1
// hierarchies and [ErrNoCgroup2].
func FindHierarchies() (Hierarchies, error) {
	mounts, err := mountinfo.GetMounts(mountinfo.FSTypeFilter("cgroup", "cgroup2"))
	if err != nil {
		return Hierarchies{}, fmt.Errorf("find the cgroup hierarchies: %w", err)
	}
	return fromMounts(mounts)
}

func fromMounts(mounts []*mountinfo.Info) (Hierarchies, error) {
	h := Hierarchies{Controllers: map[string]string{}}
	whole := map[string]bool{} // by controller: its mount shows all of the hierarchy
	for _, m := range mounts {
		switch m.FSType {
		case "cgroup2":
			h.V2Mounts = append(h.V2Mounts, m.Mountpoint)
			if h.V2 == "" {
				h.V2, h.Above = m.Mountpoint, m.Root
			}
		case "cgroup":
			h.V1 = append(h.V1, m.Mountpoint)
			for option := range strings.SplitSeq(m.VFSOptions, ",") {
				if m.Root == "/" || !whole[option] {
					h.Controllers[option], whole[option] = m.Mountpoint, m.Root == "/"
				}
			}
		}
	}
	if h.V2 == "" {
		return h, ErrNoCgroup2
	}
	return h, nil
}
