package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/sallyport/sallyport/shim/api"
	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/spec"
)

// severalFlags are those of a verb that changes several groups.
type severalFlags struct {
	Ignore bool `help:"Skip groups that do not exist. Without it they make the command fail, after the others."`
	JSON   bool `name:"json" help:"Print JSON."`
}

// each calls do for one argument after the other. Each argument counts once. One that is unknown or
// fails keeps none of the others from it. The error then has all of their errors. Nothing follows
// an interrupt, or a daemon that is gone.
func each[T comparable](ctx context.Context, ui *ui, in *instance, f severalFlags, args []T, do func(client *api.Client, r *report, arg T) error) error {
	client, err := in.client(ctx)
	if err != nil {
		return err
	}
	r := &report{ui: ui, json: f.JSON}
	var failed failures
	for i, arg := range args {
		if slices.Contains(args[:i], arg) {
			continue
		}
		began, name := ui.now(), fmt.Sprint(arg)
		err := do(client, r, arg)
		if err == nil || f.Ignore && errors.Is(err, group.ErrNoGroup) {
			continue
		}
		err = suggestGroup(ctx, client, name, err)
		failed = append(failed, err)
		r.fail(name, began, err)
		if ctx.Err() != nil || errors.Is(err, api.ErrNoDaemon) {
			break
		}
	}
	if err := r.end(); err != nil {
		return err
	}
	if len(failed) == 0 {
		return nil
	}
	return failed
}

// failures are the errors of a verb that goes on past one. Each is printed with its own hint.
type failures []error

func (f failures) Error() string { return errors.Join(f...).Error() }

func (f failures) Unwrap() []error { return f }

// suggestGroup adds the group that was most likely meant to the error of an unknown one, which may
// be written as GROUP.CONTAINER. An error that has a hint stays as it is.
func suggestGroup(ctx context.Context, client *api.Client, name string, err error) error {
	if !errors.Is(err, group.ErrNoGroup) || hint.Of(err) != "" {
		return err
	}
	groups, failed := client.Status(ctx, "")
	if failed != nil {
		return err
	}
	name, _, _ = strings.Cut(name, ".")
	return meantGroup(err, name, groups)
}

// meantGroup does so where all groups are known.
func meantGroup(err error, name string, all []group.Status) error {
	var known []string
	for _, g := range all {
		known = append(known, g.Name)
	}
	switch meant := spec.DidYouMean(name, known); {
	case slices.Contains(known, name):
	case name == "help":
		return &hint.Error{Err: err, Hint: helpHint}
	case meant != "":
		return &hint.Error{Err: err, Hint: strings.ToLower(strings.TrimSpace(meant)) + " " + hintOf(err)}
	}
	return err
}

// suggestGroups does so for the groups that the command line names.
func (in *instance) suggestGroups(ctx context.Context, command *kong.Context, err error) error {
	if !errors.Is(err, group.ErrNoGroup) || hint.Of(err) != "" {
		return err
	}
	client, failed := in.client(ctx)
	if failed != nil {
		return err
	}
	for _, name := range groupsNamed(command) {
		err = suggestGroup(ctx, client, name, err)
	}
	return err
}

// groupsNamed returns the groups of a command line, as they are written.
func groupsNamed(command *kong.Context) (names []string) {
	for _, p := range command.Path {
		if p.Positional == nil || !strings.HasPrefix(p.Positional.Name, "group") {
			continue
		}
		switch v := p.Positional.Target.Interface().(type) {
		case string:
			names = append(names, v)
		case []string:
			names = append(names, v...)
		case target:
			names = append(names, v.String())
		case []target:
			for _, t := range v {
				names = append(names, t.String())
			}
		}
	}
	return names
}
