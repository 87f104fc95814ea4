package volumes

import (
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/host"
)

// InMemory returns the ephemeral volumes that are mounted, and how much is in each.
func (v *Volumes) InMemory() ([]host.Consumer, error) {
	root := v.root()
	mounts, err := mountinfo.GetMounts(func(m *mountinfo.Info) (skip, stop bool) {
		return !isTmpfs(m) || !strings.HasPrefix(m.Mountpoint, root+"/"), false
	})
	if err != nil {
		return nil, err
	}
	var all []host.Consumer
	for _, m := range mounts {
		var st unix.Statfs_t
		group, volume, ok := strings.Cut(strings.TrimPrefix(m.Mountpoint, root+"/"), "/")
		if !ok || strings.Contains(volume, "/") || unix.Statfs(m.Mountpoint, &st) != nil {
			continue // of another, or unmounted meanwhile
		}
		all = append(all, host.Consumer{
			Kind: host.MemoryConsumer, Group: group, Volume: volume, Path: m.Mountpoint,
			Bytes: (st.Blocks - st.Bfree) * uint64(st.Bsize), Inodes: st.Files - st.Ffree,
		})
	}
	return all, nil
}
