package ctrd

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

	"github.com/sallyport/sallyport/shim"
	"github.com/sallyport/sallyport/spec"
)

var update = flag.Bool("update", false, "rewrite golden files")

// testInput is a specInput with what the host would have looked up.
func testInput(name string, role spec.Role, edit func(*specInput)) specInput {
	in := specInput{
		Group:     "checkout",
		Container: spec.Container{Name: name, Role: role},
		Image:     ocispec.ImageConfig{Entrypoint: []string{"/bin/server"}, Cmd: []string{"--serve"}, Env: []string{"PATH=/bin", "LANG=C"}},
		ShimGroup: "checkout",
		Netns:     "/run/sallyport/netns/checkout",
		Cgroup:    "/sallyport/checkout/members/" + name,
		Volumes:   map[string]string{"logs": "/run/sallyport/volumes/checkout/logs", "outer": "/run/sallyport/volumes/checkout/outer"},
	}
	edit(&in)
	return in
}

// A specCase is a container and what its golden file is called.
type specCase struct {
	name string
	in   specInput
}

func specCases() []specCase {
	return []specCase{
		{"plain", testInput("web", spec.App, func(*specInput) {})},
		{"everything", testInput("web", spec.App, func(in *specInput) {
			in.Container.Command = []string{"/bin/web"}
			in.Container.Args = []string{"-v"}
			in.Container.Env = map[string]string{"PAYMENTS_URL": "http://127.0.0.1:9001", "LANG": "en"}
			in.Container.WorkDir = "/srv"
			in.Container.Capabilities = []string{"NET_BIND_SERVICE", "CHOWN"}
			in.Container.Resources = spec.Resources{CPU: 0.5, Memory: 128 << 20, Swap: new(int64), PIDs: 64, IOWeight: 5000}
			in.Container.Mounts = []spec.Mount{{Volume: "logs", Path: "/var/log/web", ReadOnly: true}, {Volume: "outer", Path: "/var"}}
			in.User = specs.User{UID: 1000, GID: 1000, AdditionalGids: []uint32{2000}}
			in.Files = []placedFile{{"/run/sallyport/files/checkout/web/1", "/var/log/web/readme"}, {"/run/sallyport/files/checkout/web/0", "/etc/hosts"}}
			in.Host = hostFacts{SwapLimit: true, IOWeight: blkioWeight, ResetOOM: true}
		})},
		{"ambassador", testInput("proxy", spec.Ambassador, func(in *specInput) {
			in.Cgroup = "/sallyport/checkout/ambassador/proxy"
			in.ShimGroup = hostShim
			in.Image.WorkingDir = "/var/lib/haproxy"
			in.User = specs.User{UID: 99, GID: 99}
			in.Container.Resources.CPU = 0.001
			in.Container.Resources.IOWeight = 5000
			in.Host.IOWeight = costWeight
			in.Container.Resources.Memory = 1 << 20
			in.Container.Unsafe.Capabilities = []string{"NET_ADMIN"}
		})},
		{"unsafe ambassador", testInput("proxy", spec.Ambassador, func(in *specInput) {
			in.Cgroup = "/sallyport/checkout/ambassador/proxy"
			in.Container.Capabilities = []string{"AUDIT_WRITE", "SYS_NICE"}
			in.Container.Unsafe.Capabilities = []string{"NET_RAW", "NET_ADMIN"}
			in.User = specs.User{UID: 99, GID: 99}
		})},
		{"no capabilities", testInput("migrate", spec.Init, func(in *specInput) {
			in.Container.Capabilities = []string{}
			in.Container.Resources = spec.Resources{Memory: 64 << 20, IOWeight: 1}
			in.Host = hostFacts{IOWeight: bfqWeight}
			in.Image = ocispec.ImageConfig{Cmd: []string{"/bin/migrate"}}
		})},
		{"every capability", testInput("logs", spec.Sidecar, func(in *specInput) {
			in.Container.Capabilities = slices.Concat([]string{"AUDIT_WRITE", "IPC_LOCK", "SYS_NICE"}, spec.DefaultCapabilities)
			in.Container.Mounts = []spec.Mount{{Volume: "outer", Path: "/srv/b"}, {Volume: "logs", Path: "/srv/a", ReadOnly: true}}
			in.Files = []placedFile{{"/run/sallyport/files/checkout/logs/0", "/etc/resolv.conf"}, {"/run/sallyport/files/checkout/logs/1", "/srv/a/conf"}}
		})},
	}
}

func TestCreateSpec(t *testing.T) {
	for _, tt := range specCases() {
		t.Run(tt.name, func(t *testing.T) {
			got, err := createSpec(tt.in)
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
		got, err := createSpec(tt.in)
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

func TestCreateSpecRefuses(t *testing.T) {
	tests := []struct {
		name    string
		edit    func(*specInput)
		want    string
		problem bool
	}{
		{"no command", func(in *specInput) { in.Image = ocispec.ImageConfig{} }, `container "web" has no command, and neither has its image`, true},
		{"no namespace", func(in *specInput) { in.Netns = "" }, "without network namespace", false},
		{"no cgroup", func(in *specInput) { in.Cgroup = "" }, "without network namespace or cgroup", false},
		{"swap that can't be limited", func(in *specInput) {
			in.Container.Resources.Memory, in.Container.Resources.Swap = 1<<20, new(int64)
		}, `container "web": this host's kernel can't limit swap`, true},
		{"a weight that can't be set", func(in *specInput) { in.Container.Resources.IOWeight = 5 }, `container "web": this host shares its disks by no weight`, true},
		{"packet sockets", func(in *specInput) { in.Container.Capabilities = []string{"CHOWN", "NET_RAW"} }, "NET_RAW, which is a way around", true},
		{"a member's unsafe", func(in *specInput) { in.Container.Unsafe.Capabilities = []string{"NET_ADMIN"} }, "NET_ADMIN as unsafe, which only the ambassador can", true},
		{"volume of another group", func(in *specInput) { in.Container.Mounts = []spec.Mount{{Volume: "other", Path: "/x"}} }, `volume "other", which its group doesn't have`, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := createSpec(testInput("web", spec.App, tt.edit))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error %v, want one that says %q", err, tt.want)
			}
			var p *shim.Problem
			if errors.As(err, &p) != tt.problem {
				t.Errorf("is a problem with a hint: %v, want %v", !tt.problem, tt.problem)
			}
		})
	}
}

func TestWaysOutAreRefused(t *testing.T) {
	for _, name := range waysOut {
		for _, role := range []spec.Role{spec.Ambassador, spec.Init, spec.Sidecar, spec.App} {
			if _, err := createCapabilities(spec.Container{Role: role, Capabilities: []string{name}}, false); err == nil {
				t.Errorf("%s was granted to an %s", name, role)
			}
			_, err := createCapabilities(spec.Container{Role: role, Unsafe: spec.Unsafe{Capabilities: []string{name}}}, false)
			if mayHave := role == spec.Ambassador && slices.Contains(unsafeCapabilities, name); (err == nil) != mayHave {
				t.Errorf("%s as unsafe to an %s: %v, granted should be %v", name, role, err, mayHave)
			}
		}
		for _, granted := range spec.DefaultCapabilities {
			if granted == name {
				t.Errorf("%s is in the default set", name)
			}
		}
	}
	if _, err := createCapabilities(spec.Container{Role: spec.Ambassador, Unsafe: spec.Unsafe{Capabilities: []string{"CHOWN"}}}, false); err == nil {
		t.Error("an unsafe block is no second list of capabilities")
	}
}

func TestCommandLine(t *testing.T) {
	image := ocispec.ImageConfig{Entrypoint: []string{"/entry"}, Cmd: []string{"cmd"}}
	tests := []struct {
		name          string
		command, args []string
		want          []string
	}{
		{"the image's", nil, nil, []string{"/entry", "cmd"}},
		{"own arguments", nil, []string{"a", "b"}, []string{"/entry", "a", "b"}},
		{"no arguments", nil, []string{}, []string{"/entry"}},
		{"own command drops the image's arguments", []string{"/own"}, nil, []string{"/own"}},
		{"both", []string{"/own"}, []string{"a"}, []string{"/own", "a"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := commandLine(spec.Container{Command: tt.command, Args: tt.args}, image)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestEnvironment(t *testing.T) {
	tests := []struct {
		name  string
		own   map[string]string
		image []string
		want  []string
	}{
		{"nothing said", nil, nil, []string{defaultPath}},
		{"the image's path", nil, []string{"PATH=/bin"}, []string{"PATH=/bin"}},
		{"own wins, sorted", map[string]string{"B": "2", "A": "1", "PATH": "/own"}, []string{"A=0", "PATH=/bin"}, []string{"A=1", "B=2", "PATH=/own"}},
		{"a name that begins like another", map[string]string{"A": "1"}, []string{"AB=0"}, []string{defaultPath, "AB=0", "A=1"}},
		{"the image says a name twice", nil, []string{"A=0", "A=1"}, []string{defaultPath, "A=1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, environment(tt.own, tt.image)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// A capability set reaches a program only as root, or if the file asked for it.
func TestCreateCapabilities(t *testing.T) {
	chown, raw := []string{"CAP_CHOWN"}, []string{"CAP_NET_RAW"}
	both := []string{"CAP_CHOWN", "CAP_NET_RAW"}
	all := capabilitySet(slices.Concat(spec.DefaultCapabilities, []string{"NET_RAW"}))
	tests := []struct {
		name          string
		names, unsafe []string
		other         bool
		want          specs.LinuxCapabilities
	}{
		{"root, own set", []string{"CHOWN"}, nil, false, specs.LinuxCapabilities{Bounding: chown, Permitted: chown, Effective: chown}},
		{"other user, own set", []string{"CHOWN"}, nil, true, specs.LinuxCapabilities{Bounding: chown, Permitted: chown, Effective: chown, Inheritable: chown, Ambient: chown}},
		{"root, empty set", []string{}, nil, false, specs.LinuxCapabilities{Bounding: []string{}, Permitted: []string{}, Effective: []string{}}},
		{"root, own set, unsafe", []string{"CHOWN"}, []string{"NET_RAW"}, false, specs.LinuxCapabilities{Bounding: both, Permitted: both, Effective: both}},
		{"root, default set, unsafe", nil, []string{"NET_RAW"}, false, specs.LinuxCapabilities{Bounding: all, Permitted: all, Effective: all}},
		{"other user, own set, unsafe", []string{"CHOWN"}, []string{"NET_RAW"}, true, specs.LinuxCapabilities{Bounding: both, Permitted: both, Effective: both, Inheritable: both, Ambient: both}},
		{"other user, default set, unsafe", nil, []string{"NET_RAW"}, true, specs.LinuxCapabilities{Bounding: all, Permitted: raw, Effective: raw, Inheritable: raw, Ambient: raw}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := createCapabilities(spec.Container{Role: spec.Ambassador, Capabilities: tt.names, Unsafe: spec.Unsafe{Capabilities: tt.unsafe}}, tt.other)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, *got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	got, err := createCapabilities(spec.Container{}, true)
	if err != nil {
		t.Fatal(err)
	}
	if got.Permitted != nil || got.Ambient != nil || len(got.Bounding) != len(spec.DefaultCapabilities) {
		t.Errorf("default set of another user: %+v, want it in the bounding set alone", got)
	}
}
