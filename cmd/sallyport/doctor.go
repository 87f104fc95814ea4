package main

import (
	"context"
	"fmt"
	"io"
)

type doctorVerb struct {
	place
	runtimeFlags
	JSON bool `name:"json" help:"Print JSON."`
}

// Run checks everything, so that one visit is enough.
func (v *doctorVerb) Run(ctx context.Context, ui *ui, in *instance) error {
	l, err := in.layout(v.place)
	if err != nil {
		return err
	}
	var findings []finding
	tell := func(f finding) {
		findings = append(findings, f)
		if !v.JSON {
			writeFinding(ui.out, f)
		}
	}
	for _, need := range hostNeeds(l, v.runtimeFlags) {
		tell(need.find(ctx))
	}
	for _, f := range unsafeFindings(ctx, in, l) {
		tell(f)
	}
	if v.JSON {
		if err := ui.json(findings); err != nil {
			return err
		}
	}
	for _, f := range findings {
		if !f.OK {
			return exitStatus(statusFailed)
		}
	}
	return nil
}

func writeFinding(w io.Writer, f finding) {
	switch {
	case f.Note:
		fmt.Fprintf(w, "note  %-16s %s\n", f.Name, oneLine(f.Found))
	case f.OK:
		fmt.Fprintf(w, "ok    %-16s %s\n", f.Name, f.Found)
	default:
		fmt.Fprintf(w, "FAIL  %-16s %s\n", f.Name, oneLine(f.Error))
	}
	if f.Hint != "" {
		fmt.Fprintf(w, "      %-16s -> %s\n", "", f.Hint)
	}
}
