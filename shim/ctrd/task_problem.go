package ctrd

import (
	"context"
	"errors"
	"strings"

	"github.com/sallyport/sallyport/shim/hint"
)

// runtimeHints are the hints for what an OCI runtime reports of a container it can't make. A
// runtime reports it in words only, so this is the one place that looks at them. Nothing is decided
// by them. The first entry whose parts are all in the error applies.
var runtimeHints = []struct {
	parts []string
	hint  string
}{
	{[]string{"container process: exec:", "executable file not found in $PATH"}, "the image has no such program: correct command, or write its whole path"},
	{[]string{"container process: exec:", "no such file or directory"}, "the image has no such program: correct command"},
	{[]string{"container process: exec:", "permission denied"}, "the container's user may not run the program: correct its mode in the image, or user"},
	{[]string{"exec format error"}, "the program is for another kind of processor: build the image for this host"},
	{[]string{"chdir to cwd"}, "workdir must be a folder that the container's user may enter"},
	{[]string{"mkdir", "not a directory"}, "the path of a mount, a file or the workdir goes through a file of the image: choose another"},
	{[]string{"to rootfs", "not a directory"}, "a file can't be placed over a folder, nor a volume over a file: choose another path"},
	{[]string{`exec: "runc"`}, "install runc, or put it on the PATH that containerd was started with"},
	{[]string{"io.containerd.runtime.v2.task", "file exists"}, "containerd has lost track of a container; restart it, which lets what runs go on: systemctl restart containerd"},
	{[]string{"containerd-shim-runc-v2"}, "install containerd's shim, containerd-shim-runc-v2, or put it on the PATH that containerd was started with"},
	{[]string{"cgroup"}, "see `sallyport doctor` for what is wrong with the host's cgroups"},
}

// runtimeProblem words the error of a runtime for its operator.
func runtimeProblem(act, id string, err error) error {
	worded := &runtimeError{words: act + " " + id + ": " + hint.Excerpt(withoutLayers(err.Error()), hint.Long), cause: err}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return worded
	}
	for _, h := range runtimeHints {
		if containsAll(err.Error(), h.parts) {
			return &hint.Error{Err: worded, Hint: h.hint}
		}
	}
	return worded
}

// A runtimeError has the meaning of its cause in fewer words.
type runtimeError struct {
	words string
	cause error
}

func (e *runtimeError) Error() string { return e.words }
func (e *runtimeError) Unwrap() error { return e.cause }

// withoutLayers removes what each layer between the runtime and us puts around the runtime's own
// words.
func withoutLayers(s string) string {
	for _, layer := range []string{"failed to create shim task: ", "failed to start shim: ", "OCI runtime create failed: ", "OCI runtime exec failed: ", "runc create failed: ", "exec failed: ",
		"unable to start container process: ", "error during container init: "} {
		s = strings.TrimPrefix(s, layer)
	}
	return strings.TrimSuffix(s, ": unknown")
}

func containsAll(s string, parts []string) bool {
	for _, p := range parts {
		if !strings.Contains(s, p) {
			return false
		}
	}
	return true
}
