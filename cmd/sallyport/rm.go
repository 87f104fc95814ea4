package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/shim"
	"github.com/sallyport/sallyport/shim/api"
)

type rmVerb struct {
	Targets []string `arg:"" name:"group|file.hcl" help:"The groups; or a group file, with all the groups that it has."`
	Volumes bool     `help:"Delete what is in their persistent volumes too; one group that was removed before may be named for that."`
}

// A removal is one thing to remove, and the groups that go with it.
type removal struct {
	groups []string
	remove func(ctx context.Context, progress func(line string)) error
}

// Run does one removal after the other. It looks first, so that a slip in the last name removes nothing.
func (v *rmVerb) Run(ctx context.Context, ui *ui, in *instance) error {
	client, err := in.client()
	if err != nil {
		return err
	}
	removals, err := v.removals(ctx, client)
	if err != nil {
		return err
	}
	for _, r := range removals {
		if err := r.remove(ctx, func(line string) { ui.notef("%s", line) }); err != nil {
			return interrupted(ctx, err, "the removal goes on; see \"sallyport ps\"")
		}
		for _, group := range r.groups {
			fmt.Fprintf(ui.out, "%s is %s\n", group, shim.Gone)
		}
	}
	return nil
}

// removals looks up what is named. Of what is left of a group that was removed before there is nothing to look at.
func (v *rmVerb) removals(ctx context.Context, client *api.Client) (removals []removal, err error) {
	var names []string
	for _, name := range v.Targets {
		if file := filepath.Base(name); strings.HasSuffix(name, ".hcl") { // no group's name has a dot
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

// groupsOf are the groups of an installed file.
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
		return nil, &shim.Problem{Err: fmt.Errorf("no group is by a file %s", file), Hint: "\"sallyport status GROUP\" shows the file of a group"}
	}
	slices.Sort(groups)
	return groups, nil
}
