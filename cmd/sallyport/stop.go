package main

import (
	"context"

	"github.com/sallyport/sallyport/shim/api"
	"github.com/sallyport/sallyport/shim/group"
)

type stopVerb struct {
	Groups []string `arg:"" name:"group" help:"The groups. They stay stopped until start, even after a reboot or a new file."`
	severalFlags
}

// Run stops one group after the other.
func (v *stopVerb) Run(ctx context.Context, ui *ui, in *instance) error {
	return each(ctx, ui, in, v.severalFlags, v.Groups, func(client *api.Client, r *report, name string) error {
		began := ui.now()
		progress := ui.wait(forTurn)
		err := client.Stop(progress.watch(ctx), name, progress.line)
		if progress.end(); err != nil {
			return interrupted(ctx, err, "the stop continues; see \"sallyport ps\"")
		}
		r.add(change{Group: name, State: group.Stopped, Seconds: seconds(ui.now().Sub(began))}, "%s is %s", name, group.Stopped)
		return nil
	})
}

type startVerb struct {
	Groups []string `arg:"" name:"group" help:"The groups."`
	severalFlags
	settleFlag
}

// Run starts one group after the other.
func (v *startVerb) Run(ctx context.Context, ui *ui, in *instance) error {
	return each(ctx, ui, in, v.severalFlags, v.Groups, func(client *api.Client, r *report, name string) error {
		began := ui.now()
		progress := ui.wait(forTurn)
		err := client.Start(progress.watch(ctx), name, progress.line)
		if progress.end(); err != nil {
			return interrupted(ctx, err, "the start continues; see \"sallyport ps\"")
		}
		if err := v.settle(ctx, ui, client, name); err != nil {
			return interrupted(ctx, err, "the group goes on; see \"sallyport ps\"")
		}
		return r.started(ctx, client, target{group: name}, began, "started")
	})
}

// forTurn names the wait of these verbs before the daemon's first line.
const forTurn = "for the daemon, which makes one change after the other"
