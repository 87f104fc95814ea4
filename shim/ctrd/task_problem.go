package ctrd

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// runtimeHints are the hints for what an OCI runtime reports of a container it can't make. A
// runtime reports it in words only, so this is the one place that looks at them. Nothing is decided
// by them. The first entry whose parts are all in the error applies.
var runtimeHints = []struct {
	parts []string
	hint  string
	kind  error // nil: the error is of no kind that a caller asks for
}{
	{[]string{"container process: exec:", "executable file not found in $PATH"}, "the image has no such program: correct command, or write its whole path", host.ErrNoProgram},
	{[]string{"container process: exec:", "no such file or directory"}, "the image has no such program, or a tmpfs or a volume hides it: correct command", host.ErrNoProgram},
	{[]string{"container process: exec:", "permission denied"}, mayNotRun, host.ErrCannotRun},
	{[]string{"container process: exec", "operation not permitted"}, host.FileCapabilities, host.ErrCannotRun},
	{[]string{"exec format error"}, otherProcessor, host.ErrCannotRun},
	// A runtime that may start no thread or process ends in one of these ways.
	{[]string{"resource temporarily unavailable"}, tooManyProcesses, nil},
	{[]string{"read init-p: connection reset by peer"}, tooManyProcesses, nil},
	{[]string{"write init-p:"}, tooManyProcesses, nil},
	{[]string{"can't get final child's PID from pipe"}, tooManyProcesses, nil},
	{[]string{"pthread_create failed"}, tooManyProcesses, nil},
	{[]string{"chdir to cwd"}, noWorkDir, nil},
	{[]string{"mkdir", "not a directory"}, throughFile, nil},
	{[]string{"to rootfs", "not a directory"}, otherKind, nil},
	// crun has words of its own for the same.
	{[]string{"executable file `", "not found in $PATH"}, "the image has no such program, or a tmpfs or a volume hides it: correct command, or write its whole path", host.ErrNoProgram},
	{[]string{"open executable: Permission denied"}, mayNotRun, host.ErrCannotRun},
	{[]string{"open executable: Operation not permitted"}, "command is a folder, or may not be run: correct it", host.ErrCannotRun},
	{[]string{"exec: Exec format error"}, otherProcessor, host.ErrCannotRun},
	{[]string{"chdir `"}, noWorkDir, nil},
	{[]string{"mkdir `", "Not a directory"}, throughFile, nil},
	{[]string{"mount `", "Not a directory"}, otherKind, nil},
	{[]string{"Resource temporarily unavailable"}, tooManyProcesses, nil},
	{[]string{"cgroups in hybrid mode not supported"}, "crun needs a host with cgroup v2 alone, and this one has v1 too: set containerd.runtime to runc, or boot with systemd.unified_cgroup_hierarchy=1", nil},
	{[]string{"setrlimit (RLIM_MEMLOCK)"}, "crun before 1.14 raises the limit on locked memory: give containerd CAP_SYS_RESOURCE or LimitMEMLOCK=infinity, or set containerd.runtime to runc", nil},
	{[]string{`exec: "runc"`}, "install runc, or put it on the PATH that containerd was started with", nil},
	{[]string{"unable to retrieve OCI runtime error", "fork/exec /", "no such file or directory"}, "install the runtime again, or name another one in containerd.runtime", nil},
	{[]string{"io.containerd.runtime.v2.task", "file exists"}, "containerd has lost track of a container; restart it, which lets what runs go on: systemctl restart containerd", nil},
	{[]string{"containerd-shim-runc-v2"}, "install containerd's shim, containerd-shim-runc-v2, or put it on the PATH that containerd was started with", nil},
	{[]string{"unable to apply apparmor profile"}, "the container's AppArmor profile is gone from the kernel: see \"sallyport doctor\"", nil},
	{[]string{"cgroup"}, "see \"sallyport doctor\" for what is wrong with the host's cgroups", nil},
}

// Hints for what each runtime has words of its own for.
const (
	mayNotRun      = "the container's user may not run the program: correct its mode in the image, or user"
	otherProcessor = "the program is for another kind of processor: build the image for this host"
	noWorkDir      = "workdir must be a folder that the container's user may enter"
	throughFile    = "the path of a mount, a file or the workdir goes through a file of the image: choose another"
	otherKind      = "a file can't be placed over a folder, nor a volume over a file: choose another path"

	tooManyProcesses = "most likely the group, or the container, may have no more processes: raise pids in its resources, or end some"
)

// hidden stands in the place of a sensitive value, as in what differs.
const hidden = "(sensitive)"

// runtimeProblem words the error of a runtime for its operator, without the given secrets.
func runtimeProblem(act, id string, err error, secrets ...string) error {
	text := withoutLayers(err.Error())
	for _, s := range secrets {
		quoted := strconv.Quote(s) // as a runtime quotes
		text = strings.NewReplacer(quoted, hidden, quoted[1:len(quoted)-1], hidden, s, hidden).Replace(text)
	}
	worded := &runtimeError{words: act + " " + id + ": " + hint.Excerpt(text, hint.Long), cause: err}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return worded
	}
	for _, h := range runtimeHints {
		if containsAll(err.Error(), h.parts) {
			worded.kind = h.kind
			return &hint.Error{Err: worded, Hint: h.hint}
		}
	}
	return worded
}

// A runtimeError has the meaning of its cause in fewer words.
type runtimeError struct {
	words string
	cause error
	kind  error // nil: none
}

func (e *runtimeError) Error() string        { return e.words }
func (e *runtimeError) Unwrap() error        { return e.cause }
func (e *runtimeError) Is(target error) bool { return e.kind != nil && e.kind == target }

// withoutLayers removes what each layer between the runtime and us puts around the runtime's own
// words.
func withoutLayers(s string) string {
	for _, layer := range []string{"failed to create shim task: ", "failed to start shim: ", "OCI runtime create failed: ", "OCI runtime exec failed: ", "runc create failed: ", "exec failed: ",
		"unable to start container process: ", "error during container init: "} {
		s = strings.TrimPrefix(s, layer)
	}
	return strings.TrimSuffix(s, ": unknown")
}

// secretPrograms returns what a runtime may quote of a container as its program, if that comes from
// a sensitive variable.
func secretPrograms(g *spec.Group, c spec.Container) (secrets []string) {
	for name, words := range map[string][]string{"command": c.Command, "args": c.Args} {
		if len(words) > 0 && words[0] != "" && slices.Contains(g.Sensitive, c.Name+"."+name) {
			secrets = append(secrets, words[0])
		}
	}
	return secrets
}

func containsAll(s string, parts []string) bool {
	for _, p := range parts {
		if !strings.Contains(s, p) {
			return false
		}
	}
	return true
}
