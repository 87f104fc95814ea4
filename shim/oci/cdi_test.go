package oci

import (
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/promise"
	"github.com/sallyport/sallyport/spec"
)

// cdiHost has libraries of a driver, a socket and a folder. Its libraries have names with one
// number.
var cdiHost = CDIHost{
	Look: func(p string) (string, FileKind) {
		switch {
		case strings.HasSuffix(p, "/socket"):
			return p, Socket
		case strings.HasSuffix(p, "/folder"):
			return p, OtherFile
		case strings.HasSuffix(p, "/missing"):
			return p, NoFile
		case p == "/usr/lib/leads-out":
			return "/run/containerd/containerd.sock", PlainFile
		}
		return p, PlainFile
	},
	Soname: func(p string) string {
		name, _, ok := strings.Cut(path.Base(p), ".so.")
		if !ok {
			return ""
		}
		return name + ".so.1"
	},
}

func hook(args ...string) specs.Hook { return specs.Hook{Path: "/usr/bin/" + args[0], Args: args} }

func file(at string) specs.Mount {
	return specs.Mount{Source: at, Destination: at, Options: []string{"ro", "nosuid", "nodev", "rbind"}}
}

// gpu has the edits that NVIDIA's toolkit writes for one GPU, in short.
func gpu() *specs.Spec {
	number := func(n int64) *int64 { return &n }
	const lib = "/usr/lib/x86_64-linux-gnu"
	return &specs.Spec{
		Process: &specs.Process{Env: []string{"NVIDIA_VISIBLE_DEVICES=void"}, User: specs.User{AdditionalGids: []uint32{44}}},
		Linux: &specs.Linux{
			Devices:   []specs.LinuxDevice{{Path: "/dev/nvidia0", Type: "c", Major: 195}, {Path: "/dev/dri/card0", Type: "c", Major: 226}},
			Resources: &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Allow: true, Type: "c", Major: number(195), Minor: number(0), Access: "rwm"}}},
		},
		Mounts: []specs.Mount{
			file(lib + "/libcuda.so.550.54"), file("/usr/bin/nvidia-smi"),
			{Source: "/run/nvidia-persistenced/socket", Destination: "/run/nvidia-persistenced/socket", Options: []string{"bind", "rw"}},
		},
		Hooks: &specs.Hooks{CreateContainer: []specs.Hook{
			hook("nvidia-ctk", "hook", "create-symlinks", "--link", "libcuda.so.1::"+lib+"/libcuda.so", "--link=../x86_64-linux-gnu/libcuda.so::"+lib+"/libgpu.so", "--link", "libnone.so.1::"+lib+"/libnone.so"),
			hook("nvidia-cdi-hook", "update-ldcache", "--folder", lib),
			hook("nvidia-cdi-hook", "chmod", "--mode", "755", "--path", "/dev/dri"),
			hook("nvidia-cdi-hook", "enable-cuda-compat", "--host-driver-version=550"),
		}},
	}
}

func TestReadCDI(t *testing.T) {
	got, err := ReadCDI(spec.Container{Name: "web"}, gpu(), cdiHost)
	if err != nil {
		t.Fatal(err)
	}
	const lib = "/usr/lib/x86_64-linux-gnu"
	var mounts []string
	for _, m := range got.Mounts {
		mounts = append(mounts, m.Destination+" "+m.Source)
		if !slices.Contains(m.Options, "ro") || !slices.Contains(m.Options, "nosuid") || !slices.Contains(m.Options, "nodev") {
			t.Errorf("%s: options %v", m.Destination, m.Options)
		}
	}
	want := []string{
		"/usr/bin/nvidia-smi /usr/bin/nvidia-smi",
		lib + "/libcuda.so " + lib + "/libcuda.so.550.54",
		lib + "/libcuda.so.1 " + lib + "/libcuda.so.550.54",
		lib + "/libcuda.so.550.54 " + lib + "/libcuda.so.550.54",
		lib + "/libgpu.so " + lib + "/libcuda.so.550.54",
	}
	if diff := cmp.Diff(want, mounts); diff != "" {
		t.Errorf("mounts (-want +got):\n%s", diff)
	}
	if len(got.Devices) != 1 || got.Devices[0].Path != "/dev/nvidia0" || got.Devices[0].Access != "rw" {
		t.Errorf("devices %+v", got.Devices)
	}
	left := []string{
		"CDI: left out: device /dev/dri/card0: the CDI spec gives no access to it",
		"CDI: left out: /run/nvidia-persistenced/socket: a socket of the host, whose owner acts outside of the group",
		"CDI: left out: the hook enable-cuda-compat: the libraries of the host's driver are used",
		"CDI: left out: the link libnone.so.1::" + lib + "/libnone.so: its target is not among the files",
	}
	if diff := cmp.Diff(left, got.Left); diff != "" {
		t.Errorf("left out (-want +got):\n%s", diff)
	}
	if !slices.Equal(got.Env, []string{"NVIDIA_VISIBLE_DEVICES=void"}) || !slices.Equal(got.Libraries, []string{lib}) || !slices.Equal(got.Groups, []uint32{44}) {
		t.Errorf("environment %v, libraries %v, groups %v", got.Env, got.Libraries, got.Groups)
	}
}

func TestCDIRefused(t *testing.T) {
	for _, tt := range []struct {
		name string
		edit func(*specs.Spec)
		why  string
	}{
		{"an interface", func(s *specs.Spec) { s.Linux.NetDevices = map[string]specs.LinuxNetDevice{"ib0": {}} }, "the host's interface ib0"},
		{"intelRdt", func(s *specs.Spec) { s.Linux.IntelRdt = &specs.LinuxIntelRdt{} }, "intelRdt"},
		{"another program", func(s *specs.Spec) { s.Hooks.CreateContainer = []specs.Hook{hook("sh", "-c", "id")} }, "the hook /usr/bin/sh -c id"},
		{"a hook that is not known", func(s *specs.Spec) { s.Hooks.CreateContainer = []specs.Hook{hook("nvidia-ctk", "hook", "new")} }, "this one is not known"},
		{"a hook without a name", func(s *specs.Spec) { s.Hooks.CreateContainer = []specs.Hook{{Path: "/bin/nvidia-ctk"}} }, "the hook /bin/nvidia-ctk"},
		{"a hook at another time", func(s *specs.Spec) { s.Hooks.Poststop = []specs.Hook{hook("nvidia-ctk", "hook", "chmod")} }, "(poststop)"},
		{"a control socket", func(s *specs.Spec) { s.Mounts = append(s.Mounts, file("/run/docker.sock")) }, "control socket of docker"},
		{"a link to one", func(s *specs.Spec) { s.Mounts = append(s.Mounts, file("/usr/lib/leads-out")) }, "control socket of containerd"},
		{"a file of /proc", func(s *specs.Spec) { s.Mounts = append(s.Mounts, file("/proc/driver/params")) }, "The host's /proc"},
		{"a folder", func(s *specs.Spec) { s.Mounts = append(s.Mounts, file("/usr/share/folder")) }, "no plain file"},
		{"a missing file", func(s *specs.Spec) { s.Mounts = append(s.Mounts, file("/usr/lib/missing")) }, "older than the driver"},
		{"a filesystem", func(s *specs.Spec) {
			s.Mounts = append(s.Mounts, specs.Mount{Source: "/x", Destination: "/y", Type: "tmpfs"})
		}, "no file of the host"},
		{"over the kernel's", func(s *specs.Spec) {
			s.Mounts = append(s.Mounts, specs.Mount{Source: "/usr/lib/x", Destination: "/proc/sys", Options: []string{"bind"}})
		}, "where nothing is placed"},
		{"over ours", func(s *specs.Spec) {
			s.Mounts = append(s.Mounts, specs.Mount{Source: "/usr/lib/x", Destination: "/etc/hosts", Options: []string{"bind"}})
		}, "a file of its own"},
		{"over the file's", func(s *specs.Spec) { s.Mounts = append(s.Mounts, file("/etc/conf")) }, "a file of its own"},
		{"a link over the kernel's", func(s *specs.Spec) {
			s.Hooks.CreateContainer = append(s.Hooks.CreateContainer, hook("nvidia-ctk", "hook", "create-symlinks", "--link", "/usr/bin/nvidia-smi::/sys/x"))
		}, "where nothing is placed"},
		{"a device elsewhere", func(s *specs.Spec) { s.Linux.Devices[0].Path = "/srv/nvidia0" }, "below /dev"},
		{"a device over ours", func(s *specs.Spec) { s.Linux.Devices[0].Path = "/dev/null" }, "of its own"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := gpu()
			tt.edit(s)
			got, err := ReadCDI(spec.Container{Name: "web", Files: []spec.File{{Path: "/etc/conf"}}}, s, cdiHost)
			if err == nil || !strings.Contains(err.Error(), tt.why) || hint.Of(err) == "" {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

// A device block goes before a CDI spec at the same place, if both mean one device.
func TestBlockAndCDI(t *testing.T) {
	nvidia := func(minor int64, access string) Device {
		return Device{Device: spec.Device{Path: "/dev/nvidia0", Access: access}, Node: "/dev/nvidia0", Kernel: promise.KernelDevice{Type: "c", Major: 195, Minor: minor, Drivers: []string{"nvidia"}}}
	}
	for _, tt := range []struct {
		minor int64
		nodes int
	}{{0, 1}, {1, 0}} {
		nodes, given, err := createDevices(Input{Devices: []Device{nvidia(0, "r")}, CDI: CDI{Devices: []Device{nvidia(tt.minor, "rw")}}})
		if len(nodes) != tt.nodes || len(given) != tt.nodes || (err == nil) != (tt.nodes == 1) || tt.nodes == 1 && given[0].Access != "r" {
			t.Errorf("%d: %v, %v, %v", tt.minor, nodes, given, err)
		}
	}
}

func TestWithLibraries(t *testing.T) {
	for _, tt := range []struct{ env, folders, want []string }{
		{[]string{"A=1"}, nil, []string{"A=1"}},
		{[]string{"A=1"}, []string{"/lib/a", "/lib/b"}, []string{"A=1", "LD_LIBRARY_PATH=/lib/a:/lib/b"}},
		{[]string{"LD_LIBRARY_PATH=/own"}, []string{"/lib/a"}, []string{"LD_LIBRARY_PATH=/own:/lib/a"}},
		{[]string{"LD_LIBRARY_PATH="}, []string{"/lib/a"}, []string{"LD_LIBRARY_PATH=/lib/a"}},
	} {
		if got := withLibraries(tt.env, tt.folders); !slices.Equal(got, tt.want) {
			t.Errorf("%v, want %v", got, tt.want)
		}
	}
}
