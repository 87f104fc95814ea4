package inside

import "golang.org/x/sys/unix"

// become makes the calling thread a maker of files for an owner: what it makes belongs to the owner
// from the beginning. It may still do all that root may with files, but for passing the bounds on
// disk: ext4 has none for CAP_SYS_RESOURCE.
func become(owner Owner) error {
	var sets [2]unix.CapUserData
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	if err := unix.Capget(&header, &sets[0]); err != nil {
		return err
	}
	if err := unix.Setfsgid(owner.GID); err != nil {
		return err
	}
	if err := unix.Setfsuid(owner.UID); err != nil { // takes the capabilities for files away (capabilities(7))
		return err
	}
	sets[0].Effective &^= 1 << unix.CAP_SYS_RESOURCE
	return unix.Capset(&header, &sets[0])
}
