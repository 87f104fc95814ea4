package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/sallyport/sallyport/shim/api"
	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hostfile"
	"github.com/sallyport/sallyport/spec"
)

type runVerb struct {
	Group       string            `placeholder:"NAME" help:"The group of the file to run (default its only one)."`
	Var         map[string]string `placeholder:"NAME=VALUE" mapsep:"none" help:"Set a variable, as apply does. Can be repeated."`
	VarFiles    []string          `name:"var-file" placeholder:"FILE" sep:"none" help:"Set the variables that a file has, as apply does. Can be repeated."`
	Locked      bool              `help:"Use only images whose digests are in the lock file beside the group file, as apply does."`
	Env         []string          `short:"e" sep:"none" placeholder:"NAME=VALUE" help:"Set a variable of the app's environment. NAME alone takes the value that it has here. Can be repeated."`
	File        map[string]string `placeholder:"PATH=LOCAL" mapsep:"none" help:"Put a file of this host at a path of the app. Can be repeated."`
	Timeout     runTimeout        `placeholder:"DURATION" help:"End the job after so long, such as 30s or 10m, and exit with 124 (default that of the file)."`
	Interactive bool              `short:"i" help:"Pass standard input to the app."`
	TTY         bool              `short:"t" name:"tty" hidden:"" help:"Refused: a job has no terminal."`
	Detach      bool              `short:"d" help:"Print the job's ID and leave it to the daemon."`
	Remove      bool              `name:"rm" hidden:"" help:"What a run does anyway: everything of it is removed at its end."`
	Keep        bool              `help:"Leave what the job has made in place when it has ended, until \"sallyport rm ID\"."`
	JSON        bool              `name:"json" help:"Print the result as JSON. What the app prints goes to standard error."`
	Path        string            `arg:"" name:"file" help:"The group file, or - for one from standard input. ls lists the jobs that wait, run and have ended."`
	Args        []string          `arg:"" optional:"" passthrough:"partial" help:"Arguments of the app, after --, in the place of those of the file."`
}

// A runTimeout is how long a job may take. 0 is as long as its file says.
type runTimeout time.Duration

// Decode reads a length of time that is not 0.
func (t *runTimeout) Decode(c *kong.DecodeContext) error {
	var text string
	if err := c.Scan.PopValueInto("duration", &text); err != nil {
		return err
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return fmt.Errorf("%q is no length of time such as 30s or 10m", text)
	}
	*t = runTimeout(d)
	return nil
}

// Run exits with the status of the app. A failure of the run itself and the end of its time have
// statuses of their own, so that scripts can distinguish them.
func (v *runVerb) Run(ctx context.Context, ui *ui, in *instance) error {
	if v.Path == "ls" {
		return v.list(ctx, ui, in)
	}
	run, err := v.run(ctx, ui, in)
	if _, printed := errors.AsType[exitStatus](err); printed { // mistakes in the file
		return exitStatus(statusOwn)
	}
	if err != nil {
		return err
	}
	return endOfRun(ui, run, v.Detach)
}

// endOfRun prints why a run did not end by itself, and returns its exit status.
func endOfRun(ui *ui, run group.Run, detached bool) error {
	if run.Error != "" {
		ui.notef("error: %s: %s", run.ID, run.Error)
	}
	if run.Hint != "" {
		ui.notef("hint: %s", run.Hint)
	}
	if detached && !run.State.Over() {
		return nil
	}
	if status := run.ExitCode(); status != 0 {
		return exitStatus(status)
	}
	return nil
}

func (v *runVerb) run(ctx context.Context, ui *ui, in *instance) (group.Run, error) {
	req, err := v.request(ctx, ui)
	if err != nil {
		return group.Run{}, err
	}
	client, err := in.client(ctx)
	if err != nil {
		return group.Run{}, err
	}
	if v.Detach {
		run, err := client.Run(ctx, req, api.RunStreams{})
		switch {
		case err != nil:
			return run, interrupted(ctx, err, `it may have begun: see "sallyport run ls"`)
		case v.JSON:
			return run, ui.json(run)
		}
		fmt.Fprintln(ui.out, run.ID)
		return run, nil
	}
	run, err := v.attach(ctx, ui, client, req)
	if err != nil || !v.JSON {
		return run, err
	}
	return v.result(ctx, ui, client, run)
}

// request reads the file and what goes with it. It prints the mistakes in the file.
func (v *runVerb) request(ctx context.Context, ui *ui) (req group.RunRequest, err error) {
	if v.TTY {
		return req, usage(errors.New("a job has no terminal"), "leave out -t. For a shell beside the app: sallyport exec -it ID -- sh")
	}
	if v.Remove && v.Keep {
		return req, usage(errors.New("--rm removes what the job has made, and --keep leaves it"), "leave out one of them")
	}
	if v.Interactive && (v.Detach || v.Path == stdinArg) {
		return req, usage(errors.New("-i needs standard input, and nothing else can have it"), "leave out -d, and name a group file in the place of -")
	}
	if _, err := hostfile.Stat(ctx, v.Path); v.Path != stdinArg && errors.Is(err, fs.ErrNotExist) {
		return req, usage(fmt.Errorf("%s: no such file or folder", v.Path),
			"run takes a group file, which names the image. \"sallyport run ls\" lists the jobs, and \"sallyport rm ID\" removes one")
	}
	files := groupArgs{Paths: []string{v.Path}, Var: v.Var, VarFiles: v.VarFiles, Locked: v.Locked}
	r, err := files.read(ctx, ui, mostMistakes)
	switch {
	case err != nil:
		return req, err
	case len(r.bundles) > 1:
		return req, usage(fmt.Errorf("%s has several group files, and a job is made from one", v.Path), "name one of them")
	}
	req = group.RunRequest{Bundle: r.bundles[0], Group: v.Group, Args: v.args(), Timeout: time.Duration(v.Timeout), Detach: v.Detach, Keep: v.Keep}
	if req.Env, err = v.env(ui.environ); err != nil {
		return req, err
	}
	if req.Files, err = v.files(ctx); err != nil {
		return req, err
	}
	name := v.Group
	if name == "" {
		name = r.groups[0].Name
	}
	req.ID = group.NewRunID(name)
	return req, v.check(ui, req, r)
}

// check makes the run's group, as the daemon does, and prints the mistakes in that.
func (v *runVerb) check(ui *ui, req group.RunRequest, r reading) error {
	name := v.Path
	if name == stdinArg {
		name = stdinName
	}
	_, diags := spec.AsRun(spec.Source{Name: name, Bytes: req.Bundle.HCL}, r.groups, spec.RunChange{Name: req.ID, Group: req.Group, Args: req.Args, Env: req.Env, Files: req.Files})
	if err := ui.diagnostics(map[string][]byte{name: req.Bundle.HCL}, diags); err != nil {
		return err
	}
	if diags.HasErrors() {
		return exitStatus(statusOwn)
	}
	return nil
}

func (v *runVerb) args() []string {
	if len(v.Args) > 0 && v.Args[0] == "--" {
		return v.Args[1:]
	}
	return v.Args
}

// env returns the variables of --env.
func (v *runVerb) env(environ []string) (map[string]string, error) {
	entries, err := environment(v.Env, environ)
	var env map[string]string
	for _, entry := range entries {
		name, value, _ := strings.Cut(entry, "=")
		env = set(env, name, value)
	}
	return env, err
}

// files reads the files of --file.
func (v *runVerb) files(ctx context.Context) (map[string][]byte, error) {
	var files map[string][]byte
	for _, at := range slices.Sorted(maps.Keys(v.File)) {
		local := v.File[at]
		if !path.IsAbs(at) {
			return nil, usage(fmt.Errorf("--file %s=%s: the path in the app is not absolute", at, local), "--file /PATH=LOCAL")
		}
		content, err := hostfile.Read(ctx, filepath.Dir(local), local, spec.MaxPlacedFile)
		if err != nil {
			return nil, usage(fmt.Errorf("--file %s: %w", at, err), "")
		}
		files = set(files, at, content)
	}
	return files, nil
}

// attach stays with the run until it is over. From when the app runs, signals are the app's.
func (v *runVerb) attach(ctx context.Context, ui *ui, client *api.Client, req group.RunRequest) (group.Run, error) {
	stdout, stderr := content(ui.stdout, ui.out), content(ui.stderr, ui.err)
	if v.JSON {
		stdout = stderr
	}
	told := newRunProgress(ui)
	defer told.end()
	signals := forwardSignals(ctx, told.running, func() {
		ui.notef("%s got the signal; one more ends it", req.ID)
	})
	defer signals.stop()
	streams := api.RunStreams{Stdout: stdout, Stderr: stderr, Signals: signals.forApp, Told: told.notice}
	if v.Interactive {
		streams.Stdin = io.Reader(ui.in)
	}
	run, err := client.Run(signals.ctx, req, streams)
	switch {
	case err != nil && run.Started.IsZero() && !told.running():
		return run, interrupted(signals.ctx, err, "its app has not run; the daemon removes what there is of "+req.ID)
	case err != nil:
		return run, interrupted(signals.ctx, err, "the daemon ends "+req.ID+` and removes it; "sallyport run ls" shows what became of it`)
	}
	return run, nil
}

// A runResult is printed by --json when a run is over.
type runResult struct {
	group.Run
	Status  int        `json:"status"`  // the exit status of the verb
	Seconds float64    `json:"seconds"` // from the start of its app to its end. 0: it has not run
	Denials []*refusal `json:"denials"`
}

func (v *runVerb) result(ctx context.Context, ui *ui, client *api.Client, run group.Run) (group.Run, error) {
	sums := refusals{}
	q := group.EventQuery{Group: run.ID, Kinds: []group.EventKind{group.EventDenied}}
	err := client.Events(context.WithoutCancel(ctx), q, func(e group.Event) error { sums.add(e); return nil })
	if err != nil && !errors.Is(err, group.ErrNoGroup) {
		return run, err
	}
	result := runResult{Run: run, Status: run.ExitCode(), Denials: sums.sorted()}
	if !run.Started.IsZero() && run.Ended.After(run.Started) {
		result.Seconds = run.Ended.Sub(run.Started).Seconds()
	}
	return run, ui.json(result)
}

// list prints the runs that the daemon knows.
func (v *runVerb) list(ctx context.Context, ui *ui, in *instance) error {
	if len(v.Args) > 0 {
		return usage(fmt.Errorf("%q: ls takes no arguments", v.Args[0]), "sallyport run ls")
	}
	client, err := in.client(ctx)
	if err != nil {
		return err
	}
	all, err := client.Runs(ctx)
	if err != nil {
		return err
	}
	if v.JSON {
		return ui.json(append([]group.Run{}, all...))
	}
	return writeRuns(ui.out, all, ui.now())
}

func writeRuns(w io.Writer, all []group.Run, now time.Time) error {
	t := table{
		header: []string{"RUN", "STATE", "EXIT", "AGO", "TOOK", "DENIED", "FILE", "BY"},
		least:  []string{"BY", "FILE", "DENIED", "AGO", "TOOK"},
	}
	for _, r := range all {
		exit, took, denied := "", "", ""
		switch {
		case r.State.Over():
			exit = fmt.Sprint(r.ExitCode())
		case r.State == group.RunQueued:
			exit = fmt.Sprintf("place %d", r.Place)
		}
		switch {
		case r.Started.IsZero():
		case r.Ended.IsZero():
			took = age(now, r.Started)
		default:
			took = r.Ended.Sub(r.Started).Round(time.Millisecond).String()
		}
		if r.Denied > 0 {
			denied = fmt.Sprint(r.Denied)
		}
		row := t.add(r.ID, string(r.State), exit, age(now, r.Queued), took, denied, r.File, r.By)
		if r.Error != "" {
			row.notes = append(row.notes, r.Error)
		}
		if r.Kept {
			row.notes = append(row.notes, "it is kept: \"sallyport rm "+r.ID+"\" removes it")
		}
	}
	return t.writeTo(w)
}
