package promise

import (
	"runtime"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// editSeccomp narrows a filter: sockets by family, ioctl and fcntl by command, no clone into a new
// namespace, and none of [deniedCalls], which then fail as the filter has it for a call that it
// doesn't name.
func editSeccomp(filter *specs.LinuxSeccomp) {
	var rules []specs.LinuxSyscall
	for _, rule := range filter.Syscalls {
		rule.Names = slices.DeleteFunc(slices.Clone(rule.Names), func(name string) bool {
			return slices.Contains(deniedCalls, name) || makesNamespaces(rule, name)
		})
		if len(rule.Names) > 0 {
			rules = append(rules, rule)
		}
	}
	for _, own := range cloneRules() {
		if names(filter.Syscalls, own.Names[0]) && !names(rules, own.Names[0]) {
			rules = append(rules, own)
		}
	}
	filter.Syscalls = slices.Concat(rules, socketRules(), allowBut("ioctl", argCommand, commandBits, refusedCommands),
		allowBut("fcntl", argCommand, leaseBits, leaseCommands), allowBut("fcntl64", argCommand, leaseBits, leaseCommands))
	filter.Architectures = architectures[runtime.GOARCH]
}

// names reports whether a rule is about the call.
func names(rules []specs.LinuxSyscall, call string) bool {
	return slices.ContainsFunc(rules, func(r specs.LinuxSyscall) bool { return slices.Contains(r.Names, call) })
}

// makesNamespaces reports whether the rule admits the call with flags for a new namespace. The
// flags of clone3 are behind a pointer, where no filter sees them.
func makesNamespaces(rule specs.LinuxSyscall, call string) bool {
	switch {
	case denies(rule.Action):
		return false
	case call == "clone3":
		return true
	}
	return call == "clone" && !slices.ContainsFunc(rule.Args, func(a specs.LinuxSeccompArg) bool {
		return a.Index == argFlags && a.Op == specs.OpMaskedEqual && a.Value&namespaceFlags == namespaceFlags && a.ValueTwo&namespaceFlags == 0
	})
}

// denies reports whether a call with this action never runs.
func denies(action specs.LinuxSeccompAction) bool {
	return slices.Contains([]specs.LinuxSeccompAction{
		specs.ActErrno, specs.ActKill, specs.ActKillProcess, specs.ActKillThread, specs.ActTrap,
	}, action)
}

// argFlags is the argument number of the flags of clone(2), on each of [architectures].
const argFlags = 0

// namespaceFlags are those of clone(2) that make a new namespace. In a new user namespace a process
// holds every capability.
const namespaceFlags = unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC |
	unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET

// cloneRules admit clone without a new namespace. ENOSYS for clone3 makes the C library take clone.
func cloneRules() []specs.LinuxSyscall {
	return []specs.LinuxSyscall{
		allow("clone", specs.LinuxSeccompArg{Index: argFlags, Value: namespaceFlags, Op: specs.OpMaskedEqual}),
		fail("clone3", unix.ENOSYS),
	}
}

// architectures are the tables of system calls that a container may use. A program that uses
// another table is killed. No table here has socketcall, which hides a socket's family behind a
// pointer. Where a table has it, libseccomp admits it for every family as soon as socket is
// admitted for one. So a 32-bit x86 program doesn't run.
var architectures = map[string][]specs.Arch{
	"amd64":   {specs.ArchX86_64},
	"arm":     {specs.ArchARM},
	"arm64":   {specs.ArchAARCH64, specs.ArchARM},
	"loong64": {specs.ArchLOONGARCH64},
	"riscv64": {specs.ArchRISCV64},
}

// deniedCalls are refused with every set of capabilities.
var deniedCalls = []string{
	"socket", "socketcall", "socketpair", // replaced by socketRules
	"ioctl", "fcntl", "fcntl64", // replaced by allowBut

	// into another process, and so to its sockets
	"kcmp", "pidfd_getfd", "process_madvise", "process_vm_readv", "process_vm_writev", "ptrace",

	// into another namespace, or another view of this one
	"fsconfig", "fsmount", "fsopen", "fspick", "mount", "mount_setattr", "move_mount", "open_by_handle_at", "open_tree",
	"pivot_root", "setns", "umount", "umount2", "unshare",

	// into the kernel
	"bpf", "delete_module", "finit_module", "init_module", "ioperm", "iopl", "kexec_file_load", "kexec_load", "perf_event_open",
	"userfaultfd",

	// around the filter: io_uring opens and uses sockets without a call that a filter sees
	"io_uring_enter", "io_uring_register", "io_uring_setup",

	// out of the project that bounds what a container writes
	"file_setattr",

	// to keys of the host, which no namespace separates
	"add_key", "keyctl", "request_key",
}

// These are the argument numbers of socket(2) and socketpair(2).
const (
	argFamily   = 0
	argType     = 1
	argProtocol = 2
)

// typeMask separates a socket's type from SOCK_NONBLOCK and SOCK_CLOEXEC.
const typeMask = 0xf

// inetTypes are all but SOCK_PACKET (10): with AF_INET the kernel makes that a packet socket.
var inetTypes = []uint64{unix.SOCK_STREAM, unix.SOCK_DGRAM, unix.SOCK_RAW, unix.SOCK_SEQPACKET, unix.SOCK_DCCP}

// argCommand is the argument number of the command of ioctl(2) and fcntl(2).
const argCommand = 1

// refusedCommands are the commands of ioctl(2) that no container has. Each is the lower half of a
// command, its type and its number. The upper half has the size of its value, which differs between
// programs of 32 and 64 bits.
//
// The first two change a file's project, or whether a folder gives its own to new files. So they
// lead out of the bound of a volume or a root file system. The third puts a terminal or a serial
// port under another line discipline, whose module the kernel loads. Some make a network link of
// the port. netns/egress/RULES.md has what the kernel asks for, which was nothing for some.
var refusedCommands = []uint64{
	0x5820, // FS_IOC_FSSETXATTR
	0x6602, // FS_IOC_SETFLAGS
	0x5423, // TIOCSETD, on each of [architectures]
}

// commandBits are those of refusedCommands. The kernel takes no notice of the upper 32 bits of the
// argument, which a filter compares.
const commandBits = 16

// leaseCommands are the commands of fcntl(2) that take a lease on a file. A program that opens the
// file for writing then waits until the lease is given back, 45 s at most. A container may have one
// of the host's files, such as its group's output, and could hold up the host itself. The second
// one is F_SETDELEG, of Linux 6.19.
var leaseCommands = []uint64{unix.F_SETLEASE, 1024 + 16}

// leaseBits are those of leaseCommands. The kernel has no command above them.
const leaseBits = 11

// allowBut admits a call but with one of the refused values in the lower bits of an argument. A
// rule can't name what it excludes without an overlap. So there is one for each bit of a refused
// value: it admits the values that differ in this bit and are the same in those above.
func allowBut(call string, arg uint, bits int, refused []uint64) (rules []specs.LinuxSyscall) {
	for bit := bits - 1; bit >= 0; bit-- {
		for i, r := range refused {
			value := (r ^ 1<<bit) >> bit
			begins := func(c uint64) bool { return c>>bit == value }
			same := func(c uint64) bool { return c>>bit == r>>bit }
			if slices.ContainsFunc(refused, begins) || slices.ContainsFunc(refused[:i], same) {
				continue
			}
			mask := uint64(1<<bits-1) >> bit << bit
			rules = append(rules, allow(call, specs.LinuxSeccompArg{Index: arg, Value: mask, ValueTwo: value << bit, Op: specs.OpMaskedEqual}))
		}
	}
	return rules
}

// socketRules admit local, IPv4 and IPv6 sockets, and netlink for addresses and routes alone. The
// others fail as on a kernel that doesn't have them. With EPERM, PAM and others give up where they
// would go on without auditing.
//
// No two rules overlap: libseccomp would let the more general one win. A filter compares 64 bits
// and the kernel 32, so a family with higher bits set counts as unknown.
func socketRules() []specs.LinuxSyscall {
	rules := []specs.LinuxSyscall{
		allow("socket", equal(argFamily, unix.AF_UNIX)),
		allow("socket", equal(argFamily, unix.AF_INET6)),
		allow("socket", equal(argFamily, unix.AF_NETLINK), equal(argProtocol, unix.NETLINK_ROUTE)),
		fail("socket", unix.EPROTONOSUPPORT, equal(argFamily, unix.AF_NETLINK), specs.LinuxSeccompArg{Index: argProtocol, Value: unix.NETLINK_ROUTE, Op: specs.OpNotEqual}),
		fail("socket", unix.EAFNOSUPPORT, above(argFamily, unix.AF_NETLINK)),
		allow("socketpair", equal(argFamily, unix.AF_UNIX)),
		fail("socketpair", unix.EAFNOSUPPORT, above(argFamily, unix.AF_UNIX)),
	}
	for _, t := range inetTypes {
		rules = append(rules, allow("socket", equal(argFamily, unix.AF_INET),
			specs.LinuxSeccompArg{Index: argType, Value: typeMask, ValueTwo: t, Op: specs.OpMaskedEqual}))
	}
	for family := uint64(unix.AF_UNSPEC); family < unix.AF_NETLINK; family++ {
		if family != unix.AF_UNIX && family != unix.AF_INET && family != unix.AF_INET6 {
			rules = append(rules, fail("socket", unix.EAFNOSUPPORT, equal(argFamily, family)))
		}
	}
	return rules
}

func allow(call string, args ...specs.LinuxSeccompArg) specs.LinuxSyscall {
	return specs.LinuxSyscall{Names: []string{call}, Action: specs.ActAllow, Args: args}
}

func fail(call string, errno unix.Errno, args ...specs.LinuxSeccompArg) specs.LinuxSyscall {
	ret := uint(errno)
	return specs.LinuxSyscall{Names: []string{call}, Action: specs.ActErrno, ErrnoRet: &ret, Args: args}
}

func equal(arg uint, value uint64) specs.LinuxSeccompArg {
	return specs.LinuxSeccompArg{Index: arg, Value: value, Op: specs.OpEqualTo}
}

func above(arg uint, value uint64) specs.LinuxSeccompArg {
	return specs.LinuxSeccompArg{Index: arg, Value: value, Op: specs.OpGreaterThan}
}
