package main

import (
	"path/filepath"

	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/shim/logs/wanted"
	"github.com/sallyport/sallyport/spec"
)

// wantOutput returns a function that writes what a group's file asks for its containers' output
// into the group's log folder.
func wantOutput(l layout.Layout) func(*spec.Group) error {
	return func(g *spec.Group) error {
		outputs := map[string]wanted.Output{}
		for _, c := range g.Containers {
			outputs[c.Name] = wanted.Output{Size: c.Output.Size, Journal: c.Output.Journal, Split: c.Output.Split}
		}
		return wanted.Write(filepath.Dir(l.LogPath(g.Name, "any")), outputs)
	}
}
