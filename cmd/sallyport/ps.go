package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/shim/api"
	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

type psVerb struct {
	Groups []string `arg:"" optional:"" name:"group" help:"List only these groups (default all)."`
	All    bool     `short:"a" help:"List all group files that are not used, not only the first ones."`
	Quiet  bool     `short:"q" xor:"form" help:"Print only the names, one per line."`
	Watch  bool     `short:"w" xor:"form" help:"Print again after each change, until Ctrl-C."`
	JSON   bool     `name:"json" xor:"form" help:"Print JSON."`
}

func (v *psVerb) Run(ctx context.Context, ui *ui, in *instance) error {
	client, err := in.client(ctx)
	if err != nil {
		return err
	}
	if v.Watch {
		return v.watch(ctx, ui, client)
	}
	found, err := v.read(ctx, client)
	if err != nil {
		return err
	}
	return v.write(ui, found, ui.now())
}

// A listing has everything that ps prints.
type listing struct {
	all, groups []group.Status // all of the daemon's, and those asked for
	unknown     []string       // names that no group has
	problems    []api.FileProblem
	full        []host.Disk
}

// read asks the daemon. Disks that are not known are no error: the groups count.
func (v *psVerb) read(ctx context.Context, client *api.Client) (found listing, err error) {
	if found.all, err = client.Status(ctx, ""); err != nil {
		return listing{}, err
	}
	found.groups, found.unknown = named(found.all, v.Groups)
	if v.JSON || v.Quiet {
		return found, nil
	}
	if len(v.Groups) == 0 {
		if found.problems, err = client.Problems(ctx); err != nil {
			return listing{}, err
		}
	}
	disks, _ := client.Disks(ctx)
	found.full = fullDisks(disks)
	return found, nil
}

// write prints a listing. Unknown names are an error, after the known groups.
func (v *psVerb) write(ui *ui, found listing, now time.Time) (err error) {
	switch {
	case v.JSON:
		err = ui.json(append([]group.Status{}, found.groups...))
	case v.Quiet:
		for _, g := range found.groups {
			fmt.Fprintln(ui.out, g.Name)
		}
	default:
		ui.retype(found.groups)
		err = writeGroups(ui.out, found.groups, now)
		most := mostFiles
		if v.All {
			most = len(found.problems)
		}
		warnOfFiles(ui, found.problems, found.groups, most)
		warnOfFull(ui, found.full)
	}
	if err != nil {
		return err
	}
	for _, name := range found.unknown {
		err = exitStatus(ui.fail(meantGroup(fmt.Errorf("group %q: %w", name, group.ErrNoGroup), name, found.all)))
	}
	return err
}

// named returns the groups with these names, in their order, and the names that no group has.
// Without names it returns all groups.
func named(all []group.Status, names []string) (groups []group.Status, unknown []string) {
	if len(names) == 0 {
		return all, nil
	}
	for _, g := range all {
		if slices.Contains(names, g.Name) {
			groups = append(groups, g)
		}
	}
	for i, name := range names {
		known := slices.ContainsFunc(all, func(g group.Status) bool { return g.Name == name })
		if !known && !slices.Contains(names[:i], name) {
			unknown = append(unknown, name)
		}
	}
	return groups, unknown
}

// mostFiles is how many unused files ps lists. A script can leave thousands in the folder.
const mostFiles = 5

// warnOfFiles warns of unused files, except those that belong to a group of the table. It prints at
// most so many, and the number of the others.
func warnOfFiles(ui *ui, problems []api.FileProblem, groups []group.Status, most int) {
	shown := map[string]bool{}
	for _, g := range groups {
		shown[g.File] = true
	}
	problems = slices.DeleteFunc(problems, func(p api.FileProblem) bool { return shown[filepath.Base(p.Path)] })
	for _, p := range problems[:min(most, len(problems))] {
		ui.notef("warning: %s is not used: %s", p.Path, p.Error)
	}
	if more := len(problems) - most; more > 0 {
		ui.notef("warning: %s more are not used; \"sallyport ps --all\" lists all, \"sallyport validate FILE\" shows the mistakes of one",
			plural(more, "file"))
	}
}

// retype completes the commands in what the daemon advises.
func (u *ui) retype(groups []group.Status) {
	for i := range groups {
		groups[i].Hint = u.again.text(groups[i].Hint)
	}
}

func writeGroups(w io.Writer, groups []group.Status, now time.Time) error {
	t := table{
		header: []string{"GROUP", "STATE", "EGRESS", "CONTAINERS", "ADDRESS", "FOR", "PORTS"},
		least:  []string{"ADDRESS", "EGRESS", "CONTAINERS", "FOR", "PORTS"},
		cut:    map[string]cutter{"PORTS": cutItems},
		styles: map[string]func(string) style{"STATE": stateStyle},
	}
	for _, g := range groups {
		r := t.add(g.Name, string(g.State), string(g.Egress), running(g.Containers), strings.Join(g.Addrs, ","), age(now, g.Since), ports(g.Publish))
		r.notes = problem(g)
	}
	return t.writeTo(w)
}

// stateStyle returns the style of a state: green for one that is as wanted, yellow for one that
// passes, red for one that needs an operator.
func stateStyle(state string) style {
	switch group.State(state) {
	case group.Running:
		return green
	case group.Pending, group.Starting, group.Stopping:
		return yellow
	case group.Degraded:
		return red
	}
	return plain
}

// ports returns the published ports as docker's ps does. A port without an address is published on
// every address of the host.
func ports(published []spec.Publish) string {
	var texts []string
	for _, p := range published {
		from := p.HostText()
		if p.Address != "" {
			from = net.JoinHostPort(p.Address, from)
		}
		texts = append(texts, fmt.Sprintf("%s->%s/%s", from, p.PortText(), p.Protocol))
	}
	return strings.Join(texts, ",")
}

// running returns the number of running containers and of all, as "2/3".
func running(containers []group.ContainerStatus) string {
	n := 0
	for _, c := range containers {
		if c.Task == host.TaskRunning {
			n++
		}
	}
	return fmt.Sprintf("%d/%d", n, len(containers))
}

// problem returns lines about why a group is not as its file defines it, and about its schedule.
func problem(g group.Status) (lines []string) {
	if g.Error != "" {
		lines = append(lines, "error: "+g.Error)
	}
	if !g.NextRun.IsZero() {
		lines = append(lines, "next run: "+momentText(g.NextRun))
	}
	if g.LastRun != nil {
		lines = append(lines, "last run: "+lastRunText(g.LastRun))
	}
	if g.Waiting != "" && g.Error == "" {
		lines = append(lines, "waits: "+strings.TrimPrefix(g.Waiting, "waits "))
	}
	if g.Hint != "" {
		lines = append(lines, "hint: "+g.Hint)
	}
	return lines
}
