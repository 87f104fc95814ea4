package main

import "fmt"

type validateVerb struct {
	groupArgs
}

// Run prints one line for each valid group.
func (v *validateVerb) Run(ui *ui) error {
	r, err := v.read(ui)
	if err != nil {
		return err
	}
	for _, g := range r.groups {
		fmt.Fprintf(ui.out, "%s: ok (%s, egress %s)\n", g.Name, plural(len(g.Containers), "container"), g.Egress)
	}
	return nil
}
