package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
)

const about = `Groups of containers, each behind one guarded door: the ambassador reaches the world, nothing else does.

Group files are HCL, and "sallyport daemon" keeps the groups as the installed ones say. Flags of the
instance and of the daemon may come from the environment: --run-dir is also SALLYPORT_RUN_DIR.
Exit status: 0 done, 1 failed, 2 the command line or a file is wrong. wait ends with the job's own, and
with 125 where it fails itself.`

// cli is the command line: a verb is a struct with a Run method, in a file of its own.
type cli struct {
	Instance instance `embed:""`

	Validate validateVerb `cmd:"" group:"offline" help:"Check group files; needs neither root nor daemon."`
	Plan     planVerb     `cmd:"" group:"offline" help:"Show what apply would do, changing nothing."`
	Version  versionVerb  `cmd:"" group:"offline" help:"Show the version."`

	Apply    applyVerb    `cmd:"" group:"groups" help:"Install group files and wait until their groups run."`
	Rollback rollbackVerb `cmd:"" group:"groups" help:"Go back to an earlier generation of a group."`
	History  historyVerb  `cmd:"" group:"groups" help:"List the generations of a group, and what became of them."`
	Wait     waitVerb     `cmd:"" group:"groups" help:"Wait for a job to complete, and exit with its status."`
	Rm       rmVerb       `cmd:"" group:"groups" help:"Remove groups, their files included."`
	Ps       psVerb       `cmd:"" group:"groups" help:"List the groups."`
	Status   statusVerb   `cmd:"" group:"groups" help:"Show everything about a group."`
	Logs     logsVerb     `cmd:"" group:"groups" help:"Show what a container wrote."`
	Events   eventsVerb   `cmd:"" group:"groups" help:"Show what happened to the groups."`
	Denials  denialsVerb  `cmd:"" group:"groups" help:"Show who was refused what."`
	Exec     execVerb     `cmd:"" group:"groups" help:"Run a command in a running container."`
	Restart  restartVerb  `cmd:"" group:"groups" help:"Stop and start a group or one of its containers."`
	Stop     stopVerb     `cmd:"" group:"groups" help:"Take groups down and keep them down."`
	Start    startVerb    `cmd:"" group:"groups" help:"Bring stopped groups up again."`

	Daemon daemonVerb `cmd:"" group:"host" help:"Keep the groups as their files say; needs root."`
	Doctor doctorVerb `cmd:"" group:"host" help:"Check what this host needs, each line ok or what to do."`
}

// run is the whole program but for the exit: it returns the exit status.
func run(args []string) int {
	ui := newUI(os.Stdin, os.Stdout, os.Stderr, os.Environ())
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends what doesn't heed the first

	var c cli
	parser := kong.Must(&c,
		kong.Name("sallyport"),
		kong.Description(about),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, FlagsLast: true, NoAppDescFormat: true, WrapUpperBound: 110}),
		kong.ExplicitGroups([]kong.Group{
			{Key: "groups", Title: "Groups:"},
			{Key: "offline", Title: "Files:"},
			{Key: "host", Title: "Host:"},
			{Key: "instance", Title: "Instance:"},
		}),
		kong.ValueFormatter(func(v *kong.Value) string { return v.Help }), // the description says where else values come from
		kong.Writers(ui.out, ui.err),
		kong.Bind(ui, &c.Instance),
		kong.BindTo(ctx, (*context.Context)(nil)),
	)
	command, err := parser.Parse(longVar(args))
	if err != nil {
		err, verb := usage(err, helpFor(err)), verbOf(err)
		if verb == "wait" {
			err = &ownFailure{err}
		}
		return ui.fail(err)
	}
	return ui.fail(command.Run())
}

// helpFor names the help text nearest to where a command line went wrong.
func helpFor(err error) string {
	if verb := verbOf(err); verb != "" {
		return "run \"sallyport " + verb + " --help\""
	}
	return "run \"sallyport --help\""
}

// verbOf is the verb at which a command line went wrong; "" where it has none.
func verbOf(err error) string {
	if parse, ok := errors.AsType[*kong.ParseError](err); ok && parse.Context != nil {
		if node := parse.Context.Selected(); node != nil {
			return node.Name
		}
	}
	return ""
}

// longVar lets -var be written with one dash, as other tools for HCL have it. It stops at "--" and at exec, where the
// words that follow may be another program's.
func longVar(args []string) []string {
	out := append([]string(nil), args...)
	for i, arg := range out {
		if arg == "--" || arg == "exec" {
			break
		}
		if arg == "-var" || strings.HasPrefix(arg, "-var=") {
			out[i] = "-" + arg
		}
	}
	return out
}
