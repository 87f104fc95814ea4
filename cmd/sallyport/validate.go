package main

import (
	"context"
	"fmt"
	"math"
)

type validateVerb struct {
	groupArgs
	All bool `help:"Print all mistakes, not only the first 20."`
}

// Run prints one line for each valid group.
func (v *validateVerb) Run(ctx context.Context, ui *ui) error {
	most := mostMistakes
	if v.All {
		most = math.MaxInt
	}
	r, err := v.read(ctx, ui, most)
	if err != nil {
		return err
	}
	for _, g := range r.groups {
		fmt.Fprintf(ui.out, "%s: ok (%s, egress %s)\n", g.Name, plural(len(g.Containers), "container"), g.Egress)
	}
	return nil
}
