package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
)

// Exit statuses other than 0, which means done.
const (
	statusFailed = 1
	statusUsage  = 2  // the command line or a file is wrong
	statusAgain  = 75 // EX_TEMPFAIL of sysexits.h
	// The next are for a verb that otherwise exits with another program's status. A shell, env(1),
	// timeout(1) and docker run have the same.
	statusTimeout   = 124 // the time that the verb was given is over
	statusOwn       = 125 // the verb itself has failed
	statusCannotRun = 126 // the program can't be run
	statusNoProgram = 127 // there is no such program
	statusSignal    = 128 // and the number of the signal that ended the command; a shell has the same
)

// A statusRow is a row of the table of exit statuses.
type statusRow struct {
	status int
	verbs  []string // nil: every verb, but those of statusOwn for 1 and 2
	text   string
}

// statuses are all exit statuses. The help, the manual pages and docs/commands.md are made from
// them. A verb with a row for statusOwn otherwise exits with the status of a program.
var statuses = []statusRow{
	{0, nil, "done"},
	{statusFailed, nil, "failed"},
	{statusUsage, nil, "mistake in the command line or in a file"},
	{statusAgain, []string{"follow"}, "the group does not run for now; its unit starts the command again"},
	{statusTimeout, []string{"exec", "run", "wait"}, "the --timeout is over"},
	{statusTimeout, []string{"run", "wait"}, "the job was ended by the timeout in its file"},
	{statusOwn, []string{"exec", "run", "wait"}, "the command itself failed, also by a mistake in the command line"},
	{statusCannotRun, []string{"exec", "run"}, "the program is there and can't be run"},
	{statusNoProgram, []string{"exec", "run"}, "the container has no such program"},
	{statusSignal + int(syscall.SIGINT), nil, "interrupted by SIGINT, such as Ctrl-C, before it was done"},
	{statusSignal + int(syscall.SIGTERM), nil, "ended by SIGTERM before it was done"},
}

// returnsStatus reports whether a verb exits with the status of a program.
func returnsStatus(verb string) bool {
	return slices.ContainsFunc(statuses, func(r statusRow) bool { return r.status == statusOwn && slices.Contains(r.verbs, verb) })
}

// programVerbs are the verbs that exit with the status of a program.
func programVerbs() []string {
	i := slices.IndexFunc(statuses, func(r statusRow) bool { return r.status == statusOwn })
	return statuses[i].verbs
}

// of reports whether a verb exits with the row's status, and for a reason of its own.
func (r statusRow) of(verb string) bool {
	if r.verbs != nil {
		return slices.Contains(r.verbs, verb)
	}
	return !returnsStatus(verb) || r.status != statusFailed && r.status != statusUsage
}

// statusHelp describes the exit statuses of a verb, or of all if verb is "".
func statusHelp(verb string) string {
	var b strings.Builder
	b.WriteString("Exit status:\n\n")
	for _, r := range statuses {
		switch {
		case verb != "" && !r.of(verb):
		case verb == "" && r.verbs != nil:
			fmt.Fprintf(&b, "    %3d  %s: %s\n", r.status, strings.Join(r.verbs, ", "), r.text)
		default:
			fmt.Fprintf(&b, "    %3d  %s\n", r.status, r.text)
		}
	}
	switch {
	case verb == "":
		fmt.Fprintf(&b, "    any  %s: the status of the program\n", strings.Join(programVerbs(), ", "))
	case returnsStatus(verb):
		b.WriteString("    any  the status of the program\n")
	}
	return b.String()
}

// describeStatuses adds the exit statuses to the help of the program, and of each verb that has
// some of its own.
func describeStatuses(model *kong.Application) {
	model.Detail = statusHelp("")
	for _, verb := range model.Children {
		if slices.ContainsFunc(statuses, func(r statusRow) bool { return slices.Contains(r.verbs, verb.Name) }) {
			verb.Detail = statusHelp(verb.Name)
		}
	}
}

// verbOf returns the verb of a command line, or "" if there is none. A nil command was read in part
// only, as err has it, or not at all.
func verbOf(command *kong.Context, err error, args []string) string {
	if parse, ok := errors.AsType[*kong.ParseError](err); ok {
		command = parse.Context
	}
	if command == nil {
		return ""
	}
	if verb := command.Selected(); verb != nil {
		return verb.Name
	}
	for _, arg := range args { // the mistake stands before the verb
		if slices.ContainsFunc(command.Model.Children, func(verb *kong.Node) bool { return verb.Name == arg }) {
			return arg
		}
	}
	return ""
}

// A signalled is the cause of a context that ends with a signal. As the error of a verb it means
// that the signal came before the verb was done.
type signalled struct{ signal syscall.Signal }

func (s *signalled) Error() string { return "interrupted" }

func (s *signalled) Is(target error) bool { return target == context.Canceled }

func (s *signalled) status() int { return statusSignal + int(s.signal) }

// endedBySignal replaces an error that comes from the end of ctx by a signal. An error that has the
// signal already stays, since it may have the errors of other groups beside it.
func endedBySignal(ctx context.Context, err error) error {
	if _, known := errors.AsType[*signalled](err); known || context.Cause(ctx) == nil || !errors.Is(err, context.Canceled) {
		return err
	}
	return interrupted(ctx, err, hintOf(err))
}

// untilSignal returns a context that SIGINT or SIGTERM ends. The cause is a [signalled]. A second
// signal ends the process, if the first does not.
func untilSignal() (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		select {
		case s := <-signals:
			cancel(&signalled{s.(syscall.Signal)})
		case <-ctx.Done():
		}
		signal.Stop(signals)
	}()
	return ctx, func() { cancel(nil) }
}
