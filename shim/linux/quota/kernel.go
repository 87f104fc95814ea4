package quota

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/host"
)

// The calls of quotactl_fd(2), from linux/quota.h and linux/dqblk_xfs.h. xfs and ext4 take each of
// them.
const (
	projectQuota = 2          // PRJQUOTA
	getQuota     = 0x800007   // Q_GETQUOTA
	setQuota     = 0x800008   // Q_SETQUOTA
	getState     = 'X'<<8 | 5 // Q_XGETQSTAT

	enforcedFlag = 1 << 5  // FS_QUOTA_PDQ_ENFD
	validLimits  = 1 | 4   // QIF_BLIMITS, QIF_ILIMITS
	quotaBlock   = 1 << 10 // QIF_DQBLKSIZE: the unit of limits on bytes
)

// A quota is struct if_dqblk.
type quota struct {
	blockHard, blockSoft, space  uint64 // limits in quotaBlock, space in bytes
	inodeHard, inodeSoft, inodes uint64
	blockGrace, inodeGrace       uint64
	valid                        uint32
	_                            uint32
}

// A quotaState is struct fs_quota_stat, whose other fields are of no use here.
type quotaState struct {
	version int8
	flags   uint16
	_       [124]byte
}

// An attribute is struct fsxattr.
type attribute struct {
	flags, extentSize, extents, project, copySize uint32
	_                                             [8]byte
}

// The calls of ioctl(2) for them, and the flag with which new files get their folder's project.
const (
	getAttribute = 0x801c581f // FS_IOC_FSGETXATTR
	setAttribute = 0x401c5820 // FS_IOC_FSSETXATTR
	inheritFlag  = 0x200      // FS_XFLAG_PROJINHERIT
)

func quotactl(fd, command int, id uint32, value unsafe.Pointer) error {
	_, _, errno := unix.Syscall6(unix.SYS_QUOTACTL_FD, uintptr(fd), uintptr(command<<8|projectQuota), uintptr(id), uintptr(value), 0, 0)
	if errno != 0 {
		return fmt.Errorf("quotactl: %w", errno)
	}
	return nil
}

// enforces reports whether the file system of an opened folder has project quotas, and keeps to
// them. One that can't be asked doesn't, and a kernel before 5.14, which has no quotactl_fd.
func enforces(fd int) bool {
	var s quotaState
	err := quotactl(fd, getState, 0, unsafe.Pointer(&s))
	return err == nil && s.flags&enforcedFlag != 0
}

// usage returns what a project takes, and its limits. xfs doesn't know a project without files.
func usage(fd int, id uint32) (q quota, err error) {
	if err = quotactl(fd, getQuota, id, unsafe.Pointer(&q)); errors.Is(err, unix.ENOENT) {
		return quota{}, nil
	}
	return q, err
}

// setLimit limits a project to so many bytes, rounded up to quotaBlock, and to [host.MaxFiles].
// Zero is no limit.
func setLimit(fd int, id uint32, bytes int64) error {
	q := quota{valid: validLimits}
	if bytes > 0 {
		q.blockHard, q.inodeHard = uint64(roundUp(bytes)/quotaBlock), uint64(host.MaxFiles(bytes))
	}
	return quotactl(fd, setQuota, id, unsafe.Pointer(&q))
}

// roundUp returns the limit that the kernel has for so many bytes.
func roundUp(bytes int64) int64 { return (bytes + quotaBlock - 1) / quotaBlock * quotaBlock }

func attributes(fd int) (a attribute, err error) {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), getAttribute, uintptr(unsafe.Pointer(&a))); errno != 0 {
		return a, fmt.Errorf("FS_IOC_FSGETXATTR: %w", errno)
	}
	return a, nil
}

func setAttributes(fd int, a attribute) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), setAttribute, uintptr(unsafe.Pointer(&a))); errno != 0 {
		return fmt.Errorf("FS_IOC_FSSETXATTR: %w", errno)
	}
	return nil
}

// setProject gives an opened file a project id. A folder gives it to what is made in it later.
func setProject(fd int, id uint32, folder bool) error {
	a, err := attributes(fd)
	if err != nil {
		return err
	}
	want := a
	want.project = id
	if folder {
		want.flags |= inheritFlag
	}
	if want == a {
		return nil
	}
	return setAttributes(fd, want)
}
