package oci

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/promise"
	"github.com/sallyport/sallyport/spec"
)

var update = flag.Bool("update", false, "rewrite golden files")

// testInput is an Input with what a host would have looked up.
func testInput(name string, role spec.Role, edit func(*Input)) Input {
	in := Input{
		Group:     "checkout",
		Container: spec.Container{Name: name, Role: role},
		Image:     ocispec.ImageConfig{Entrypoint: []string{"/bin/server"}, Cmd: []string{"--serve"}, Env: []string{"PATH=/bin", "LANG=C"}},
		ShimGroup: "checkout",
		Netns:     "/run/sallyport/netns/checkout",
		Cgroup:    "/sallyport/checkout/members/" + name + "/leaf",
		Modes:     "/run/sallyport/files/checkout/" + Modes(name) + "/modes",
		Volumes:   map[string]string{"logs": "/run/sallyport/volumes/checkout/logs", "outer": "/run/sallyport/volumes/checkout/outer"},
	}
	edit(&in)
	return in
}

// A specCase is a container and what its golden file is called.
type specCase struct {
	name string
	in   Input
}

func specCases() []specCase {
	return []specCase{
		{"plain", testInput("web", spec.App, func(*Input) {})},
		{"everything", testInput("web", spec.App, func(in *Input) {
			in.Container.Command = []string{"/bin/web"}
			in.Container.Args = []string{"-v"}
			in.Container.Env = map[string]string{"PAYMENTS_URL": "http://127.0.0.1:9001", "LANG": "en"}
			in.Container.WorkDir = "/srv"
			in.Container.Capabilities = []string{"NET_BIND_SERVICE", "CHOWN"}
			in.Container.Resources = spec.Resources{CPU: 0.5, Memory: 128 << 20, Swap: new(int64), PIDs: 64, IOWeight: 5000}
			in.Container.Mounts = []spec.Mount{{Volume: "logs", Path: "/var/log/web", ReadOnly: true}, {Volume: "outer", Path: "/var"}}
			in.Container.Timezone, in.Container.Resources.CPUSet = "Europe/Berlin", "0,2-3"
			in.Container.Ulimits = []spec.Ulimit{{Name: "core", Soft: 0, Hard: spec.Unlimited}, {Name: "nofile", Soft: 4096, Hard: 100_000}, {Name: "stack", Soft: 8 << 20, Hard: spec.Unlimited}}
			in.User = specs.User{UID: 1000, GID: 1000, AdditionalGids: []uint32{2000}}
			in.Files = []File{{"/run/sallyport/files/checkout/web/1", "/var/log/web/readme"}, {"/run/sallyport/files/checkout/web/0", "/etc/hosts"}}
			in.Host = HostFacts{SwapLimit: true, ResetOOM: true, AppArmor: "sallyport-default", PendingSignals: 1001, QueueBytes: 819200, Highest: map[string]uint64{"nofile": 20_000, "nproc": 96_365, "memlock": 1 << 30}}
		})},
		{"ambassador", testInput("proxy", spec.Ambassador, func(in *Input) {
			in.Cgroup = "/sallyport/checkout/ambassador/proxy/leaf"
			in.ShimGroup = "sallyport_host"
			in.Image.WorkingDir = "/var/lib/haproxy"
			in.User = specs.User{UID: 99, GID: 99}
			in.Container.Resources.CPU = 0.001
			in.Container.Resources.Memory = 1 << 20
			in.Container.Unsafe.Capabilities = []string{"NET_ADMIN"}
		})},
		{"unsafe ambassador", testInput("proxy", spec.Ambassador, func(in *Input) {
			in.Cgroup = "/sallyport/checkout/ambassador/proxy/leaf"
			in.Container.Capabilities = []string{"AUDIT_WRITE", "SYS_NICE"}
			in.Container.Unsafe.Capabilities = []string{"NET_RAW", "NET_ADMIN"}
			in.User = specs.User{UID: 99, GID: 99}
		})},
		{"no capabilities", testInput("migrate", spec.Init, func(in *Input) {
			in.Container.Capabilities = []string{}
			in.Container.Resources = spec.Resources{Memory: 64 << 20}
			in.Image = ocispec.ImageConfig{Cmd: []string{"/bin/migrate"}}
		})},
		{"read only", testInput("web", spec.App, func(in *Input) {
			in.Container.ReadOnly = true
			in.Container.Tmpfs = []spec.Tmpfs{
				{Path: "/run/web", Size: 1 << 20, Owner: "1000:1000"}, {Path: "/srv/outer/cache", Size: 1 << 20}, {Path: "/tmp", Size: 64 << 20, Exec: true, Mode: 0o700},
			}
			in.Container.Mounts = []spec.Mount{{Volume: "logs", Path: "/run/web/logs"}, {Volume: "outer", Path: "/srv/outer"}}
			in.User = specs.User{UID: 1000, GID: 1000}
			in.Files = []File{{"/run/sallyport/files/checkout/web/0", "/etc/hosts"}, {"/run/sallyport/files/checkout/web/1", "/tmp/conf"}}
		})},
		{"every capability", testInput("logs", spec.Sidecar, func(in *Input) {
			in.Container.Capabilities = slices.Concat([]string{"AUDIT_WRITE", "IPC_LOCK", "SYS_NICE"}, spec.DefaultCapabilities)
			in.Container.Mounts = []spec.Mount{{Volume: "outer", Path: "/srv/b"}, {Volume: "logs", Path: "/srv/a", ReadOnly: true}}
			in.Files = []File{{"/run/sallyport/files/checkout/logs/0", "/etc/resolv.conf"}, {"/run/sallyport/files/checkout/logs/1", "/srv/a/conf"}}
		})},
		{"init", testInput("web", spec.App, func(in *Input) {
			in.Container.Init, in.Container.ReadOnly = true, true
			in.Init = File{"/usr/bin/sallyport", "/dev/init"}
			in.Files = []File{{"/run/sallyport/files/checkout/web/0", "/etc/hosts"}}
		})},
		{"shared memory", testInput("web", spec.App, func(in *Input) {
			in.Container.ShmSize = 256 << 20
			in.Container.Sysctls = map[string]string{"kernel.shmmax": "268435456", "kernel.sem": "250 32000 100 128"}
		})},
		{"memory of the group", testInput("web", spec.App, func(in *Input) {
			in.Container.Mounts = []spec.Mount{{Volume: "logs", Path: "/dev/shm"}, {Volume: "outer", Path: "/srv"}}
		})},
		{"devices", testInput("web", spec.App, func(in *Input) {
			uid, gid := uint32(0), uint32(20)
			in.Container.ReadOnly = true
			in.Devices = []Device{
				{Device: spec.Device{Path: "/dev/serial/by-id/meter", To: "/dev/meter"}, Node: "/dev/ttyUSB0", Owned: specs.LinuxDevice{UID: &uid, GID: &gid},
					Kernel: promise.KernelDevice{Type: "c", Major: 188, Subsystem: "tty", Name: "ttyUSB0"}},
				{Device: spec.Device{Path: "/dev/ttyUSB1", Optional: true}, Absent: true},
				{Device: spec.Device{Path: "/dev/input/event0", Access: "r"}, Node: "/dev/input/event0",
					Kernel: promise.KernelDevice{Type: "c", Major: 13, Minor: 64, Subsystem: "input", Name: "event0"}},
			}
		})},
		{"output of the group", testInput("shipper", spec.Sidecar, func(in *Input) {
			in.Container.OutputOf = "/srv/b/output"
			in.Container.Mounts = []spec.Mount{{Volume: "outer", Path: "/srv/b"}, {Volume: "logs", Path: "/srv/c"}}
			in.Output = "/var/log/sallyport/checkout"
		})},
	}
}

func TestCreateSpec(t *testing.T) {
	for _, tt := range specCases() {
		t.Run(tt.name, func(t *testing.T) {
			got, err := CreateSpec(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			if got.Linux.Seccomp == nil {
				t.Fatal("no seccomp filter")
			}
			got.Linux.Seccomp = nil // has a golden file of its own
			golden(t, strings.ReplaceAll(tt.name, " ", "-")+".json", got)
		})
	}
}

// Every byte that a runtime reads stays as it is, the filter's included.
func TestCreateSpecToTheByte(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("the golden file is for amd64")
	}
	var sums []string
	for _, tt := range specCases() {
		got, err := CreateSpec(tt.in)
		if err != nil {
			t.Fatal(err)
		}
		whole, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		sums = append(sums, fmt.Sprintf("%x %s", sha256.Sum256(whole), tt.name))
	}
	golden(t, "sums.amd64.json", sums)
}

// golden compares the JSON of v with testdata/name.
func golden(t *testing.T, name string, v any) {
	t.Helper()
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// A new release of Docker's profile shows here, call by call.
func TestSeccompProfile(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("the golden file is for amd64")
	}
	in := testInput("web", spec.App, func(in *Input) { in.Container.Capabilities = []string{"CHOWN", "SYS_CHROOT"} })
	got, err := CreateSpec(in)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "seccomp.amd64.json", got.Linux.Seccomp)
}

func TestCreateSpecRefuses(t *testing.T) {
	tests := []struct {
		name    string
		edit    func(*Input)
		want    string
		problem bool
	}{
		{"no command", func(in *Input) { in.Image = ocispec.ImageConfig{} }, `container "web" has no command, and neither has its image`, true},
		{"no namespace", func(in *Input) { in.Netns = "" }, "without network namespace", false},
		{"no cgroup", func(in *Input) { in.Cgroup = "" }, "without network namespace or cgroup", false},
		{"swap that can't be limited", func(in *Input) {
			in.Container.Resources.Memory, in.Container.Resources.Swap = 1<<20, new(int64)
		}, `container "web": this host's kernel can't limit swap`, true},
		{"a processor that is not there", func(in *Input) {
			in.Container.Resources.CPUSet, in.Host.CPUs = "0-2", "0-1"
		}, `container "web" is to run on processor 2, and this host has 0-1`, true},
		{"settings of the network", func(in *Input) { in.Container.Sysctls = map[string]string{"net.ipv4.ip_forward": "1"} }, "the sysctl net.ipv4.ip_forward", false},
		{"no init", func(in *Input) { in.Container.Init = true }, `container "web" has an init, and there is none`, false},
		{"packet sockets", func(in *Input) { in.Container.Capabilities = []string{"CHOWN", "NET_RAW"} }, "NET_RAW, which no container of a group can have", true},
		{"a member's unsafe", func(in *Input) { in.Container.Unsafe.Capabilities = []string{"NET_ADMIN"} }, "NET_ADMIN as unsafe, which only the ambassador can", true},
		{"owner that is no number", func(in *Input) { in.Container.Tmpfs = []spec.Tmpfs{{Path: "/tmp", Owner: "web:web"}} }, `owner "web:web" of`, false},
		{"no output of its group", func(in *Input) { in.Container.OutputOf = "/x" }, `container "web" is given its group's output, and there is none`, false},
		{"volume of another group", func(in *Input) { in.Container.Mounts = []spec.Mount{{Volume: "other", Path: "/x"}} }, `volume "other", which its group doesn't have`, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := CreateSpec(testInput("web", spec.App, tt.edit))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error %v, want one with %q", err, tt.want)
			}
			var p *hint.Error
			if errors.As(err, &p) != tt.problem {
				t.Errorf("is a problem with a hint: %v, want %v", !tt.problem, tt.problem)
			}
		})
	}
}
