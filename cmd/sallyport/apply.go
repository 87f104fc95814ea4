package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/shim/api"
	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
)

type applyVerb struct {
	groupArgs
	JSON bool `name:"json" help:"Print JSON."`
	settleFlag
	Detach bool `short:"d" help:"End as soon as the files are installed. The daemon brings their groups up, and puts back a file with a group that can't be built."`
}

// Run validates the files, shows the plan, installs the files and waits. It asks no questions: the
// plan verb shows the changes beforehand. The steps of the plan are printed as they are done,
// or with the plan if the verb does not wait for them.
func (v *applyVerb) Run(ctx context.Context, ui *ui, in *instance) error {
	if v.Detach && v.Settle != 0 {
		return usage(errors.New("--settle waits, and --detach does not"), "leave out one of them")
	}
	began := ui.now()
	r, err := v.read(ctx, ui, mostMistakes)
	if err != nil {
		return err
	}
	client, err := in.client(ctx)
	if err != nil {
		return err
	}
	if err := r.checkArchives(ctx, ui, client); err != nil {
		return err
	}
	previews, err := client.Preview(ctx, r.bundles)
	if err != nil {
		return err
	}
	if !v.JSON {
		for i := range previews {
			previews[i].Image = nil // the daemon reports it when all images are there
		}
		if err := writePreviews(ui, previews, v.Detach); err != nil {
			return err
		}
	}
	apply := client.Apply
	if v.Detach {
		apply = client.Install
	}
	progress := ui.wait("for the daemon, which checks the files and gets their images", group.Completed)
	if err := progress.after(apply(progress.watch(ctx), r.bundles, progress.line)); err != nil {
		return interrupted(ctx, err, goesOn)
	}
	if v.Detach {
		return v.detached(ui, r, previews, began)
	}
	var names []string
	for i := range r.groups {
		names = append(names, r.groups[i].Name)
	}
	if err := v.settle(ctx, ui, client, names...); err != nil {
		return interrupted(ctx, err, goesOn)
	}
	groups, err := statusOf(ctx, client, previews)
	if err != nil {
		return interrupted(ctx, err, goesOn)
	}
	took := ui.now().Sub(began).Round(time.Millisecond)
	if v.JSON {
		if err := ui.json(appliedChanges(previews, groups, took)); err != nil {
			return err
		}
	}
	for _, g := range applied(previews, groups) {
		if g.Error != "" {
			return &hint.Error{Err: fmt.Errorf("group %s started and is %s: %s", g.Name, g.State, g.Error), Hint: g.Hint}
		}
		if v.JSON {
			continue
		}
		if g.State == group.Stopped {
			ui.sayf("%s stays stopped; run it with \"sallyport start %s\"", g.Name, g.Name)
			continue
		}
		if g.State == group.Scheduled {
			ui.sayf("%s is scheduled, next at %s", g.Name, momentText(g.NextRun))
			continue
		}
		ui.sayf("%s is %s (%s, %s)", g.Name, g.State, plural(len(g.Containers), "container"), took)
		noteTrial(ui, g)
	}
	return nil
}

// detached prints what has been done, and where the rest can be seen.
func (v *applyVerb) detached(ui *ui, r reading, previews []group.Preview, began time.Time) error {
	if v.JSON {
		changes := []change{}
		for i, p := range previews {
			changes = append(changes, change{Group: p.Group, Plan: &previews[i], Seconds: seconds(ui.now().Sub(began))})
		}
		return ui.json(changes)
	}
	for i := range r.groups {
		ui.sayf("%s is installed", r.groups[i].Name)
	}
	ui.notef("the daemon goes on; \"sallyport ps\" shows how far it is, and \"sallyport events\" has what could not be built and was put back")
	return nil
}

// noteTrial explains that a generation that is ready has yet to prove itself.
func noteTrial(ui *ui, g group.Status) {
	if !g.TrialEnds.IsZero() {
		ui.notef("generation %d of %s is on trial; \"sallyport history %s\" shows the verdict, and --settle waits for it", g.Generation, g.Name, g.Name)
	}
}

const goesOn = "the daemon continues with the installed files; watch \"sallyport ps\""

// statusOf returns the status of the groups that the previews are about, and maybe that of others.
func statusOf(ctx context.Context, client *api.Client, previews []group.Preview) ([]group.Status, error) {
	if len(previews) == 1 { // a host may have many others
		return client.Status(ctx, previews[0].Group)
	}
	return client.Status(ctx, "")
}

// applied returns the groups that the previews are about.
func applied(previews []group.Preview, all []group.Status) (groups []group.Status) {
	for _, p := range previews {
		for _, g := range all {
			if g.Name == p.Group {
				groups = append(groups, g)
			}
		}
	}
	return groups
}

// interrupted replaces an error that the operator's own interrupt has caused. The hint explains
// what becomes of the work.
func interrupted(ctx context.Context, err error, hint_ string) error {
	if ctx.Err() == nil {
		return err
	}
	return &hint.Error{Err: context.Cause(ctx), Hint: hint_}
}
