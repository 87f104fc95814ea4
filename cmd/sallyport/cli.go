package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/alecthomas/kong"
)

const about = `Runs groups of containers, each group in a network namespace of its own. Of a group's containers, only
the ambassador reaches the world.

Group files are HCL. "sallyport daemon" keeps the groups as the installed files define them. Flags of
the instance and of the daemon can also come from the environment, such as SALLYPORT_RUN_DIR for --run-dir,
or from the configuration file.`

// cli is the command line. Each verb is a struct with a Run method, in a file of its own.
type cli struct {
	Instance    instance `embed:""`
	ShowVersion bool     `name:"version" short:"v" help:"Show the versions of the command and of the daemon."`

	Validate validateVerb `cmd:"" group:"offline" help:"Check group files, or the daemon's configuration. Needs neither root nor the daemon."`
	Fmt      fmtVerb      `cmd:"" name:"fmt" group:"offline" help:"Put group files into the usual style. Needs neither root nor the daemon."`
	Schema   schemaVerb   `cmd:"" name:"schema" group:"offline" help:"Print a JSON Schema of group files in JSON, for editors. Needs neither root nor the daemon."`
	Lock     lockVerb     `cmd:"" name:"lock" group:"offline" help:"Pin the images of group files by their digests, in a file beside them."`
	Plan     planVerb     `cmd:"" group:"offline" help:"Show what apply would do. Changes nothing."`
	Version  versionVerb  `cmd:"" group:"offline" help:"Show the versions of the command and of the daemon."`

	Apply    applyVerb    `cmd:"" group:"groups" help:"Install group files and wait until their groups run."`
	Rollback rollbackVerb `cmd:"" group:"groups" help:"Go back to an earlier generation of a group."`
	History  historyVerb  `cmd:"" group:"groups" help:"List the generations of a group and their outcomes."`
	Diff     diffVerb     `cmd:"" group:"groups" help:"Show what differs between two generations of a group."`
	Run      runVerb      `cmd:"" name:"run" group:"groups" help:"Run a job once, made from a group file, and exit with its status."`
	Wait     waitVerb     `cmd:"" group:"groups" help:"Wait until a job has completed, and exit with its status."`
	Rm       rmVerb       `cmd:"" group:"groups" help:"Remove groups and their files."`
	Ps       psVerb       `cmd:"" group:"groups" help:"List the groups."`
	Status   statusVerb   `cmd:"" group:"groups" help:"Show everything about a group."`
	Df       dfVerb       `cmd:"" group:"groups" help:"Show what takes the room on the disks."`
	Images   imagesVerb   `cmd:"" group:"groups" help:"List the images on the host, or remove those that no group uses."`
	Pull     pullVerb     `cmd:"" group:"groups" help:"Ask the registries what the images of a group mean by now, and use them."`
	Login    loginVerb    `cmd:"" group:"groups" help:"Store a login to a registry of images, once the registry has accepted it."`
	Logout   logoutVerb   `cmd:"" group:"groups" help:"Remove a login to a registry of images."`
	Logs     logsVerb     `cmd:"" group:"groups" help:"Show the output of containers."`
	Events   eventsVerb   `cmd:"" group:"groups" help:"Show the events of the groups."`
	Denials  denialsVerb  `cmd:"" group:"groups" help:"Show which packets of which containers were refused."`
	Exec     execVerb     `cmd:"" group:"groups" help:"Run a command in a running container."`
	Restart  restartVerb  `cmd:"" group:"groups" help:"Stop and start a group or one of its containers."`
	Cp       cpVerb       `cmd:"" group:"groups" help:"Copy files into or out of a running container."`
	Signal   signalVerb   `cmd:"" group:"groups" help:"Send a signal to a container's program."`
	Stop     stopVerb     `cmd:"" group:"groups" help:"Stop groups until they are started again."`
	Start    startVerb    `cmd:"" group:"groups" help:"Start stopped groups."`

	PortForward portForwardVerb `cmd:"" name:"port-forward" group:"groups" help:"Lead ports of this host's loopback to the ambassador, for debugging."`

	Daemon     daemonVerb     `cmd:"" group:"host" help:"Keep the groups as their files define them. Needs root."`
	Containerd containerdVerb `cmd:"" group:"host" help:"Run the private containerd, as a service of its own. Needs root."`
	Output     outputVerb     `cmd:"" group:"host" help:"Keep the output of containers within its limits. Needs root."`
	Follow     followVerb     `cmd:"" group:"host" help:"Follow a group as a unit of systemd."`
	Doctor     doctorVerb     `cmd:"" group:"host" help:"Check that this host has what Sallyport needs."`
}

// newParser returns the parser of the command line. The manual pages and the completions are made
// from its model.
func newParser(c *cli, options ...kong.Option) *kong.Kong {
	parser := kong.Must(c, append(options,
		kong.Name("sallyport"),
		kong.Description(about),
		kong.ExplicitGroups([]kong.Group{
			{Key: "groups", Title: "Groups:"},
			{Key: "offline", Title: "Files:"},
			{Key: "host", Title: "Host:"},
			{Key: "instance", Title: "Instance:"},
		}),
	)...)
	describeStatuses(parser.Model)
	return parser
}

// run is the whole program except the exit. It returns the exit status.
func run(args []string, ui *ui) int {
	defer ui.flush()
	ctx, stop := untilSignal()
	defer stop()

	var c cli
	command, err := c.parse(ctx, args, ui)
	verb := verbOf(command, err, args)
	if command != nil {
		ui.again = newRetyper(command.Model, &c.Instance, ui.environ)
	}
	switch {
	case err == nil && c.ShowVersion:
		err = c.Version.Run(ctx, ui, &c.Instance)
	case err == nil:
		err = c.Instance.suggestGroups(ctx, command, command.Run())
	case hintOf(err) == "":
		err = usage(err, helpFor(verb))
	}
	err = endedBySignal(ctx, err)
	if err != nil && returnsStatus(verb) {
		err = &ownFailure{err}
	}
	status := ui.fail(err)
	if err != nil && wantsJSON(newParser(&cli{}).Model, verb, args) {
		ui.failAsJSON(err, status)
	}
	return status
}

// parse reads the command line, the environment and the configuration file. It returns the command
// beside an error of its own arguments.
func (c *cli) parse(ctx context.Context, args []string, ui *ui) (*kong.Context, error) {
	helpTo, helpStatus := ui.stdout, 0
	if len(args) == 0 { // a script may have lost its arguments
		args, helpTo, helpStatus = []string{"--help"}, ui.stderr, statusUsage
	}
	parser := newParser(c,
		kong.Writers(helpTo, ui.stderr),
		kong.Help(helpOn(screenOf(helpTo, ui.environ))),
		kong.Exit(func(int) { os.Exit(helpStatus) }), // called after help only
		kong.Bind(ui, &c.Instance),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Resolvers(kong.ResolverFunc(c.Instance.resolve)),
	)
	args = longVar(asVerb(parser.Model, args))
	if err := checkVerb(parser.Model, args); err != nil {
		return nil, err
	}
	command, err := parser.Parse(args)
	if err != nil {
		return nil, explainVar(err)
	}
	if command.Selected().Name == "exec" {
		if err := checkUTF8(args); err != nil { // the parser replaces such bytes
			return command, err
		}
	}
	return command, checkGroups(command)
}

// checkUTF8 refuses texts for a program that are not UTF-8. The JSON that a daemon and a runtime
// get would have other bytes in their place. The error has none of the text, which may be secret.
func checkUTF8(texts []string) error {
	if slices.ContainsFunc(texts, func(text string) bool { return !utf8.ValidString(text) }) {
		return usage(errors.New("an argument or a variable is not UTF-8"), "pass bytes that are no text by standard input, with -i")
	}
	return nil
}

// checkGroups returns an error for GROUP.CONTAINER where a verb takes a whole group.
func checkGroups(command *kong.Context) error {
	for _, p := range command.Path {
		if p.Positional == nil || p.Positional.Name != "group" {
			continue
		}
		for _, name := range groupsNamed(command) {
			if group, _, dotted := strings.Cut(name, "."); dotted && group != "" {
				verb := command.Selected().Name
				return usage(fmt.Errorf("%q is a container, and %s takes a whole group", name, verb), "sallyport "+verb+" "+group)
			}
		}
	}
	return nil
}

// asVerb accepts "--version", "-v" and "help", which other tools have.
func asVerb(model *kong.Application, args []string) []string {
	before, rest := beforeVerb(model, args)
	switch {
	case len(rest) == 1 && (rest[0] == "--version" || rest[0] == "-v"):
		return append(before, "version")
	case len(rest) > 0 && rest[0] == "help" && slices.Equal(rest[1:], []string{"help"}):
		return append(before, "--help")
	case len(rest) > 0 && rest[0] == "help":
		return append(append(before, rest[1:]...), "--help")
	}
	return args
}

// beforeVerb splits a command line behind the instance's flags that stand before the verb.
func beforeVerb(model *kong.Application, args []string) (before, rest []string) {
	n := 0
	for n < len(args) {
		name, isFlag := strings.CutPrefix(args[n], "--")
		name, _, joined := strings.Cut(name, "=")
		known := func(f *kong.Flag) bool { return f.Name == name && !f.IsBool() }
		if !isFlag || !slices.ContainsFunc(model.Flags, known) {
			break
		}
		if n++; !joined {
			n++ // the flag's value
		}
	}
	n = min(n, len(args))
	return slices.Clone(args[:n]), args[n:]
}

// wordsElsewhere are verbs of other tools, with the command that does the same here.
var wordsElsewhere = map[string]string{
	"up": "apply FILE", "create": "apply FILE", "deploy": "apply FILE", "update": "apply FILE",
	"down": "rm GROUP", "delete": "rm GROUP", "destroy": "rm GROUP", "remove": "rm GROUP", "kill": `signal GROUP.CONTAINER KILL" or "sallyport stop GROUP`,
	"list": "ps", "ls": "ps", "get": "ps", "show": "status GROUP", "inspect": "status GROUP", "describe": "status GROUP",
	"shell": "exec -it GROUP -- sh", "attach": "exec -it GROUP -- sh", "check": "validate FILE", "lint": "validate FILE", "format": "fmt FILE",
	"diff": "plan FILE", "undo": "rollback GROUP", "info": "doctor", "stat": "status GROUP", "stats": "ps", "top": "ps",
}

// checkVerb returns an error for a verb that there is not. A flag that is unknown is left to kong.
func checkVerb(model *kong.Application, args []string) error {
	_, rest := beforeVerb(model, args)
	if len(rest) == 0 || strings.HasPrefix(rest[0], "-") {
		return nil
	}
	word := rest[0]
	var verbs []string
	for _, verb := range model.Children {
		if verb.Name == word {
			return nil
		}
		verbs = append(verbs, verb.Name)
	}
	meant := suggestVerb(word, verbs)
	if same := wordsElsewhere[word]; same != "" {
		meant = "here it is \"sallyport " + same + "\";"
	}
	return usage(fmt.Errorf("there is no command %q", word), strings.TrimSpace(meant+" \"sallyport --help\" lists all commands"))
}

// helpFor returns the hint to the help of the verb that the mistake is in.
func helpFor(verb string) string {
	if verb != "" {
		return "run \"sallyport " + verb + " --help\""
	}
	return "run \"sallyport --help\""
}

// longVar accepts -var and -var-file with one dash, as other tools for HCL do. It stops at "--" and
// at exec, because the words that follow may belong to another program.
func longVar(args []string) []string {
	out := append([]string(nil), args...)
	for i, arg := range out {
		if arg == "--" || arg == "exec" {
			break
		}
		if name, _, _ := strings.Cut(arg, "="); name == "-var" || name == "-var-file" {
			out[i] = "-" + arg
		}
	}
	return out
}
