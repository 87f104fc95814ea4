package main

import (
	"context"
	"errors"
	"fmt"
)

type containerdVerb struct {
	paths
	runtimeFlags
	Check    bool     `help:"Start nothing. Exit with status 0 if the daemon uses a private containerd, else with 1."`
	LogLevel logLevel `default:"info" placeholder:"LEVEL" env:"SALLYPORT_LOG_LEVEL" help:"Lowest level that is logged: debug, info, warn or error (default info)."`
}

// Run runs the private containerd until ctx ends. Its shims run on. As a service of its own it is
// in no cgroup of the daemon, and neither are its shims. So nothing that is done to the daemon's
// service reaches a group.
func (v *containerdVerb) Run(ctx context.Context, ui *ui, in *instance) error {
	if err := in.conf.mustHold(ui); err != nil {
		return err
	}
	l, err := in.layout(v.paths)
	if err != nil {
		return err
	}
	if _, err := checkRoot(ctx); err != nil {
		return err
	}
	if _, err := checkFolders(l, v.runtimeFlags, in.conf); err != nil {
		return err
	}
	choice, err := v.choose(l)
	if err != nil {
		return err
	}
	if choice != privateContainerd {
		if v.Check {
			fmt.Fprintf(ui.out, "the daemon uses the containerd at %s\n", choice)
			return exitStatus(statusFailed)
		}
		return unmet("for a private one type: sallyport containerd --containerd private", "the daemon uses the containerd at %s", choice)
	}
	if v.Check {
		fmt.Fprintln(ui.out, "the daemon uses a private containerd")
		return nil
	}
	if err := makeFolders(l); err != nil {
		return err
	}
	spareMemory(ui.environ)
	log := newLog(ui, v.LogLevel)
	child, err := v.newChild(l, log)
	if err != nil {
		return err
	}
	private, err := runPrivate(ctx, l, child)
	if held, ok := errors.AsType[*heldError](err); ok {
		return unmet("end that one first", "process %s runs the private containerd", held.pid)
	}
	if err != nil {
		return err
	}
	if err := remember(l, choice); err != nil {
		return errors.Join(err, private.end())
	}
	log.Info("private containerd serves", "socket", child.Address())
	notifySystemd(log, "READY=1")
	context.AfterFunc(ctx, func() { notifySystemd(log, "STOPPING=1") })
	_ = private.wait(ctx) // end has the error
	return private.end()
}
