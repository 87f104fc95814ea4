package ctrd

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/containerd/errdefs"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

func TestRuntimeProblem(t *testing.T) {
	const created = "failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: "
	tests := []struct {
		name string
		err  error
		want string
		hint string // part of; empty: none
	}{
		{"no program", errors.New(created + `exec: "web": executable file not found in $PATH: unknown`), `create g.web: exec: "web": executable file not found in $PATH`, "whole path"},
		{"a program of the runtime's name", errors.New(created + `exec: "runc": executable file not found in $PATH`), `create g.web: exec: "runc": executable file not found in $PATH`, "whole path"},
		{"a program below a tmpfs", errors.New(created + `exec: "/bin/sh": stat /bin/sh: no such file or directory: unknown`), `create g.web: exec: "/bin/sh": stat /bin/sh: no such file or directory`, "a tmpfs or a volume hides it"},
		{"file capabilities", errors.New("OCI runtime exec failed: exec failed: unable to start container process: exec /bin/ping: operation not permitted: unknown"), "create g.web: exec /bin/ping: operation not permitted", "setcap -r"},
		{"no runtime", errors.New(`failed to create shim task: OCI runtime create failed: unable to retrieve OCI runtime error (open log.json): exec: "runc": executable file not found in $PATH: unknown`), `create g.web: unable to retrieve OCI runtime error (open log.json): exec: "runc": executable file not found in $PATH`, "install runc"},
		{"no shim", errors.New(`failed to start shim: runtime "io.containerd.runc.v2" binary not installed "containerd-shim-runc-v2": file does not exist: unknown`), `create g.web: runtime "io.containerd.runc.v2" binary not installed "containerd-shim-runc-v2": file does not exist`, "install containerd's shim"},
		{"file over a folder", errors.New(created + `error during container init: error mounting "/x" to rootfs at "/bin": not a directory: unknown`), `create g.web: error mounting "/x" to rootfs at "/bin": not a directory`, "choose another path"},
		{"no runtime at its path", errors.New(`failed to create shim task: OCI runtime create failed: unable to retrieve OCI runtime error (open log.json: no such file or directory): fork/exec /usr/bin/crun: no such file or directory: unknown`),
			`create g.web: unable to retrieve OCI runtime error (open log.json: no such file or directory): fork/exec /usr/bin/crun: no such file or directory`, "containerd.runtime"},
		{"crun beside cgroup v1", errors.New("OCI runtime create failed: cgroups in hybrid mode not supported, drop all controllers from cgroupv2: unknown"),
			"create g.web: cgroups in hybrid mode not supported, drop all controllers from cgroupv2", "cgroup v2 alone"},
		{"crun without CAP_SYS_RESOURCE", errors.New("OCI runtime create failed: setrlimit (RLIM_MEMLOCK): Operation not permitted: unknown"),
			"create g.web: setrlimit (RLIM_MEMLOCK): Operation not permitted", "locked memory"},
		{"crun, file over a folder", errors.New("OCI runtime create failed: mount `/x` to `bin`: Not a directory: unknown"), "create g.web: mount `/x` to `bin`: Not a directory", "choose another path"},
		{"crun, workdir", errors.New("OCI runtime create failed: chdir `/etc/passwd`: Not a directory: unknown"), "create g.web: chdir `/etc/passwd`: Not a directory", "workdir"},
		{"something else", errors.New("ttrpc: closed"), "create g.web: ttrpc: closed", ""},
		{"took too long", fmt.Errorf("cgroup: %w", context.DeadlineExceeded), "create g.web: cgroup: context deadline exceeded", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := runtimeProblem("create", "g.web", tt.err)
			if err.Error() != tt.want {
				t.Errorf("error\n%q, want\n%q", err, tt.want)
			}
			if !errors.Is(err, tt.err) {
				t.Error("the cause is lost")
			}
			var p *hint.Error
			if errors.As(err, &p) != (tt.hint != "") {
				t.Fatalf("hint: %+v, want %q", p, tt.hint)
			}
			if p != nil && !strings.Contains(p.Hint, tt.hint) {
				t.Errorf("hint %q, want %q in it", p.Hint, tt.hint)
			}
		})
	}
	long := runtimeProblem("create", "g.web", errors.New(created+"chdir to cwd "+strings.Repeat("\x1b/d", 20<<10)))
	if len(long.Error()) > 400 || strings.Contains(long.Error(), "\x1b") || hint.Of(long) == "" {
		t.Errorf("an error of %d bytes with hint %q: %.400q", len(long.Error()), hint.Of(long), long)
	}
	for text, kind := range map[string]error{
		`exec: "web": executable file not found in $PATH`:             host.ErrNoProgram,
		`exec: "/x": stat /x: no such file or directory`:              host.ErrNoProgram,
		`exec: "/etc": permission denied`:                             host.ErrCannotRun,
		`exec /x: exec format error`:                                  host.ErrCannotRun,
		"executable file `/x` not found in $PATH: No such file":       host.ErrNoProgram, // crun's words
		"open executable: Permission denied":                          host.ErrCannotRun,
		"open executable: Operation not permitted":                    host.ErrCannotRun,
		"exec: Exec format error":                                     host.ErrCannotRun,
		`can't get final child's PID from pipe: EOF: unknown`:         nil,
		"read init-p: connection reset by peer":                       nil,
		"error writing config to pipe: write init-p: broken pipe":     nil,
		"fork/exec /proc/self/fd/6: resource temporarily unavailable": nil,
	} {
		err := runtimeProblem("exec in", "g.web", errors.New(created+text))
		for _, k := range []error{host.ErrNoProgram, host.ErrCannotRun} {
			if errors.Is(err, k) != (k == kind) {
				t.Errorf("%s: %v is it: %v", text, k, errors.Is(err, k))
			}
		}
		if kind == nil && !strings.Contains(hint.Of(err), "raise pids") {
			t.Errorf("%s: hint %q", text, hint.Of(err))
		}
	}
	g := &spec.Group{Sensitive: []string{"web.args", "web.command"}}
	for _, c := range []spec.Container{{Name: "web", Command: []string{`s3"cret`, "x"}}, {Name: "web", Args: []string{`s3"cret`}}, {Name: "other", Command: []string{`s3"cret`}}} {
		text := runtimeProblem("create", "g.web", errors.New(created+`exec: "s3\"cret": stat s3"cret: no such file or directory`), secretPrograms(g, c)...).Error()
		want := "create g.web: exec: (sensitive): stat (sensitive): no such file or directory"
		if (text == want) == (c.Name == "other") { // the control
			t.Errorf("%s: %s", c.Name, text)
		}
	}
	if err := runtimeProblem("start", "g.web", errdefs.ErrNotFound); !errdefs.IsNotFound(err) {
		t.Errorf("%v is not the kind it was", err)
	}
}
