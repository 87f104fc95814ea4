package promise

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/spec"
)

var policy = Policy{
	Netns:  "/run/sallyport/netns/checkout",
	Cgroup: "/sallyport/checkout/members/web",
	Own:    []string{"/run/sallyport/volumes/checkout/logs"},
}

// ordinary is a spec as other tools make it, with their default capabilities and mounts. It has no
// refusal.
func ordinary(t *testing.T) *specs.Spec {
	t.Helper()
	names := []string{
		"CAP_AUDIT_WRITE", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_MKNOD", "CAP_NET_BIND_SERVICE",
		"CAP_NET_RAW", "CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_CHROOT",
	}
	s := &specs.Spec{
		Version: "1.0.2",
		Process: &specs.Process{
			Args: []string{"/bin/web"}, Cwd: "/",
			Capabilities: &specs.LinuxCapabilities{Bounding: names, Effective: names, Permitted: names},
		},
		Mounts: []specs.Mount{
			{Destination: "/proc", Type: "proc", Source: "proc"},
			{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "mode=755"}},
			{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"rw"}},
			{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"rw", "suid", "dev", "exec"}},
			{Destination: "/logs", Source: "/run/sallyport/volumes/checkout/logs", Options: []string{"rbind", "rshared", "dev"}},
			{Destination: "/srv", Type: "bind", Source: "/srv/web", Options: []string{"bind", "private"}},
			{Destination: "/scratch", Type: "tmpfs", Source: "tmpfs"},
		},
		Linux: &specs.Linux{
			Namespaces: append(PrivateNamespaces(), specs.LinuxNamespace{Type: specs.NetworkNamespace}),
		},
	}
	var err error
	if s.Linux.Seccomp, err = seccomp.GetDefaultProfile(s); err != nil {
		t.Fatal(err)
	}
	return s
}

// Each case puts one thing into an ordinary spec, and looks for it after the edit.
func TestEditTakesAway(t *testing.T) {
	options := func(destination string) func(*specs.Spec) string {
		return func(s *specs.Spec) string {
			i := slices.IndexFunc(s.Mounts, func(m specs.Mount) bool { return m.Destination == destination })
			return strings.Join(s.Mounts[i].Options, ",")
		}
	}
	calls := func(call string, args ...uint64) func(*specs.Spec) string {
		return func(s *specs.Spec) string {
			action, _, _ := verdict(s.Linux.Seccomp, call, args...)
			return string(action)
		}
	}
	admit := func(names ...string) func(*specs.Spec) {
		return func(s *specs.Spec) {
			s.Linux.Seccomp.Syscalls = append(s.Linux.Seccomp.Syscalls, specs.LinuxSyscall{Names: names, Action: specs.ActAllow})
		}
	}
	nothing := func(*specs.Spec) {}
	for _, tt := range []struct {
		name string
		put  func(*specs.Spec)
		look func(*specs.Spec) string
		want string
	}{
		{"a capability that is a way out, in every set", func(s *specs.Spec) {
			set := []string{"CAP_CHOWN", "CAP_NET_RAW", "CAP_SYS_ADMIN"}
			s.Process.Capabilities = &specs.LinuxCapabilities{Bounding: set, Effective: set, Inheritable: set, Permitted: set, Ambient: set}
		}, func(s *specs.Spec) string {
			c := s.Process.Capabilities
			return strings.Join(slices.Concat(c.Bounding, c.Effective, c.Inheritable, c.Permitted, c.Ambient), " ")
		}, "CAP_CHOWN CAP_CHOWN CAP_CHOWN CAP_CHOWN CAP_CHOWN"},
		{"a capability of a later kernel", func(s *specs.Spec) { s.Process.Capabilities.Bounding = []string{"CAP_LATER", "CAP_KILL"} },
			func(s *specs.Spec) string { return strings.Join(s.Process.Capabilities.Bounding, " ") }, "CAP_KILL"},
		{"the capabilities that a runtime gives by default", func(s *specs.Spec) { s.Process.Capabilities = nil },
			func(s *specs.Spec) string { return cmp.Diff(&specs.LinuxCapabilities{}, s.Process.Capabilities) }, ""},
		{"privileges by exec", func(s *specs.Spec) { s.Process.NoNewPrivileges = false },
			func(s *specs.Spec) string { return map[bool]string{true: "none"}[s.Process.NoNewPrivileges] }, "none"},

		{"a cgroup of the runtime's choice", nothing, func(s *specs.Spec) string { return s.Linux.CgroupsPath }, policy.Cgroup},
		{"a new network namespace", nothing, func(s *specs.Spec) string { return s.Linux.Namespaces[5].Path }, policy.Netns},
		{"mounts that show on the host", func(s *specs.Spec) { s.Linux.RootfsPropagation = "rshared" },
			func(s *specs.Spec) string { return s.Linux.RootfsPropagation }, ""},
		{"devices", func(s *specs.Spec) {
			s.Linux.Resources = &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Allow: true, Access: "rwm"}}}
		}, func(s *specs.Spec) string {
			return cmp.Diff([]specs.LinuxDeviceCgroup{{Allow: false, Access: "rwm"}}, s.Linux.Resources.Devices)
		}, ""},
		{"what is hidden below /proc and /sys", func(s *specs.Spec) { s.Linux.MaskedPaths = []string{"/proc/kcore", "/proc/mine"} },
			func(s *specs.Spec) string {
				return cmp.Diff(append(slices.Clone(maskedPaths), "/proc/mine"), s.Linux.MaskedPaths)
			}, ""},
		{"settings", func(s *specs.Spec) { s.Linux.ReadonlyPaths = []string{"/proc/mine"} },
			func(s *specs.Spec) string {
				return cmp.Diff(append(slices.Clone(readonlyPaths), "/proc/mine"), s.Linux.ReadonlyPaths)
			}, ""},

		{"programs in /proc", nothing, options("/proc"), "nosuid,noexec,nodev"},
		{"a writable /sys", nothing, options("/sys"), "nosuid,noexec,nodev,ro"},
		{"a writable tree of cgroups", nothing, options("/sys/fs/cgroup"), "nosuid,noexec,nodev,ro"},
		{"devices of a volume, and mounts that show on the host", nothing, options("/logs"), "rbind,nosuid,nodev,rprivate"},
		{"devices of a folder of the host", nothing, options("/srv"), "bind,private,nosuid,nodev"},
		{"devices in memory", nothing, options("/scratch"), "nosuid,nodev"},
		{"nothing from /dev, where the harmless ones are", nothing, options("/dev"), "nosuid,mode=755"},

		{"packet sockets", admit("socket"), calls("socket", unix.AF_PACKET, unix.SOCK_RAW), "SCMP_ACT_ERRNO"},
		{"pairs of other families", admit("socketpair"), calls("socketpair", unix.AF_TIPC, unix.SOCK_STREAM), "SCMP_ACT_ERRNO"},
		{"io_uring", admit("read", "io_uring_setup"), calls("io_uring_setup"), "SCMP_ACT_ERRNO"},
		{"other namespaces", admit("setns", "unshare"), calls("setns"), "SCMP_ACT_ERRNO"},
		{"new namespaces", admit("clone"), calls("clone", unix.CLONE_NEWUSER), "SCMP_ACT_ERRNO"},
		{"new namespaces, with flags that no filter sees", func(s *specs.Spec) {
			f := s.Linux.Seccomp
			f.Syscalls = slices.DeleteFunc(f.Syscalls, func(r specs.LinuxSyscall) bool { return slices.Contains(r.Names, "clone3") })
			admit("clone3")(s)
		}, calls("clone3"), "SCMP_ACT_ERRNO"},
		{"new namespaces, for a filter that has no other rule", func(s *specs.Spec) {
			f := s.Linux.Seccomp
			f.Syscalls = slices.DeleteFunc(f.Syscalls, func(r specs.LinuxSyscall) bool { return slices.Contains(r.Names, "clone") })
			admit("clone")(s)
		}, func(s *specs.Spec) string {
			return calls("clone", unix.CLONE_NEWNET)(s) + " " + calls("clone", unix.CLONE_VM)(s)
		}, "SCMP_ACT_ERRNO SCMP_ACT_ALLOW"},
		{"another table of system calls", func(s *specs.Spec) {
			s.Linux.Seccomp.Architectures = append(s.Linux.Seccomp.Architectures, specs.ArchX86)
		}, func(s *specs.Spec) string {
			return map[bool]string{true: "there"}[slices.Contains(s.Linux.Seccomp.Architectures, specs.ArchX86)]
		}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := ordinary(t)
			tt.put(s)
			if err := Edit(s, policy); err != nil {
				t.Fatal(err)
			}
			if got := tt.look(s); got != tt.want {
				t.Errorf("left is %q, want %q", got, tt.want)
			}
			once := encoded(t, s)
			if err := Edit(s, policy); err != nil {
				t.Fatalf("a second edit: %v", err)
			}
			if diff := cmp.Diff(once, encoded(t, s)); diff != "" {
				t.Errorf("a second edit changes it (-once +twice):\n%s", diff)
			}
		})
	}
}

// A capability that an operator gives up knowingly stays.
func TestEditUnsafe(t *testing.T) {
	s := ordinary(t)
	p := policy
	p.Unsafe = []string{"NET_RAW"}
	if err := Edit(s, p); err != nil {
		t.Fatal(err)
	}
	got := s.Process.Capabilities.Bounding
	if !slices.Contains(got, "CAP_NET_RAW") || slices.Contains(got, "CAP_MKNOD") {
		t.Errorf("capabilities %v, want NET_RAW among them and not MKNOD", got)
	}
}

// No capability that can be given is a way out.
func TestGrantable(t *testing.T) {
	for _, name := range spec.UnsafeCapabilities() {
		if slices.Contains(spec.GrantableCapabilities(), name) {
			t.Errorf("%s is given to every container that asks", name)
		}
	}
}

func encoded(t *testing.T, s *specs.Spec) string {
	t.Helper()
	b, err := json.MarshalIndent(s, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
