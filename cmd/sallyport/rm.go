package main

import (
	"context"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/shim/api"
	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
)

type rmVerb struct {
	Targets []string `arg:"" name:"group|file.hcl" help:"Groups, or group files with all their groups. Their output is kept for a while, for \"logs --removed\"."`
	Volumes bool     `help:"Also delete the data in their persistent volumes. The group may already be removed."`
	severalFlags
}

// Run removes one group or file after the other.
func (v *rmVerb) Run(ctx context.Context, ui *ui, in *instance) error {
	return each(ctx, ui, in, v.severalFlags, v.Targets, func(client *api.Client, r *report, name string) error {
		began := ui.now()
		groups, remove := []string{name}, client.Remove
		if v.Volumes {
			remove = client.Purge
		}
		named := ""
		if file := filepath.Base(name); isFile(name) {
			named = name
			var err error
			if groups, err = groupsOf(ctx, client, file); err != nil {
				return err
			}
			remove = func(ctx context.Context, _ string, progress func(string)) error {
				return client.RemoveFile(ctx, file, v.Volumes, progress)
			}
		}
		progress := ui.wait(forTurn)
		err := remove(ctx, name, progress.line)
		if progress.end(); err != nil {
			return interrupted(ctx, err, "the removal continues; see \"sallyport ps\"")
		}
		for _, name := range groups {
			r.add(change{Group: name, File: named, State: group.Gone, Seconds: seconds(ui.now().Sub(began))}, "%s is %s", name, group.Gone)
		}
		return nil
	})
}

// isFile reports whether an argument is a group file: a group's name has no dot.
func isFile(name string) bool { return strings.HasSuffix(strings.TrimSuffix(name, ".json"), ".hcl") }

// A noFile is the error for a file that no group comes from.
type noFile string

func (f noFile) Error() string        { return "no group comes from a file " + string(f) }
func (f noFile) Is(target error) bool { return target == group.ErrNoGroup }

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
		return nil, &hint.Error{Err: noFile(file), Hint: "\"sallyport status GROUP\" shows the file of a group"}
	}
	slices.Sort(groups)
	return groups, nil
}
