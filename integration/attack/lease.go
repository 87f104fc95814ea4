package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// leases hold up any program that opens a file for writing. Each acts on an own file.
var leases = map[string]deed{
	"lease":            onOwnLease(unix.F_SETLEASE),
	"lease-upper":      onOwnLease(uintptr(leaseUpper)),
	"lease-delegation": onOwnLease(1024 + 16), // F_SETDELEG, Linux 6.19
	// The control: it can be read.
	"lease-read": onOwnLease(unix.F_GETLEASE),
}

// leaseUpper is F_SETLEASE with a bit that the kernel takes no notice of, where a register has it.
var leaseUpper uint64 = 1<<32 | unix.F_SETLEASE

// onOwnLease calls fcntl(2) on a new file that no program has open for writing.
func onOwnLease(command uintptr) deed {
	return func(target) (string, error) {
		file, err := os.CreateTemp("", "attack")
		if err != nil {
			return "", err
		}
		defer os.Remove(file.Name())
		if err := file.Close(); err != nil {
			return "", err
		}
		if file, err = os.Open(file.Name()); err != nil {
			return "", err
		}
		defer file.Close()
		if _, _, errno := unix.Syscall(unix.SYS_FCNTL, file.Fd(), command, unix.F_RDLCK); errno != 0 {
			return "", errno
		}
		return "done", nil
	}
}
