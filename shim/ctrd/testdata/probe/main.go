// Command probe tries, one after another, what a container may and may not do. For each it prints
// its name, then "ok" or the name of the error. On a host it would do harm, so it runs as the first
// process of a PID namespace only.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

func main() {
	if len(os.Args) > 1 { // to see whether it can be run at all
		try(os.Args[1], socket(unix.AF_INET, unix.SOCK_STREAM, 0))
		return
	}
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "probe: this is no container")
		os.Exit(1)
	}
	sockets()
	processes()
	kernel()
	files()
}

func sockets() {
	try("inet stream", socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0))
	try("inet datagram", socket(unix.AF_INET, unix.SOCK_DGRAM, 0))
	try("inet6 stream", socket(unix.AF_INET6, unix.SOCK_STREAM, 0))
	try("unix", socket(unix.AF_UNIX, unix.SOCK_STREAM, 0))
	try("netlink route", socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE))
	try("netlink netfilter", socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_NETFILTER))
	try("netlink audit", socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_AUDIT))
	try("packet", socket(unix.AF_PACKET, unix.SOCK_RAW, 0x300))
	try("inet packet", socket(unix.AF_INET, 10, 0x300))
	try("inet raw", socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_RAW))
	try("inet6 raw", socket(unix.AF_INET6, unix.SOCK_RAW, unix.IPPROTO_RAW))
	try("vsock", socket(unix.AF_VSOCK, unix.SOCK_STREAM, 0))
	try("alg", socket(unix.AF_ALG, unix.SOCK_SEQPACKET, 0))
	try("bluetooth", socket(unix.AF_BLUETOOTH, unix.SOCK_RAW, 1))
	try("can", socket(unix.AF_CAN, unix.SOCK_RAW, 1))
	try("xdp", socket(unix.AF_XDP, unix.SOCK_RAW, 0))
	try("key", socket(unix.AF_KEY, unix.SOCK_RAW, 2))
	_, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	try("unix pair", err)
	_, err = unix.Socketpair(unix.AF_TIPC, unix.SOCK_STREAM, 0)
	try("tipc pair", err)
	try("io_uring", call(unix.SYS_IO_URING_SETUP, 1, uintptr(unsafe.Pointer(&[256]byte{})), 0))
}

func processes() {
	ns, err := unix.Open("/proc/self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	try("open own namespace", err)
	try("setns", unix.Setns(ns, unix.CLONE_NEWNET))
	try("unshare user", unix.Unshare(unix.CLONE_NEWUSER))
	try("unshare net", unix.Unshare(unix.CLONE_NEWNET))
	cmd := exec.Command("/proc/self/exe", "child")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER}
	try("clone user", cmd.Run())
	try("clone3", call(unix.SYS_CLONE3, 0, 0, 0))
	try("ptrace", call(unix.SYS_PTRACE, unix.PTRACE_TRACEME, 0, 0))
	try("pidfd_getfd", call(unix.SYS_PIDFD_GETFD, 0, 0, 0))
	try("process_vm_readv", call(unix.SYS_PROCESS_VM_READV, 1, 0, 0))
	try("kcmp", call(unix.SYS_KCMP, 1, 1, 0))
}

func kernel() {
	try("mount", unix.Mount("none", "/tmp", "tmpfs", 0, ""))
	try("umount", unix.Unmount("/dev/mqueue", 0))
	try("fsopen", call(unix.SYS_FSOPEN, uintptr(unsafe.Pointer(&[]byte("cgroup2\x00")[0])), 0, 0))
	try("bpf", call(unix.SYS_BPF, 0, 0, 0))
	try("perf_event_open", call(unix.SYS_PERF_EVENT_OPEN, 0, 0, 0))
	try("keyctl", call(unix.SYS_KEYCTL, 0, 0, 0))
	try("add_key", call(unix.SYS_ADD_KEY, 0, 0, 0))
	try("userfaultfd", call(unix.SYS_USERFAULTFD, 0, 0, 0))
	try("open_by_handle_at", call(unix.SYS_OPEN_BY_HANDLE_AT, 0, 0, 0))
	try("init_module", call(unix.SYS_INIT_MODULE, 0, 0, 0))
	try("mknod", unix.Mknod("/tmp/tun", unix.S_IFCHR|0o666, int(unix.Mkdev(10, 200))))
}

func files() {
	try("own file", os.WriteFile("/tmp/own", nil, 0o600))
	try("sysctl", os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0))
	try("cgroup", os.Mkdir("/sys/fs/cgroup/mine", 0o700))
	try("sysfs", os.WriteFile("/sys/kernel/mm/ksm/run", []byte("0"), 0))
}

func socket(family, kind, protocol int) error {
	fd, err := unix.Socket(family, kind, protocol)
	if err == nil {
		err = unix.Close(fd)
	}
	return err
}

func call(number, a, b, c uintptr) error {
	if _, _, errno := unix.Syscall(number, a, b, c); errno != 0 {
		return errno
	}
	return nil
}

func try(name string, err error) {
	outcome := "ok"
	if err != nil {
		outcome = err.Error()
	}
	if errno, ok := unwrap(err); ok {
		outcome = unix.ErrnoName(errno)
	}
	fmt.Printf("%s: %s\n", name, outcome)
}

func unwrap(err error) (syscall.Errno, bool) {
	switch e := err.(type) {
	case syscall.Errno:
		return e, true
	case *os.PathError:
		return unwrap(e.Err)
	}
	return 0, false
}
