package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/shim/api"
	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
)

type rmVerb struct {
	Targets []string `arg:"" name:"group|file.hcl" help:"Groups, or group files with all their groups. Their output is kept for a while, for \"logs --removed\"."`
	Volumes bool     `help:"Also delete the data in their persistent volumes. A single group may already be removed."`
}

// A removal removes one group or file, and with it these groups.
type removal struct {
	groups []string
	remove func(ctx context.Context, progress func(line string)) error
}

// Run does the removals one after the other. It first looks up all groups, so that a mistake in the
// last name removes nothing.
func (v *rmVerb) Run(ctx context.Context, ui *ui, in *instance) error {
	client, err := in.client(ctx)
	if err != nil {
		return err
	}
	removals, err := v.removals(ctx, client)
	if err != nil {
		return err
	}
	for _, r := range removals {
		progress := ui.wait(forTurn)
		err := r.remove(ctx, progress.line)
		if progress.end(); err != nil {
			return interrupted(ctx, err, "the removal continues; see \"sallyport ps\"")
		}
		for _, name := range r.groups {
			fmt.Fprintf(ui.out, "%s is %s\n", name, group.Gone)
		}
	}
	return nil
}

// removals looks up the arguments. With --volumes, a single group may be missing: it was removed
// earlier, and its volumes are left.
func (v *rmVerb) removals(ctx context.Context, client *api.Client) (removals []removal, err error) {
	var names []string
	for _, name := range v.Targets {
		if file := filepath.Base(name); strings.HasSuffix(name, ".hcl") { // a group's name has no dot
			groups, err := groupsOf(ctx, client, file)
			if err != nil {
				return nil, err
			}
			removals = append(removals, removal{groups, func(ctx context.Context, progress func(string)) error {
				return client.RemoveFile(ctx, file, v.Volumes, progress)
			}})
			continue
		}
		names = append(names, name)
		remove := client.Remove
		if v.Volumes {
			remove = client.Purge
		}
		removals = append(removals, removal{[]string{name}, func(ctx context.Context, progress func(string)) error {
			return remove(ctx, name, progress)
		}})
	}
	if err := all(ctx, client, names); err != nil && !(v.Volumes && len(v.Targets) == 1) {
		return nil, err
	}
	return removals, nil
}

// groupsOf returns the groups of an installed file.
func groupsOf(ctx context.Context, client *api.Client, file string) (groups []string, err error) {
	known, err := client.Status(ctx, "")
	if err != nil {
		return nil, err
	}
	for _, g := range known {
		if filepath.Base(g.File) == file {
			groups = append(groups, g.Name)
		}
	}
	if len(groups) == 0 {
		return nil, &hint.Error{Err: fmt.Errorf("no group comes from a file %s", file), Hint: "\"sallyport status GROUP\" shows the file of a group"}
	}
	slices.Sort(groups)
	return groups, nil
}
