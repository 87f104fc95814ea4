package oci

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/sallyport/sallyport/spec"
)

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
			if diff := cmp.Diff(tt.want, environment(tt.own, tt.image, defaultPath)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestExecProcess(t *testing.T) {
	program := &specs.Process{Args: []string{"/app"}, Env: []string{"PATH=/bin"}, NoNewPrivileges: true, ApparmorProfile: "sallyport-default", Cwd: "/srv"}
	tests := []struct {
		name string
		tty  bool
		env  []string // of the program
		want []string
	}{
		{"no terminal", false, []string{"PATH=/bin"}, []string{"PATH=/bin"}},
		{"terminal", true, []string{"PATH=/bin"}, []string{"TERM=xterm", "PATH=/bin"}},
		{"terminal, the program has one", true, []string{"PATH=/bin", "TERM=vt100"}, []string{"PATH=/bin", "TERM=vt100"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			program.Env = tt.env
			got := ExecProcess(program, ExecInput{Args: []string{"sh"}, TTY: tt.tty})
			want := &specs.Process{Args: []string{"sh"}, Env: tt.want, NoNewPrivileges: true, ApparmorProfile: "sallyport-default", Cwd: "/srv", Terminal: tt.tty}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if program.Args[0] != "/app" {
				t.Error("the program's own process has changed")
			}
		})
	}
}

// Another user than the container's own has none of its capabilities.
func TestExecProcessAs(t *testing.T) {
	all := []string{"CAP_CHOWN", "CAP_NET_BIND_SERVICE"}
	bounded := &specs.LinuxCapabilities{Bounding: all}
	whole := &specs.LinuxCapabilities{Bounding: all, Permitted: all, Effective: all}
	none := &specs.LinuxCapabilities{}
	user := func(uid, gid uint32) *specs.User { return &specs.User{UID: uid, GID: gid} }
	for _, tt := range []struct {
		name string
		own  uint32
		caps *specs.LinuxCapabilities
		as   *specs.User
		want *specs.LinuxCapabilities
	}{
		{"nobody else", 0, whole, nil, whole},
		{"root of a container of root's", 0, whole, user(0, 7), whole},
		{"a user of a container of root's", 0, whole, user(1000, 0), none},
		{"root of a container of a user's", 1000, bounded, user(0, 0), none},
		{"the same user", 1000, bounded, user(1000, 5), bounded},
		{"another user", 1000, bounded, user(1001, 5), none},
	} {
		t.Run(tt.name, func(t *testing.T) {
			program := &specs.Process{Args: []string{"/app"}, Env: []string{"A=1", "B=2"}, Cwd: "/", User: *user(tt.own, tt.own), Capabilities: tt.caps, NoNewPrivileges: true}
			got := ExecProcess(program, ExecInput{Args: []string{"id"}, User: tt.as, Env: []string{"B=3", "C=4"}, WorkDir: "/srv"})
			want := &specs.Process{
				Args: []string{"id"}, Env: []string{"A=1", "B=3", "C=4"}, Cwd: "/srv", User: program.User, Capabilities: tt.want, NoNewPrivileges: true,
			}
			if tt.as != nil {
				want.User = *tt.as
			}
			want.Env = append([]string{defaultPath}, want.Env...)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
