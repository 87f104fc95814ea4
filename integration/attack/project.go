package main

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// projects are the ways out of the project that bounds what a container writes. Each acts on an own
// file and an own folder, and returns nil if one of the two acts was not refused as one that the
// caller may not do, or as one that the kernel doesn't have.
var projects = map[string]deed{
	"project":          onOwnFiles(func(fd int) error { return setProject(fd, setExtended) }),
	"project-upper":    onOwnFiles(func(fd int) error { return setProject(fd, uintptr(setUpper)) }),
	"project-flags":    onOwnFiles(func(fd int) error { return setFlags(fd, unix.FS_IOC_SETFLAGS) }),
	"project-flags-32": onOwnFiles(func(fd int) error { return setFlags(fd, 0x40046602) }), // FS_IOC32_SETFLAGS
	"project-setattr":  onOwnFiles(fileSetattr),
	// The control: both can be read.
	"project-read": onOwnFiles(func(fd int) error { return setProject(fd, getExtended) }),
}

const (
	getExtended = 0x801c581f // FS_IOC_FSGETXATTR
	setExtended = 0x401c5820 // FS_IOC_FSSETXATTR
)

// setUpper is setExtended with a bit that the kernel takes no notice of, where a register has it.
var setUpper uint64 = 1<<32 | setExtended

// onOwnFiles acts on a new file and on a new folder.
func onOwnFiles(act func(fd int) error) deed {
	return func(target) (string, error) {
		dir, err := os.MkdirTemp("", "attack")
		if err != nil {
			return "", err
		}
		defer os.RemoveAll(dir)
		file, err := os.CreateTemp(dir, "own")
		if err != nil {
			return "", err
		}
		defer file.Close()
		folder, err := os.Open(dir)
		if err != nil {
			return "", err
		}
		defer folder.Close()
		for _, f := range []*os.File{file, folder} {
			if err = act(int(f.Fd())); !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.ENOSYS) {
				return fmt.Sprintf("%s: %v", f.Name(), err), nil
			}
		}
		return "", err
	}
}

// setProject reads or writes struct fsxattr. Zeros are no project, and give none to new files.
func setProject(fd int, command uintptr) error {
	var attributes [28]byte
	return ioctl(fd, command, unsafe.Pointer(&attributes))
}

// setFlags sets no flag: a folder then gives its project to no new file.
func setFlags(fd int, command uintptr) error {
	var flags uint64
	return ioctl(fd, command, unsafe.Pointer(&flags))
}

func ioctl(fd int, command uintptr, value unsafe.Pointer) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), command, uintptr(value)); errno != 0 {
		return errno
	}
	return nil
}

// fileSetattr is file_setattr(2), Linux 6.17.
func fileSetattr(fd int) error {
	var attributes [24]byte // struct file_attr
	var empty [1]byte
	_, _, errno := unix.Syscall6(unix.SYS_FILE_SETATTR, uintptr(fd), uintptr(unsafe.Pointer(&empty)), uintptr(unsafe.Pointer(&attributes)), unsafe.Sizeof(attributes), unix.AT_EMPTY_PATH, 0)
	if errno != 0 {
		return errno
	}
	return nil
}
