package main

import (
	"context"

	"github.com/sallyport/sallyport/shim/api"
)

type restartVerb struct {
	Targets []target `arg:"" name:"group[.container]" help:"Groups, or single containers of them."`
	severalFlags
	settleFlag
}

// Run restarts one after the other.
func (v *restartVerb) Run(ctx context.Context, ui *ui, in *instance) error {
	return each(ctx, ui, in, v.severalFlags, v.Targets, func(client *api.Client, r *report, t target) error {
		began := ui.now()
		progress := ui.wait(forTurn)
		err := client.Restart(progress.watch(ctx), t.group, t.container, progress.line)
		if progress.end(); err != nil {
			return interrupted(ctx, err, "the restart may continue; see \"sallyport ps\"")
		}
		if err := v.settle(ctx, ui, client, t.group); err != nil {
			return interrupted(ctx, err, "the group goes on; see \"sallyport ps\"")
		}
		return r.started(ctx, client, t, began, "restarted")
	})
}
