package main

import (
	"context"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/shim/api"
	"github.com/sallyport/sallyport/shim/group"
)

type stopVerb struct {
	Groups []string `arg:"" name:"group" help:"The groups. They stay stopped until start, even after a reboot or a new file."`
}

// Run stops one group after the other.
func (v *stopVerb) Run(ctx context.Context, ui *ui, in *instance) error {
	return each(ctx, in, v.Groups, func(client *api.Client, name string) error {
		progress := ui.wait(forTurn)
		err := client.Stop(ctx, name, progress.line)
		if progress.end(); err != nil {
			return interrupted(ctx, err, "the stop continues; see \"sallyport ps\"")
		}
		fmt.Fprintf(ui.out, "%s is %s\n", name, group.Stopped)
		return nil
	})
}

type startVerb struct {
	Groups []string `arg:"" name:"group" help:"The groups."`
	settleFlag
}

// Run starts one group after the other.
func (v *startVerb) Run(ctx context.Context, ui *ui, in *instance) error {
	return each(ctx, in, v.Groups, func(client *api.Client, group string) error {
		began := time.Now()
		progress := ui.wait(forTurn)
		err := client.Start(ctx, group, progress.line)
		if progress.end(); err != nil {
			return interrupted(ctx, err, "the start continues; see \"sallyport ps\"")
		}
		if err := v.settle(ctx, ui, client, group); err != nil {
			return interrupted(ctx, err, "the group goes on; see \"sallyport ps\"")
		}
		fmt.Fprintf(ui.out, "%s started (%s)\n", group, time.Since(began).Round(time.Millisecond))
		return nil
	})
}

// forTurn names the wait of these verbs before the daemon's first line.
const forTurn = "for the daemon, which makes one change after the other"

// each calls do for one group after the other, if all of them exist.
func each(ctx context.Context, in *instance, groups []string, do func(client *api.Client, group string) error) error {
	client, err := in.client(ctx)
	if err != nil {
		return err
	}
	if err := all(ctx, client, groups); err != nil {
		return err
	}
	for _, group := range groups {
		if err := do(client, group); err != nil {
			return err
		}
	}
	return nil
}

// all returns an error if one of the groups does not exist. So a mistake in the last name does
// nothing to the first.
func all(ctx context.Context, client *api.Client, groups []string) error {
	for _, group := range groups {
		if _, err := client.Status(ctx, group); err != nil {
			return err
		}
	}
	return nil
}
