package main

import (
	"context"
	"time"

	"github.com/sallyport/sallyport/shim/api"
	"github.com/sallyport/sallyport/shim/group"
)

type stopVerb struct {
	Groups []string `arg:"" name:"group" help:"The groups. They stay stopped until start, even after a reboot or a new file."`
	ignoreFlag
}

// Run stops one group after the other.
func (v *stopVerb) Run(ctx context.Context, ui *ui, in *instance) error {
	return each(ctx, in, v.ignoreFlag, v.Groups, func(client *api.Client, name string) error {
		progress := ui.wait(forTurn)
		err := client.Stop(progress.watch(ctx), name, progress.line)
		if progress.end(); err != nil {
			return interrupted(ctx, err, "the stop continues; see \"sallyport ps\"")
		}
		ui.sayf("%s is %s", name, group.Stopped)
		return nil
	})
}

type startVerb struct {
	Groups []string `arg:"" name:"group" help:"The groups."`
	ignoreFlag
	settleFlag
}

// Run starts one group after the other.
func (v *startVerb) Run(ctx context.Context, ui *ui, in *instance) error {
	return each(ctx, in, v.ignoreFlag, v.Groups, func(client *api.Client, group string) error {
		began := ui.now()
		progress := ui.wait(forTurn)
		err := client.Start(progress.watch(ctx), group, progress.line)
		if progress.end(); err != nil {
			return interrupted(ctx, err, "the start continues; see \"sallyport ps\"")
		}
		if err := v.settle(ctx, ui, client, group); err != nil {
			return interrupted(ctx, err, "the group goes on; see \"sallyport ps\"")
		}
		ui.sayf("%s started (%s)", group, ui.now().Sub(began).Round(time.Millisecond))
		return nil
	})
}

// forTurn names the wait of these verbs before the daemon's first line.
const forTurn = "for the daemon, which makes one change after the other"
