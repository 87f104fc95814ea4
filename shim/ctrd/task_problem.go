package ctrd

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/shim"
)

// runtimeHints are for what the OCI runtime says of a container it can't make. It says so in words alone, so this is the
// one place that looks at them; no decision hangs on it. The first that fits counts.
var runtimeHints = []struct{ words, hint string }{
	{`exec: "runc"`, "install runc, or put it on the PATH that containerd was started with"},
	{"containerd-shim-runc-v2", "install containerd's shim, containerd-shim-runc-v2, or put it on the PATH that containerd was started with"},
	{"executable file not found in $PATH", "the image has no such program: correct command, or say its whole path"},
	{"exec format error", "the program is for another kind of processor: build the image for this host"},
	{"chdir to cwd", "workdir must be a folder that the container's user may enter"},
	{"mkdir", "a folder above a mount or the workdir is a file in the image: choose another path"},
	{"not a directory", "a mount's path goes through a file of the image, or puts a file over a folder: choose another path"},
	{"no such file or directory", "the image has no such program, or the program needs a loader that the image lacks: correct command"},
	{"permission denied", "the container's user may not run the program: correct its mode in the image, or user"},
	{"cgroup", "see `sallyport doctor` for what is wrong with the host's cgroups"},
}

// runtimeProblem words the error of a runtime for its operator.
func runtimeProblem(act, id string, err error) error {
	err = fmt.Errorf("%s %s: %w", act, id, err)
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return err
	}
	for _, h := range runtimeHints {
		if strings.Contains(err.Error(), h.words) {
			return &shim.Problem{Err: err, Hint: h.hint}
		}
	}
	return err
}
