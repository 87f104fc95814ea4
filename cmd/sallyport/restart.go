package main

import (
	"context"
	"fmt"
	"time"
)

type restartVerb struct {
	Target target `arg:"" name:"group[.container]" help:"The group, or one container of it."`
}

func (v *restartVerb) Run(ctx context.Context, ui *ui, in *instance) error {
	client, err := in.client(ctx)
	if err != nil {
		return err
	}
	start := time.Now()
	progress := ui.wait(forTurn)
	err = client.Restart(ctx, v.Target.group, v.Target.container, progress.line)
	if progress.end(); err != nil {
		return interrupted(ctx, err, "the restart may continue; see \"sallyport ps\"")
	}
	fmt.Fprintf(ui.out, "%s restarted (%s)\n", v.Target, time.Since(start).Round(time.Millisecond))
	return nil
}
