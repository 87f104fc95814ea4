package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/shim/api"
	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
)

type psVerb struct {
	All  bool `short:"a" help:"List all group files that are not used, not only the first ones."`
	JSON bool `name:"json" help:"Print JSON."`
}

func (v *psVerb) Run(ctx context.Context, ui *ui, in *instance) error {
	client, err := in.client(ctx)
	if err != nil {
		return err
	}
	groups, err := client.Status(ctx, "")
	if err != nil {
		return err
	}
	if v.JSON {
		return ui.json(append([]group.Status{}, groups...))
	}
	ui.retype(groups)
	if err := writeGroups(ui.out, groups, time.Now()); err != nil {
		return err
	}
	problems, err := client.Problems(ctx)
	if err != nil {
		return err
	}
	most := mostFiles
	if v.All {
		most = len(problems)
	}
	warnOfFiles(ui, problems, groups, most)
	warnOfDisks(ctx, ui, client)
	return nil
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
	t := table{header: []string{"GROUP", "STATE", "EGRESS", "CONTAINERS", "ADDRESS", "FOR"}}
	for _, g := range groups {
		r := t.add(g.Name, string(g.State), string(g.Egress), running(g.Containers), strings.Join(g.Addrs, ","), age(now, g.Since))
		r.notes = problem(g)
	}
	return t.writeTo(w)
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

// problem returns lines about why a group is not as its file defines it.
func problem(g group.Status) (lines []string) {
	if g.Error != "" {
		lines = append(lines, "error: "+g.Error)
	}
	if g.Waiting != "" && g.Error == "" {
		lines = append(lines, "waits: "+strings.TrimPrefix(g.Waiting, "waits "))
	}
	if g.Hint != "" {
		lines = append(lines, "hint: "+g.Hint)
	}
	return lines
}
