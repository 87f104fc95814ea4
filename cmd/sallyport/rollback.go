package main

import (
	"context"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
)

type rollbackVerb struct {
	Group string           `arg:"" help:"The group."`
	To    generationNumber `placeholder:"N" help:"The generation (default the last proved one that differs from the current one)."`
	JSON  bool             `name:"json" help:"Print JSON."`
	settleFlag
}

// Run goes back and prints the file of the generation, which is then the installed one.
func (v *rollbackVerb) Run(ctx context.Context, ui *ui, in *instance) error {
	began := ui.now()
	client, err := in.client(ctx)
	if err != nil {
		return err
	}
	before, err := client.Status(ctx, v.Group)
	if err != nil {
		return err
	}
	progress := ui.wait("for the daemon, which gets the images of that generation", group.Completed)
	err = client.Rollback(progress.watch(ctx), v.Group, int(v.To), progress.line)
	if progress.end(); err != nil {
		return interrupted(ctx, err, goesOn)
	}
	if err := v.settle(ctx, ui, client, v.Group); err != nil {
		return interrupted(ctx, err, goesOn)
	}
	groups, err := client.Status(ctx, v.Group)
	if err != nil {
		return interrupted(ctx, err, goesOn)
	}
	took := ui.now().Sub(began).Round(time.Millisecond)
	for _, g := range groups {
		if v.JSON {
			if err := ui.json(changed(g, took)); err != nil {
				return err
			}
		}
		if g.Error != "" {
			return &hint.Error{Err: fmt.Errorf("group %s was rolled back and is %s: %s", g.Name, g.State, g.Error), Hint: g.Hint}
		}
		if v.JSON {
			continue
		}
		if len(before) == 1 && before[0].Generation == g.Generation {
			ui.sayf("%s stays %s with generation %d", g.Name, g.State, g.Generation)
			continue
		}
		ui.sayf("%s is %s again with the earlier %s (generation %d, %s)", g.Name, g.State, g.File, g.Generation, took)
		noteTrial(ui, g)
	}
	return nil
}
