package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/sallyport/sallyport/shim/api"
	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/shim/logs"
	"github.com/sallyport/sallyport/shim/logs/removed"
)

// logSource reads the containers' output for the control socket. A group or container that doesn't
// exist is an error, not an empty log. One that its group no longer has can be named while its
// output is there. The containers come in the order of the group, or by name for a group that was
// removed.
//
// What a run has printed is there under its ID, also when it is over. Following it ends with it.
func logSource(l layout.Layout, status func(group string) ([]group.Status, error), runs runsToRead) api.LogSource {
	return func(ctx context.Context, req api.LogRequest, emit func(api.LogLine) error) error {
		var over <-chan struct{}
		moved := func() string {
			latest, _, _ := removed.Logs{Dir: l.LogDir}.Latest(req.Group)
			return latest.Dir
		}
		if runs.KnowsRun(req.Group) {
			if req.Follow {
				var end func()
				over, end = endOf(ctx, runs, req.Group)
				defer end()
				awaitStart(ctx, status, runs, req.Group, over)
			}
			if _, err := status(req.Group); errors.Is(err, group.ErrNoGroup) {
				if moved() == "" || ctx.Err() != nil {
					return nil // it has printed nothing, or that is not kept any more
				}
				req.Removed, req.Follow = true, false
			}
		}
		find := func() ([]logs.File, error) { return logFiles(l, status, req) }
		if req.Removed {
			find = func() ([]logs.File, error) { return removedLogFiles(l, req) }
		}
		files, err := find()
		if over != nil && !req.Removed && moved() != "" { // meanwhile, and all of it at once
			req.Removed, req.Follow = true, false
			files, err = removedLogFiles(l, req)
		}
		if err != nil {
			return err
		}
		opt := logs.Options{
			Follow: req.Follow, Over: over, Moved: moved, Tail: req.Tail, Since: req.Since, Until: req.Until, Times: req.Times || len(files) > 1,
		}
		return logs.Copy(ctx, files, opt, func(line logs.Line) error {
			if !req.Times {
				line.Time, line.Latest = time.Time{}, false
			}
			return emit(api.LogLine(line))
		})
	}
}

// runsToRead are the runs whose output can be read.
type runsToRead interface {
	KnowsRun(id string) bool
	RunOf(ctx context.Context, id string) (group.Run, error)
	WaitRun(ctx context.Context, id string) (group.Run, error)
}

// endOf returns a channel that is closed when a run is over. The caller calls end when it needs it
// no more.
func endOf(ctx context.Context, runs runsToRead, id string) (over <-chan struct{}, end func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		if _, err := runs.WaitRun(ctx, id); err == nil || errors.Is(err, group.ErrNoRun) {
			close(ended)
		}
	}()
	return ended, cancel
}

// awaitStart waits until a container of a run has started, or the run is over. By then the files
// are there that it prints into.
func awaitStart(ctx context.Context, status func(group string) ([]group.Status, error), runs runsToRead, id string, over <-chan struct{}) {
	look := time.NewTicker(100 * time.Millisecond)
	defer look.Stop()
	for {
		run, _ := runs.RunOf(ctx, id)
		if all, err := status(id); err == nil && !run.Started.IsZero() && len(all[0].Containers) > 0 {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-over:
			return
		case <-look.C:
		}
	}
}

func logFiles(l layout.Layout, status func(group string) ([]group.Status, error), req api.LogRequest) ([]logs.File, error) {
	groups, err := status(req.Group)
	if errors.Is(err, group.ErrNoGroup) {
		if _, ok, _ := (removed.Logs{Dir: l.LogDir}).Latest(req.Group); ok {
			return nil, &hint.Error{Err: fmt.Errorf("group %q: %w", req.Group, group.ErrNoGroup), Hint: "\"sallyport logs --removed " + req.Group + "\" prints what the removed group has printed"}
		}
	}
	if err != nil {
		return nil, err
	}
	var names []string
	for _, g := range groups {
		for _, c := range g.Containers {
			names = append(names, c.Name)
		}
	}
	dir := filepath.Dir(l.LogPath(req.Group, "any"))
	left := containersIn(dir) // those that the group no longer has are among them
	for _, name := range req.Containers {
		if !slices.Contains(names, name) && !slices.Contains(left, name) {
			return nil, &hint.Error{
				Err:  fmt.Errorf("group %q has no container %q", req.Group, name),
				Hint: "see \"sallyport status " + req.Group + "\"",
			}
		}
	}
	if len(req.Containers) > 0 {
		names = req.Containers
	}
	return logs.Find(dir, names)
}

func removedLogFiles(l layout.Layout, req api.LogRequest) ([]logs.File, error) {
	latest, ok, err := removed.Logs{Dir: l.LogDir}.Latest(req.Group)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, &hint.Error{
			Err:  fmt.Errorf("no output of a removed group %q is kept", req.Group),
			Hint: "\"sallyport logs --removed\" lists what is kept",
		}
	}
	names := containersIn(latest.Dir)
	for _, name := range req.Containers {
		if !slices.Contains(names, name) {
			return nil, &hint.Error{
				Err:  fmt.Errorf("the removed group %q has no output of a container %q", req.Group, name),
				Hint: "\"sallyport logs --removed\" lists what is kept",
			}
		}
	}
	return logs.Find(latest.Dir, req.Containers)
}

// containersIn returns the containers with output in a folder.
func containersIn(dir string) (names []string) {
	files, _ := logs.Find(dir, nil)
	for _, f := range files {
		names = append(names, f.Container)
	}
	return slices.Compact(names)
}

// removedSource lists the output of removed groups for the control socket.
func removedSource(l layout.Layout) func() ([]api.RemovedOutput, error) {
	return func() (list []api.RemovedOutput, err error) {
		all, err := removed.Logs{Dir: l.LogDir}.List()
		for _, o := range all {
			list = append(list, api.RemovedOutput{Group: o.Group, At: o.At, Containers: containersIn(o.Dir), Size: o.Size()})
		}
		return list, err
	}
}
