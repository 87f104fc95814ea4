package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/sallyport/sallyport/shim/api"
	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/shim/logs"
)

// logSource reads the containers' output for the control socket. A group or container that doesn't
// exist is an error, not an empty log. The containers come in the order of the group.
func logSource(l layout.Layout, status func(group string) ([]group.Status, error)) api.LogSource {
	return func(ctx context.Context, req api.LogRequest, emit func(container, line string) error) error {
		groups, err := status(req.Group)
		if err != nil {
			return err
		}
		var names []string
		for _, g := range groups {
			for _, c := range g.Containers {
				names = append(names, c.Name)
			}
		}
		for _, name := range req.Containers {
			if !slices.Contains(names, name) {
				return &hint.Error{
					Err:  fmt.Errorf("group %q has no container %q", req.Group, name),
					Hint: "see \"sallyport status " + req.Group + "\"",
				}
			}
		}
		if len(req.Containers) > 0 {
			names = req.Containers
		}
		files, err := logs.Find(filepath.Dir(l.LogPath(req.Group, "any")), names)
		if err != nil {
			return err
		}
		return logs.Copy(ctx, files, logs.Options{Follow: req.Follow, Tail: req.Tail}, emit)
	}
}
