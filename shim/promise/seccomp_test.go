package promise

import (
	"runtime"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// verdict returns what a profile does with a call, and how many rules match. libseccomp takes the
// first that matches, as no two of ours overlap.
func verdict(p *specs.LinuxSeccomp, call string, args ...uint64) (action specs.LinuxSeccompAction, errno unix.Errno, matches int) {
	action, errno = p.DefaultAction, unix.Errno(*p.DefaultErrnoRet)
	for _, rule := range p.Syscalls {
		if !slices.Contains(rule.Names, call) || !matchAll(rule.Args, args) {
			continue
		}
		matches++
		action, errno = rule.Action, 0
		if rule.ErrnoRet != nil {
			errno = unix.Errno(*rule.ErrnoRet)
		}
	}
	return action, errno, matches
}

func matchAll(conds []specs.LinuxSeccompArg, args []uint64) bool {
	for _, c := range conds {
		v := uint64(0)
		if int(c.Index) < len(args) {
			v = args[c.Index]
		}
		ok := map[specs.LinuxSeccompOperator]bool{
			specs.OpEqualTo:     v == c.Value,
			specs.OpNotEqual:    v != c.Value,
			specs.OpGreaterThan: v > c.Value,
			specs.OpMaskedEqual: v&c.Value == c.ValueTwo,
		}[c.Op]
		if !ok {
			return false
		}
	}
	return true
}

// dockerFilter is Docker's default filter for a set of capabilities, narrowed.
func dockerFilter(t *testing.T, capabilities ...string) *specs.LinuxSeccomp {
	t.Helper()
	filter, err := seccomp.GetDefaultProfile(&specs.Spec{
		Process: &specs.Process{Capabilities: &specs.LinuxCapabilities{Bounding: capabilities}},
	})
	if err != nil {
		t.Fatal(err)
	}
	editSeccomp(filter)
	return filter
}

func TestSocketFamilies(t *testing.T) {
	const packetType = 10 // SOCK_PACKET
	tests := []struct {
		name  string
		call  string
		args  []uint64
		errno unix.Errno // 0: allowed
	}{
		{"local", "socket", []uint64{unix.AF_UNIX, unix.SOCK_STREAM}, 0},
		{"tcp", "socket", []uint64{unix.AF_INET, unix.SOCK_STREAM}, 0},
		{"tcp, flags", "socket", []uint64{unix.AF_INET, unix.SOCK_STREAM | unix.SOCK_NONBLOCK | unix.SOCK_CLOEXEC}, 0},
		{"udp", "socket", []uint64{unix.AF_INET, unix.SOCK_DGRAM}, 0},
		{"tcp over v6", "socket", []uint64{unix.AF_INET6, unix.SOCK_STREAM}, 0},
		{"routes", "socket", []uint64{unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE}, 0},
		{"pair", "socketpair", []uint64{unix.AF_UNIX, unix.SOCK_DGRAM}, 0},

		{"packets", "socket", []uint64{unix.AF_PACKET, unix.SOCK_RAW, 3}, unix.EAFNOSUPPORT},
		{"packets by the old name", "socket", []uint64{unix.AF_INET, packetType, 3}, unix.EPERM},
		{"packets by the old name, flags", "socket", []uint64{unix.AF_INET, packetType | unix.SOCK_CLOEXEC, 3}, unix.EPERM},
		{"packets, high bits", "socket", []uint64{1<<32 | unix.AF_PACKET, unix.SOCK_RAW}, unix.EAFNOSUPPORT},
		{"tcp, high bits", "socket", []uint64{1<<32 | unix.AF_INET, unix.SOCK_STREAM}, unix.EAFNOSUPPORT},
		{"no family", "socket", []uint64{unix.AF_UNSPEC, unix.SOCK_DGRAM}, unix.EAFNOSUPPORT},
		{"vsock", "socket", []uint64{unix.AF_VSOCK, unix.SOCK_STREAM}, unix.EAFNOSUPPORT},
		{"alg", "socket", []uint64{unix.AF_ALG, unix.SOCK_SEQPACKET}, unix.EAFNOSUPPORT},
		{"xdp", "socket", []uint64{unix.AF_XDP, unix.SOCK_RAW}, unix.EAFNOSUPPORT},
		{"a family to come", "socket", []uint64{99, unix.SOCK_STREAM}, unix.EAFNOSUPPORT},
		{"netfilter", "socket", []uint64{unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_NETFILTER}, unix.EPROTONOSUPPORT},
		{"audit", "socket", []uint64{unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_AUDIT}, unix.EPROTONOSUPPORT},
		{"generic netlink", "socket", []uint64{unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_GENERIC}, unix.EPROTONOSUPPORT},
		{"pair of tipc", "socketpair", []uint64{unix.AF_TIPC, unix.SOCK_STREAM}, unix.EAFNOSUPPORT},
		{"multiplexed, 32 bit", "socketcall", []uint64{1}, unix.EPERM},
	}
	p := dockerFilter(t, "CAP_CHOWN", "CAP_SYS_CHROOT")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			action, errno, matches := verdict(p, tt.call, tt.args...)
			if matches > 1 {
				t.Errorf("%d rules match, and libseccomp takes the most general", matches)
			}
			if tt.errno == 0 && action != specs.ActAllow || tt.errno != 0 && (action != specs.ActErrno || errno != tt.errno) {
				t.Errorf("%s %d, want %d", action, errno, tt.errno)
			}
		})
	}
}

// Each family has one rule, even one that the kernel doesn't have yet.
func TestEveryFamilyHasOneRule(t *testing.T) {
	p := dockerFilter(t, "CAP_CHOWN", "CAP_SYS_CHROOT")
	for family := range uint64(200) {
		if _, _, matches := verdict(p, "socket", family, unix.SOCK_STREAM); matches != 1 {
			t.Errorf("family %d: %d rules, want 1", family, matches)
		}
	}
}

// Each command has one rule, but for those that change a project or a line discipline, with any
// size and any upper half of the argument.
func TestRefusedCommands(t *testing.T) {
	p := dockerFilter(t, "CAP_CHOWN", "CAP_SYS_ADMIN")
	p.Syscalls = slices.DeleteFunc(p.Syscalls, func(r specs.LinuxSyscall) bool { return !slices.Contains(r.Names, "ioctl") })
	for command := range uint64(1 << 16) {
		refused := command == 'X'<<8|32 || command == 'f'<<8|2 || command == unix.TIOCSETD
		for _, upper := range []uint64{0, 0x401c, 0x4008, 0x4004, 0xc0de, 0x1_0000_4008} {
			action, errno, matches := verdict(p, "ioctl", 3, upper<<16|command)
			switch {
			case refused && (action != specs.ActErrno || errno != unix.EPERM):
				t.Errorf("%#x: %s %d, want EPERM", upper<<16|command, action, errno)
			case !refused && (action != specs.ActAllow || matches != 1):
				t.Fatalf("%#x: %s by %d rules, want to be admitted by one", upper<<16|command, action, matches)
			}
		}
	}
}

// Each command of fcntl has one rule, but for those that take a lease, with any upper half of the
// argument.
func TestLeaseCommands(t *testing.T) {
	p := dockerFilter(t, "CAP_CHOWN", "CAP_LEASE")
	for _, call := range []string{"fcntl", "fcntl64"} {
		for command := range uint64(1 << 12) {
			refused := command&0x7ff == unix.F_SETLEASE || command&0x7ff == 1024+16
			for _, upper := range []uint64{0, 1 << 32, 1 << 16} {
				action, errno, matches := verdict(p, call, 3, upper|command)
				switch {
				case refused && (action != specs.ActErrno || errno != unix.EPERM):
					t.Errorf("%s %#x: %s %d, want EPERM", call, upper|command, action, errno)
				case !refused && (action != specs.ActAllow || matches != 1):
					t.Fatalf("%s %#x: %s by %d rules, want to be admitted by one", call, upper|command, action, matches)
				}
			}
		}
	}
}

func TestDeniedWhateverTheCapabilities(t *testing.T) {
	p := dockerFilter(t, "CAP_SYS_ADMIN", "CAP_SYS_PTRACE", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_BPF", "CAP_PERFMON", "CAP_DAC_READ_SEARCH")
	for _, call := range append(slices.Clone(deniedCalls), "swapon") {
		switch call {
		case "socket", "socketpair", "ioctl", "fcntl", "fcntl64": // by argument
			continue
		}
		if action, errno, _ := verdict(p, call); action != specs.ActErrno || errno != unix.EPERM {
			t.Errorf("%s: %s %d, want EPERM", call, action, errno)
		}
	}
}

func TestNamespaceFlags(t *testing.T) {
	p := dockerFilter(t, "CAP_CHOWN", "CAP_SYS_CHROOT")
	for _, flag := range []uint64{unix.CLONE_NEWUSER, unix.CLONE_NEWNET, unix.CLONE_NEWNS, unix.CLONE_NEWPID, unix.CLONE_NEWCGROUP} {
		if action, _, _ := verdict(p, "clone", flag|uint64(unix.SIGCHLD)); action != specs.ActErrno {
			t.Errorf("clone with flag %#x: %s", flag, action)
		}
	}
	if action, _, _ := verdict(p, "clone", uint64(unix.SIGCHLD)); action != specs.ActAllow {
		t.Errorf("plain clone: %s", action)
	}
	// Its flags are behind a pointer; ENOSYS makes the C library take clone.
	if action, errno, _ := verdict(p, "clone3"); action != specs.ActErrno || errno != unix.ENOSYS {
		t.Errorf("clone3: %s %d, want ENOSYS", action, errno)
	}
}

// If a table with socketcall were among them, libseccomp would admit every family through it.
func TestArchitectures(t *testing.T) {
	for goarch, arches := range architectures {
		for _, arch := range arches {
			switch arch {
			case specs.ArchX86, specs.ArchX32, specs.ArchMIPS, specs.ArchMIPSEL, specs.ArchPPC, specs.ArchPPC64, specs.ArchPPC64LE, specs.ArchS390, specs.ArchS390X:
				t.Errorf("%s: %s has socketcall, or is another's twin", goarch, arch)
			}
		}
	}
	if diff := cmp.Diff(architectures[runtime.GOARCH], dockerFilter(t, "CAP_CHOWN", "CAP_SYS_CHROOT").Architectures); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
