package main

import (
	"context"
	"time"

	"github.com/sallyport/sallyport/shim/api"
)

type restartVerb struct {
	Targets []target `arg:"" name:"group[.container]" help:"Groups, or single containers of them."`
	ignoreFlag
	settleFlag
}

// Run restarts one after the other.
func (v *restartVerb) Run(ctx context.Context, ui *ui, in *instance) error {
	return each(ctx, in, v.ignoreFlag, v.Targets, func(client *api.Client, t target) error {
		began := ui.now()
		progress := ui.wait(forTurn)
		err := client.Restart(progress.watch(ctx), t.group, t.container, progress.line)
		if progress.end(); err != nil {
			return interrupted(ctx, err, "the restart may continue; see \"sallyport ps\"")
		}
		if err := v.settle(ctx, ui, client, t.group); err != nil {
			return interrupted(ctx, err, "the group goes on; see \"sallyport ps\"")
		}
		ui.sayf("%s restarted (%s)", t, ui.now().Sub(began).Round(time.Millisecond))
		return nil
	})
}
