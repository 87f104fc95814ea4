package main

import (
	"context"
	"path/filepath"

	"github.com/sallyport/sallyport/shim/api"
	"github.com/sallyport/sallyport/shim/config"
	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/keeper"
	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/shim/logs"
	"github.com/sallyport/sallyport/shim/logs/removed"
)

// runLimits returns the limits of runs. They are sound: [instance.settings] has checked them.
func runLimits(s settings) (l keeper.RunLimits) {
	l.AtOnce, _ = config.RunsAtOnce(s.flags.RunsAtOnce)
	l.Queued, _ = config.RunsQueued(s.flags.RunsQueued)
	l.Keep, _ = config.RunsKeep(s.flags.RunsKeep)
	l.Records, _ = config.RunsRecords(s.flags.RunsRecords)
	return l
}

// A runKeeper keeps runs for the control socket.
type runKeeper struct {
	*keeper.Keeper
	layout layout.Layout
}

var _ api.RunKeeper = runKeeper{}

func (k runKeeper) JoinRun(ctx context.Context, id string) (api.RunCaller, error) {
	return k.Keeper.JoinRun(ctx, id)
}

// RunOutput implements [api.RunKeeper].
func (k runKeeper) RunOutput(ctx context.Context, run group.Run, stream string, from uint64, over <-chan struct{}, emit func(api.RunOutput) error) error {
	path := k.layout.LogPath(run.ID, run.App)
	if stream == "stderr" {
		path = k.layout.ErrLogPath(run.ID, run.App)
	}
	moved := func() string {
		latest, ok, _ := removed.Logs{Dir: k.layout.LogDir}.Latest(run.ID)
		if !ok {
			return ""
		}
		return filepath.Join(latest.Dir, filepath.Base(path))
	}
	return logs.CopyBytes(ctx, logs.Bytes{Path: path, Moved: moved, From: int64(from), Over: over, Await: run.Kept},
		func(p []byte) error { return emit(api.RunOutput{Bytes: p}) },
		func(n int64) error { return emit(api.RunOutput{Dropped: n}) })
}
