package main

import (
	"context"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

type signalVerb struct {
	Target target `arg:"" name:"group[.container]" help:"The container, or a group with a single app."`
	Signal string `arg:"" help:"The signal, by name with or without SIG, or by number: HUP, SIGUSR1, 15."`
	JSON   bool   `name:"json" help:"Print JSON."`
}

// ends are the signals that are sent to end a program.
var ends = []int{int(unix.SIGKILL), int(unix.SIGTERM), int(unix.SIGINT), int(unix.SIGQUIT), int(unix.SIGABRT)}

func (v *signalVerb) Run(ctx context.Context, ui *ui, in *instance) error {
	number, err := host.ParseSignal(v.Signal)
	if err != nil {
		bare := strings.TrimPrefix(strings.ToUpper(v.Signal), "SIG")
		like := strings.TrimPrefix(strings.Replace(spec.DidYouMean(bare, host.SignalNames()[:unix.SIGSYS])+" ", "Did", "did", 1), " ")
		return usage(err, like+"\"kill -l\" lists the signals")
	}
	client, err := in.client(ctx)
	if err != nil {
		return err
	}
	groups, err := client.Status(ctx, v.Target.group)
	if err != nil {
		return err
	}
	container, err := pick(v.Target, groups)
	if err != nil {
		return err
	}
	sent, err := client.Signal(ctx, v.Target.group, container, number)
	if err != nil {
		return err
	}
	if v.JSON {
		return ui.json(sent)
	}
	ui.sayf("%s sent to %s.%s", sent.Signal, sent.Group, sent.Container)
	switch {
	case sent.Dropped:
		ui.notef("its program has no handler for %s, so the kernel drops it: it is process 1 of its container", sent.Signal)
	case slices.Contains(ends, number):
		ui.notef("if it ends, its group starts it again as its restart block says; \"sallyport stop %s\" takes the group down", sent.Group)
	}
	return nil
}
