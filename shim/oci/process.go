package oci

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/spec"
)

// defaultPath is the search path of a container if neither its image nor the group file has one.
const defaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

func createProcess(in Input) (*specs.Process, error) {
	args := commandLine(in.Container, in.Image)
	if len(args) == 0 {
		return nil, &hint.Error{
			Err:  fmt.Errorf("container %q has no command, and neither has its image", in.Container.Name),
			Hint: "add command = [\"/path/of/the/program\"] to its block",
		}
	}
	if in.Container.Init {
		args = append([]string{in.Init.Path}, args...)
	}
	caps, err := createCapabilities(in.Container, in.User.UID != 0)
	if err != nil {
		return nil, err
	}
	user := in.User
	user.AdditionalGids = slices.Concat(user.AdditionalGids, in.CDI.Groups)
	env := environment(ownEnv(in.Container), slices.Concat(in.Image.Env, in.CDI.Env), defaultPath, "HOSTNAME="+in.Group)
	p := &specs.Process{
		User:         user,
		Args:         args,
		Env:          withLibraries(env, in.CDI.Libraries),
		Cwd:          workDir(in.Container, in.Image),
		Capabilities: caps,
		Rlimits:      createRlimits(in.Container, in.Host),

		ApparmorProfile: in.Host.AppArmor,
	}
	if in.Host.ResetOOM {
		// Else a container inherits the shim's score, and the kernel would kill the host's daemons
		// to spare it.
		p.OOMScoreAdj = new(int)
	}
	return p, nil
}

// ownEnv returns the environment of the file, with the time zone.
func ownEnv(c spec.Container) map[string]string {
	if c.Timezone == "" {
		return c.Env
	}
	env := maps.Clone(c.Env)
	if env == nil {
		env = map[string]string{}
	}
	env["TZ"] = c.Timezone
	return env
}

// commandLine joins entrypoint and arguments. A command of the file doesn't get the image's
// arguments.
func commandLine(c spec.Container, image ocispec.ImageConfig) []string {
	command, args := image.Entrypoint, image.Cmd
	if c.Command != nil {
		command, args = c.Command, nil
	}
	if c.Args != nil {
		args = c.Args
	}
	return slices.Concat(command, args)
}

// environment returns the defaults, then the image's entries in their order, then the file's,
// sorted. For two entries of a name the last one wins.
func environment(own map[string]string, image []string, defaults ...string) []string {
	env := slices.Clone(defaults)
	set := func(entry string) {
		name, _, _ := strings.Cut(entry, "=")
		env = slices.DeleteFunc(env, func(have string) bool { return strings.HasPrefix(have, name+"=") })
		env = append(env, entry)
	}
	for _, entry := range image {
		set(entry)
	}
	for _, name := range slices.Sorted(maps.Keys(own)) {
		set(name + "=" + own[name])
	}
	return env
}

func workDir(c spec.Container, image ocispec.ImageConfig) string {
	switch {
	case c.WorkDir != "":
		return c.WorkDir
	case image.WorkingDir != "":
		return path.Join("/", image.WorkingDir) // a runtime refuses a relative one
	}
	return "/"
}

// An ExecInput has the differences of one more program from the container's own.
type ExecInput struct {
	Args    []string
	TTY     bool
	User    *specs.User // nil: the container's own
	Env     []string    // NAME=VALUE, on top of the container's own
	WorkDir string      // empty: the container's own
}

// ExecProcess returns the process of one more program in a running container, whose own is given:
// it may do what that one may. Another user than the container's own has no capabilities: its
// program has them for its own user. With a terminal it has one of the kind xterm, unless the
// container or the input names one.
func ExecProcess(program *specs.Process, in ExecInput) *specs.Process {
	p := *program
	p.Args = in.Args
	p.Terminal = in.TTY
	if in.WorkDir != "" {
		p.Cwd = in.WorkDir
	}
	if in.User != nil {
		if in.User.UID != p.User.UID {
			p.Capabilities = &specs.LinuxCapabilities{}
		}
		p.User = *in.User
	}
	env := program.Env
	if in.TTY {
		env = append([]string{"TERM=xterm"}, env...)
	}
	if in.TTY || len(in.Env) > 0 {
		p.Env = environment(nil, slices.Concat(env, in.Env), defaultPath)
	}
	return &p
}
