package bound

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// XFS allocates blocks behind the end of a file that grows, up to as many as it has. With a hint
// for the size of extents it does not (ioctl_xfs_fsgetxattr(2)). A folder passes its hint on to
// what is made in it.
const (
	extentHint      = 64 << 10
	fsGetXattr      = 0x801c581f // FS_IOC_FSGETXATTR of linux/fs.h
	fsSetXattr      = 0x401c5820 // FS_IOC_FSSETXATTR
	extSizeInherits = 0x1000     // FS_XFLAG_EXTSZINHERIT
)

// fsxattr is the kernel's struct fsxattr.
type fsxattr struct {
	flags, extentSize, extents, project, cowExtentSize uint32
	_                                                  [8]byte
}

// dontPreallocate makes new files of a folder on XFS take what they have. Other file systems refuse
// the hint and need none. A file that is there keeps what was allocated for it, until XFS takes it
// back after some minutes.
func dontPreallocate(dir string) {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	var x fsxattr
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), fsGetXattr, uintptr(unsafe.Pointer(&x))); errno != 0 || x.flags&extSizeInherits != 0 {
		return
	}
	x.flags, x.extentSize = x.flags|extSizeInherits, extentHint
	_, _, _ = unix.Syscall(unix.SYS_IOCTL, uintptr(fd), fsSetXattr, uintptr(unsafe.Pointer(&x)))
}
