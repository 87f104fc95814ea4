package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// each does something to the ambassador's process, and to every process with a low number here,
// until it succeeds.
func each(t target, act func(pid int) error) error {
	errs := []error{act(t.port)}
	for pid := 1; pid <= 64 && errs[0] != nil; pid++ {
		if pid == os.Getpid() {
			continue
		}
		err := act(pid)
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	return errs[0]
}

// newUserNamespace becomes root of namespaces of its own, and goes on from there.
func newUserNamespace(target) error {
	var errs []error
	for _, attr := range []*syscall.SysProcAttr{
		{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET},
		{Unshareflags: syscall.CLONE_NEWUSER},
	} {
		cmd := exec.Command("/proc/self/exe", "try", "nft-flush", "-", "0")
		cmd.SysProcAttr = attr
		err := cmd.Run()
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// enterByFile enters every network namespace that has a file.
func enterByFile(t target) error {
	paths := []string{fmt.Sprintf("/proc/%d/ns/net", t.port), "/proc/1/ns/net"}
	for _, pattern := range []string{"/run/sallyport/netns/*", "/run/netns/*"} {
		found, _ := filepath.Glob(pattern)
		paths = append(paths, found...)
	}
	var errs []error
	for _, path := range paths {
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err == nil {
			err = unix.Setns(fd, unix.CLONE_NEWNET)
			unix.Close(fd)
		}
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func withPidfd(pid int, act func(pidfd int) error) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return act(fd)
}

func enterByPidfd(t target) error {
	return each(t, func(pid int) error {
		return withPidfd(pid, func(fd int) error { return unix.Setns(fd, unix.CLONE_NEWNET) })
	})
}

func seize(t target) error {
	return each(t, func(pid int) error {
		if _, _, errno := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_SEIZE, uintptr(pid), 0, 0, 0, 0); errno != 0 {
			return errno
		}
		return nil
	})
}

// stealDescriptor takes sockets out of another process, and sends on them.
func stealDescriptor(t target) error {
	return each(t, func(pid int) error {
		return withPidfd(pid, func(pidfd int) (err error) {
			for theirs := range 32 {
				var fd int
				if fd, err = unix.PidfdGetfd(pidfd, theirs, 0); err == nil {
					unix.Write(fd, payload)
					unix.Close(fd)
					return nil
				}
			}
			return err
		})
	})
}

// readDescriptors opens the files that another process has open.
func readDescriptors(t target) error {
	_, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", t.port))
	return err
}

func readMemory(t target) error {
	return each(t, func(pid int) error {
		buf := make([]byte, 1)
		local := []unix.Iovec{{Base: &buf[0]}}
		local[0].SetLen(1)
		const goText = 0x400000 // a static Go program begins here
		_, err := unix.ProcessVMReadv(pid, local, []unix.RemoteIovec{{Base: goText, Len: 1}}, 0)
		return err
	})
}

// loadProgram loads "return 1" for a socket filter.
func loadProgram() error {
	const set0, exit = 0xb7, 0x95
	code := [2]uint64{set0 | 1<<32, exit}
	license := []byte("GPL\x00")
	attr := struct {
		kind, count    uint32
		code, license  uint64
		level, logSize uint32
		log            uint64
		_              [80]byte
	}{kind: unix.BPF_PROG_TYPE_CGROUP_SKB, count: 2, code: uint64(uintptr(unsafe.Pointer(&code[0]))), license: uint64(uintptr(unsafe.Pointer(&license[0])))}
	fd, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_PROG_LOAD, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	if errno != 0 {
		return errno
	}
	return unix.Close(int(fd))
}
