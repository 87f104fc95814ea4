package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

type execVerb struct {
	Interactive bool     `short:"i" help:"Pass standard input to the command."`
	TTY         bool     `short:"t" name:"tty" help:"Give the command a terminal. Use -it for a shell."`
	Target      target   `arg:"" name:"group[.container]" help:"The container, or a group with a single app."`
	Command     []string `arg:"" passthrough:"partial" help:"The command and its arguments, after --."`
}

// Run exits with the status of the command. A failure of exec itself has a status of its own, so
// that scripts can distinguish them.
func (v *execVerb) Run(ctx context.Context, ui *ui, in *instance) error {
	status, err := v.exec(ctx, ui, in)
	if err != nil {
		return &ownFailure{err}
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
	if err != nil {
		return 0, interrupted(ctx, err, "")
	}
	return status, nil
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
