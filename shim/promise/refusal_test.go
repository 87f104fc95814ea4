package promise

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"
)

func TestRefusals(t *testing.T) {
	namespace := func(kind specs.LinuxNamespaceType, path string) func(*specs.Spec, *Policy) {
		return func(s *specs.Spec, _ *Policy) {
			i := slices.IndexFunc(s.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == kind })
			if path == "" {
				s.Linux.Namespaces = slices.Delete(s.Linux.Namespaces, i, i+1)
				return
			}
			s.Linux.Namespaces[i].Path = path
		}
	}
	mount := func(m specs.Mount) func(*specs.Spec, *Policy) {
		return func(s *specs.Spec, _ *Policy) { s.Mounts = append(s.Mounts, m) }
	}
	bind := func(source string) func(*specs.Spec, *Policy) {
		return mount(specs.Mount{Destination: "/x", Source: source, Options: []string{"bind"}})
	}
	device := func(d specs.LinuxDevice) func(*specs.Spec, *Policy) {
		return func(s *specs.Spec, _ *Policy) { s.Linux.Devices = append(s.Linux.Devices, d) }
	}
	for _, tt := range []struct {
		name string
		edit func(*specs.Spec, *Policy)
		asks string // empty: nothing is refused
		why  string
	}{
		{"an ordinary spec", func(*specs.Spec, *Policy) {}, "", ""},
		{"no namespace to be in", func(_ *specs.Spec, p *Policy) { p.Netns = "" }, "no network namespace", "rules"},
		{"no cgroup to be in", func(_ *specs.Spec, p *Policy) { p.Cgroup = "" }, "no cgroup", "ambassador"},
		{"an unsafe capability that is more than that", func(_ *specs.Spec, p *Policy) { p.Unsafe = []string{"SYS_ADMIN"} }, "the capability SYS_ADMIN as unsafe", "NET_ADMIN and NET_RAW"},
		{"no process", func(s *specs.Spec, _ *Policy) { s.Process = nil }, "no process", "program"},
		{"no Linux", func(s *specs.Spec, _ *Policy) { s.Linux = nil }, "no part for Linux", "another system"},
		{"hooks", func(s *specs.Spec, _ *Policy) { s.Hooks = &specs.Hooks{Poststart: []specs.Hook{{Path: "/bin/sh"}}} }, "hooks", "outside"},
		{"a virtual machine", func(s *specs.Spec, _ *Policy) { s.VM = &specs.VM{} }, "a virtual machine", "runtime"},

		{"the host's processes", namespace(specs.PIDNamespace, ""), "the host's pid namespace", "PID namespace"},
		{"the host's memory", namespace(specs.IPCNamespace, ""), "the host's ipc namespace", "IPC namespace"},
		{"the host's name", namespace(specs.UTSNamespace, ""), "the host's uts namespace", "UTS namespace"},
		{"the host's mounts", namespace(specs.MountNamespace, ""), "the host's mount namespace", "mount namespace"},
		{"the host's cgroups", namespace(specs.CgroupNamespace, ""), "the host's cgroup namespace", "ambassador"},
		{"the host's network", namespace(specs.NetworkNamespace, ""), "the host's network namespace", "rules"},
		{"another network", namespace(specs.NetworkNamespace, "/run/netns/other"), "the network namespace /run/netns/other", "rules"},
		{"another's processes", namespace(specs.PIDNamespace, "/proc/1/ns/pid"), "the pid namespace /proc/1/ns/pid", "PID namespace"},
		{"the group's network", namespace(specs.NetworkNamespace, policy.Netns), "", ""},
		{"a user namespace", func(s *specs.Spec, _ *Policy) {
			s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
		}, "a user namespace", "capabilities"},
		{"a time namespace", func(s *specs.Spec, _ *Policy) {
			s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.TimeNamespace})
		}, "a time namespace", "clock"},
		{"mapped users", func(s *specs.Spec, _ *Policy) { s.Linux.UIDMappings = []specs.LinuxIDMapping{{Size: 1}} }, "mapped users", "capabilities"},
		{"mapped groups", func(s *specs.Spec, _ *Policy) { s.Linux.GIDMappings = []specs.LinuxIDMapping{{Size: 1}} }, "mapped users", "capabilities"},
		{"another cgroup", func(s *specs.Spec, _ *Policy) { s.Linux.CgroupsPath = "/sallyport/checkout/ambassador" }, "the cgroup /sallyport/checkout/ambassador", "ambassador"},
		{"its own cgroup", func(s *specs.Spec, _ *Policy) { s.Linux.CgroupsPath = policy.Cgroup }, "", ""},
		{"sysctls", func(s *specs.Spec, _ *Policy) { s.Linux.Sysctl = map[string]string{"net.ipv4.ip_forward": "1"} }, "the sysctl net.ipv4.ip_forward", "/proc/sys"},
		{"a sysctl that a group can have, for a container", func(s *specs.Spec, _ *Policy) { s.Linux.Sysctl = map[string]string{"net.core.somaxconn": "1024"} }, "the sysctl net.core.somaxconn", "/proc/sys"},
		{"who may ping", func(s *specs.Spec, _ *Policy) { s.Linux.Sysctl = map[string]string{"net.ipv4.ping_group_range": "0 0"} }, "the sysctl net.ipv4.ping_group_range", "/proc/sys"},
		{"the host's name", func(s *specs.Spec, _ *Policy) { s.Linux.Sysctl = map[string]string{"kernel.hostname": "x"} }, "the sysctl kernel.hostname", "/proc/sys"},
		{"sysctls of the container's own memory", func(s *specs.Spec, _ *Policy) {
			s.Linux.Sysctl = map[string]string{"kernel.shmmax": "1", "fs.mqueue.msg_max": "20"}
		}, "", ""},

		{"tun", device(specs.LinuxDevice{Path: "/dev/net/tun", Type: "c", Major: 10, Minor: 200}), "the device /dev/net/tun", "tun"},
		{"a disk", device(specs.LinuxDevice{Path: "/dev/sda", Type: "b", Major: 8}), "the device /dev/sda", "raw disk"},
		{"the null device", device(specs.LinuxDevice{Path: "/dev/null", Type: "c", Major: 1, Minor: 3}), "", ""},
		{"a pipe", device(specs.LinuxDevice{Path: "/dev/pipe", Type: "p"}), "", ""},
		{"an interface", func(s *specs.Spec, _ *Policy) { s.Linux.NetDevices = map[string]specs.LinuxNetDevice{"eth1": {}} }, "the host's interface eth1", "other machines"},

		{"a control socket", bind("/run/containerd/containerd.sock"), "the host's /run/containerd/containerd.sock", "control socket"},
		{"a control socket by its old path", bind("/var/run/docker.sock"), "the host's /var/run/docker.sock", "control socket"},
		{"everything", bind("/"), "the host's /", "control socket"},
		{"the host's devices", bind("/dev"), "the host's /dev", "tun"},
		{"the host's cgroups by a path", bind("/sys/fs/cgroup"), "the host's /sys/fs/cgroup", "cgroup tree"},
		{"another group's volume", bind("/run/sallyport/volumes/other/logs"), "the host's /run/sallyport/volumes/other/logs", "Sallyport"},
		{"a relative path", bind("../../containerd.sock"), "the folder ../../containerd.sock", "relative"},
		{"a filesystem of devices", mount(specs.Mount{Destination: "/dev2", Type: "devtmpfs", Source: "devtmpfs"}), `a filesystem of type "devtmpfs" at /dev2`, "host"},
		{"a filesystem over the network", mount(specs.Mount{Destination: "/n", Type: "nfs", Source: "server:/n"}), `a filesystem of type "nfs" at /n`, "connections"},

		{"no filter", func(s *specs.Spec, _ *Policy) { s.Linux.Seccomp = nil }, "no seccomp filter", "socket families"},
		{"a filter that admits", func(s *specs.Spec, _ *Policy) { s.Linux.Seccomp.DefaultAction = specs.ActAllow }, "a seccomp filter that admits what it doesn't name", "socket families"},
		{"a filter that only writes down", func(s *specs.Spec, _ *Policy) { s.Linux.Seccomp.DefaultAction = specs.ActLog }, "a seccomp filter that admits what it doesn't name", "socket families"},
		{"a filter that asks", func(s *specs.Spec, _ *Policy) { s.Linux.Seccomp.ListenerPath = "/run/agent.sock" }, "a seccomp filter that another process decides for", "socket families"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, p := ordinary(t), policy
			tt.edit(s, &p)
			before := encoded(t, s)
			err := Edit(s, p)
			if tt.asks == "" {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			refused, ok := errors.AsType[Refused](err)
			if !ok || len(refused) != 1 || refused[0].Asks != tt.asks || !strings.Contains(refused[0].Why, tt.why) {
				t.Errorf("refused is %+v, want one of %q with %q in its reason", refused, tt.asks, tt.why)
			}
			if diff := cmp.Diff(before, encoded(t, s)); diff != "" {
				t.Errorf("a refused spec was changed (-before +after):\n%s", diff)
			}
		})
	}
}

// A spec with several refusals is refused for each.
func TestRefusalsAreAllListed(t *testing.T) {
	s := ordinary(t)
	s.Linux.Namespaces, s.Linux.Seccomp, s.Hooks = nil, nil, &specs.Hooks{}
	refused := Refusals(s, policy)
	if len(refused) != 8 {
		t.Errorf("%d refusals, want 6 namespaces, hooks and the filter: %v", len(refused), refused)
	}
	for _, r := range refused {
		if r.Asks == "" || r.Why == "" || !strings.Contains(refused.Error(), r.String()) {
			t.Errorf("refusal %+v is not whole, or not in the error %q", r, refused)
		}
	}
}
