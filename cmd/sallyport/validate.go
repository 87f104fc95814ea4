package main

import (
	"context"
	"fmt"
)

type validateVerb struct {
	groupArgs
}

// Run prints one line for each valid group.
func (v *validateVerb) Run(ctx context.Context, ui *ui) error {
	r, err := v.read(ctx, ui)
	if err != nil {
		return err
	}
	for _, g := range r.groups {
		fmt.Fprintf(ui.out, "%s: ok (%s, egress %s)\n", g.Name, plural(len(g.Containers), "container"), g.Egress)
	}
	return nil
}
