package oci

import (
	"fmt"
	"runtime"
	"slices"

	"github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// createSeccomp is Docker's default profile for those capabilities, with sockets by family and without [deniedCalls]. What
// no rule names fails with EPERM, io_uring and keyctl among it.
func createSeccomp(bounding []string) (*specs.LinuxSeccomp, error) {
	profile, err := seccomp.GetDefaultProfile(&specs.Spec{
		Process: &specs.Process{Capabilities: &specs.LinuxCapabilities{Bounding: bounding}},
	})
	if err != nil {
		return nil, fmt.Errorf("seccomp profile: %w", err)
	}
	var rules []specs.LinuxSyscall
	for _, rule := range profile.Syscalls {
		rule.Names = slices.DeleteFunc(slices.Clone(rule.Names), func(name string) bool { return slices.Contains(deniedCalls, name) })
		if len(rule.Names) > 0 {
			rules = append(rules, rule)
		}
	}
	profile.Syscalls = append(rules, socketRules()...)
	profile.Architectures = seccompArchitectures[runtime.GOARCH]
	if profile.Architectures == nil {
		return nil, fmt.Errorf("seccomp profile: socket families can't be told apart on %s", runtime.GOARCH)
	}
	return profile, nil
}

// seccompArchitectures are the system call tables a container may use; a program that uses another is killed. None has
// socketcall, which hides a socket's family behind a pointer: where a table has it, libseccomp admits it for any family as
// soon as socket is admitted for one. So a 32-bit x86 program doesn't run.
var seccompArchitectures = map[string][]specs.Arch{
	"amd64":   {specs.ArchX86_64},
	"arm":     {specs.ArchARM},
	"arm64":   {specs.ArchAARCH64, specs.ArchARM},
	"loong64": {specs.ArchLOONGARCH64},
	"riscv64": {specs.ArchRISCV64},
}

// deniedCalls are refused whatever the capabilities.
var deniedCalls = []string{
	"socket", "socketcall", "socketpair", // replaced by socketRules

	// into another process, and so to its sockets
	"kcmp", "pidfd_getfd", "process_madvise", "process_vm_readv", "process_vm_writev", "ptrace",

	// into another namespace, or another view of this one
	"fsconfig", "fsmount", "fsopen", "fspick", "mount", "mount_setattr", "move_mount", "open_by_handle_at", "open_tree",
	"setns", "umount", "umount2", "unshare",

	// into the kernel
	"bpf", "delete_module", "finit_module", "init_module", "ioperm", "iopl", "perf_event_open",
}

// These are the argument numbers of socket(2) and socketpair(2).
const (
	argFamily   = 0
	argType     = 1
	argProtocol = 2
)

// typeMask parts a socket's type from SOCK_NONBLOCK and SOCK_CLOEXEC.
const typeMask = 0xf

// inetTypes are all but SOCK_PACKET (10): with AF_INET the kernel makes that a packet socket.
var inetTypes = []uint64{unix.SOCK_STREAM, unix.SOCK_DGRAM, unix.SOCK_RAW, unix.SOCK_SEQPACKET, unix.SOCK_DCCP}

// socketRules admit local, IPv4 and IPv6 sockets, and of netlink the part that tells addresses and routes. The rest fails
// as on a kernel without it (with EPERM, PAM and others give up where they go on without auditing).
//
// No two rules overlap: libseccomp would let the more general one win. Comparisons are over 64 bits, the kernel's over 32,
// so a family with higher bits set counts as unknown.
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
