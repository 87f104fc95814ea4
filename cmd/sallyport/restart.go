package main

import (
	"context"
	"fmt"
	"time"
)

type restartVerb struct {
	Target target `arg:"" name:"group[.container]" help:"The group, or one container of it."`
	settleFlag
}

func (v *restartVerb) Run(ctx context.Context, ui *ui, in *instance) error {
	began := time.Now()
	client, err := in.client(ctx)
	if err != nil {
		return err
	}
	progress := ui.wait(forTurn)
	err = client.Restart(ctx, v.Target.group, v.Target.container, progress.line)
	if progress.end(); err != nil {
		return interrupted(ctx, err, "the restart may continue; see \"sallyport ps\"")
	}
	if err := v.settle(ctx, ui, client, v.Target.group); err != nil {
		return interrupted(ctx, err, "the group goes on; see \"sallyport ps\"")
	}
	fmt.Fprintf(ui.out, "%s restarted (%s)\n", v.Target, time.Since(began).Round(time.Millisecond))
	return nil
}
