package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

type execVerb struct {
	Interactive bool          `short:"i" help:"Pass standard input to the command."`
	TTY         bool          `short:"t" name:"tty" help:"Give the command a terminal. Use -it for a shell."`
	User        string        `short:"u" placeholder:"USER[:GROUP]" help:"Run it as this user of the container, by name or number. Another user than the container's has no capabilities."`
	Env         []string      `short:"e" sep:"none" placeholder:"NAME[=VALUE]" help:"Set a variable of its environment. Without a value it is taken from yours. Repeatable."`
	WorkDir     string        `short:"w" name:"workdir" placeholder:"DIR" help:"Run it in this folder of the container."`
	Timeout     time.Duration `placeholder:"DURATION" help:"Longest time that it may take, such as 90s or 5m (default unlimited). Then it is ended, and exec exits with 124."`
	Target      target        `arg:"" name:"group[.container]" help:"The container, or a group with a single app."`
	Command     []string      `arg:"" passthrough:"partial" help:"The command and its arguments, after --."`
}

// Run exits with the status of the command.
func (v *execVerb) Run(ctx context.Context, ui *ui, in *instance) error {
	status, err := v.exec(ctx, ui, in)
	if err != nil {
		return err
	}
	if status != 0 {
		return exitStatus(status)
	}
	return nil
}

func (v *execVerb) exec(ctx context.Context, ui *ui, in *instance) (status uint32, err error) {
	args := v.Command
	if args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		return 0, usage(errors.New("no command to run"), "sallyport exec "+v.Target.String()+" -- COMMAND")
	}
	env, err := v.env(ui.environ)
	if err != nil {
		return 0, err
	}
	if err := checkUTF8(env); err != nil {
		return 0, err
	}
	client, err := in.client(ctx)
	if err != nil {
		return 0, err
	}
	groups, err := client.Status(ctx, v.Target.group)
	if err != nil {
		return 0, err
	}
	container, err := pick(v.Target, groups)
	if err != nil {
		return 0, err
	}
	req := host.ExecRequest{
		Group: v.Target.group, Container: container, Args: args, TTY: v.TTY,
		User: v.User, Env: env, WorkDir: v.WorkDir, Timeout: v.Timeout,
		Stdout: content(ui.stdout, ui.out), Stderr: content(ui.stderr, ui.err),
	}
	if v.Interactive {
		req.Stdin = io.Reader(ui.in)
	}
	if v.TTY {
		t, err := openTerminal(ui.in, ui.stdout)
		if err != nil {
			return 0, err
		}
		defer t.restore()
		req.Resize = t.sizes(ctx)
		req.Stdout, req.Stderr = ui.stdout, ui.stderr // the command's terminal is the operator's
	}
	status, err = client.Exec(ctx, req)
	if errors.Is(err, host.ErrTimedOut) {
		return 0, &timedOut{err}
	}
	if err != nil {
		return 0, interrupted(ctx, err, "")
	}
	return status, nil
}

// env checks the flags, and returns the variables with their values.
func (v *execVerb) env(environ []string) ([]string, error) {
	if err := checkTimeout(v.Timeout); err != nil {
		return nil, err
	}
	switch {
	case v.WorkDir != "" && !strings.HasPrefix(v.WorkDir, "/"):
		return nil, usage(fmt.Errorf("--workdir %q is not a whole path", v.WorkDir), "begin it with /, the root of the container")
	case strings.Count(v.User, ":") > 1 || strings.HasPrefix(v.User, ":") || strings.HasSuffix(v.User, ":"):
		return nil, usage(fmt.Errorf("--user %q is not USER or USER:GROUP", v.User), "such as -u web, -u 1000:1000")
	}
	return environment(v.Env, environ)
}

// environment returns the variables of --env with their values. One without a value has that of the
// caller's environment.
func environment(entries, environ []string) ([]string, error) {
	var all []string
	for _, entry := range entries {
		name, _, valued := strings.Cut(entry, "=")
		if name == "" {
			return nil, usage(fmt.Errorf("--env %q has no name", entry), "write NAME=VALUE, or NAME for the value that it has here")
		}
		if !valued {
			i := slices.IndexFunc(environ, func(have string) bool { return strings.HasPrefix(have, name+"=") })
			if i < 0 {
				return nil, usage(fmt.Errorf("the variable %s of --env is not set here", name), "give it a value: -e "+name+"=VALUE")
			}
			entry = environ[i]
		}
		all = append(all, entry)
	}
	return all, nil
}

// pick returns the container that is named, or the group's only app. In a group that is down there
// is none. A daemon that has not looked at a group yet may list no containers.
func pick(t target, groups []group.Status) (string, error) {
	var apps, all []string
	for _, g := range groups {
		if isDown(g) {
			return "", &hint.Error{Err: fmt.Errorf("group %s is %s", g.Name, g.State), Hint: "sallyport start " + g.Name}
		}
		for _, c := range g.Containers {
			if all = append(all, c.Name); c.Role == spec.App {
				apps = append(apps, c.Name)
			}
		}
	}
	switch {
	case t.container != "" && (len(all) == 0 || slices.Contains(all, t.container)):
		return t.container, nil
	case t.container != "":
		return "", &hint.Error{
			Err:  fmt.Errorf("group %q has no container %q", t.group, t.container),
			Hint: "\"sallyport status " + t.group + "\" lists its containers",
		}
	}
	if len(apps) != 1 {
		return "", usage(fmt.Errorf("group %q has %s", t.group, plural(len(apps), "app")),
			"name the container, for example "+t.group+"."+strings.Join(append(apps, "NAME")[:1], ""))
	}
	return apps[0], nil
}
