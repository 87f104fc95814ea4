package main

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
)

func TestFail(t *testing.T) {
	problem := &hint.Error{Err: errors.New("no image\nat all"), Hint: "make images"}
	for _, c := range []struct {
		name   string
		err    error
		status int
		said   string
	}{
		{"done", nil, 0, ""},
		{"failed", errors.New("broke"), 1, "sallyport: error: broke\n"},
		{"with a hint, on one line", fmt.Errorf("apply: %w", problem), 1, "sallyport: error: apply: no image; at all\nsallyport: hint: make images\n"},
		{"no such group", fmt.Errorf("group \"x\": %w", group.ErrNoGroup), 1, "sallyport: error: group \"x\": no such group\nsallyport: hint: \"sallyport ps\" lists the groups\n"},
		{"no such container", group.ErrNoContainer, 1, "sallyport: error: no such container\nsallyport: hint: \"sallyport status GROUP\" lists its containers\n"},
		{"a mistake in the command line", usage(errors.New("which?"), "that"), 2, "sallyport: error: which?\nsallyport: hint: that\n"},
		{"no hint", usage(errors.New("which?"), ""), 2, "sallyport: error: which?\n"},
		{"exec itself failed", &ownFailure{errors.New("no answer")}, 125, "sallyport: error: no answer\n"},
		{"the time is over", &ownFailure{&hint.Error{Err: &timedOut{errors.New("not within 1s")}, Hint: "it continues"}}, 124, "sallyport: error: not within 1s\nsallyport: hint: it continues\n"},
		{"exec found a program that it can't run", &ownFailure{fmt.Errorf("x: %w", host.ErrCannotRun)}, 126, "sallyport: error: x: the program can't be run\n"},
		{"exec found no program", &ownFailure{fmt.Errorf("x: %w", host.ErrNoProgram)}, 127, "sallyport: error: x: no such program\n"},
		{"interrupted", &ownFailure{&hint.Error{Err: &signalled{syscall.SIGTERM}, Hint: "it continues"}}, 143, "sallyport: error: interrupted\nsallyport: hint: it continues\n"},
		{"several", failures{errors.New("one"), problem, usage(errors.New("which?"), "")}, 2, "sallyport: error: one\nsallyport: error: no image; at all\nsallyport: hint: make images\nsallyport: error: which?\n"},
		{"status of a command", fmt.Errorf("exec: %w", exitStatus(7)), 7, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var said strings.Builder
			if got := (&ui{err: &said}).fail(c.err); got != c.status {
				t.Errorf("exit status %d, want %d", got, c.status)
			}
			if diff := cmp.Diff(c.said, said.String()); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestLongVar(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"apart and joined", "plan -var a=b -var=c=d x.hcl", "plan --var a=b --var=c=d x.hcl"},
		{"two dashes", "plan --var a=b", "plan --var a=b"},
		{"another program's arguments", "exec web.app prog -var", "exec web.app prog -var"},
		{"after the end of flags", "plan -- -var", "plan -- -var"},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := strings.Fields(c.in)
			if diff := cmp.Diff(strings.Fields(c.want), longVar(in)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if strings.Join(in, " ") != c.in {
				t.Error("the original arguments have changed")
			}
		})
	}
}
