package main

import (
	"cmp"
	"context"
	"io"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/shim/diff"
	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/spec"
)

type historyVerb struct {
	Group  string           `arg:"" help:"The group."`
	File   generationNumber `placeholder:"N" help:"Print the group file of generation N."`
	Values bool             `help:"Print the values of the variables that each generation was applied with."`
	JSON   bool             `name:"json" help:"Print JSON."`
}

func (v *historyVerb) Run(ctx context.Context, ui *ui, in *instance) error {
	client, err := in.client(ctx)
	if err != nil {
		return err
	}
	if v.File != 0 {
		b, err := client.File(ctx, v.Group, int(v.File))
		if err != nil {
			return err
		}
		if v.JSON {
			return ui.json(b)
		}
		_, err = content(ui.stdout, ui.out).Write(b.HCL)
		return err
	}
	all, err := client.History(ctx, v.Group)
	if err != nil {
		return err
	}
	if v.JSON {
		return ui.json(append([]group.Generation{}, all...))
	}
	return writeHistory(ui.out, all, ui.now(), v.Values)
}

func outcomeStyle(outcome string) style {
	switch group.Outcome(outcome) {
	case group.Proved:
		return green
	case group.OnTrial:
		return yellow
	case group.NotReady, group.TakenBack:
		return red
	}
	return plain
}

// writeHistory lists the generations, newest first. The newest is the current definition. With
// values, each has the values of its variables.
func writeHistory(w io.Writer, all []group.Generation, now time.Time, values bool) error {
	t := table{
		header: []string{"GENERATION", "AGO", "BY", "OUTCOME", "KEPT", "DIGEST", "FILE"},
		least:  []string{"FILE", "KEPT", "DIGEST", "BY"},
		cut:    map[string]cutter{"FILE": cutTail},
		styles: map[string]func(string) style{"OUTCOME": outcomeStyle},
	}
	for i, g := range all {
		kept := "no"
		if g.Kept {
			kept = "yes"
		}
		r := t.add(strconv.Itoa(g.Number), age(now, g.At), string(g.By), string(g.Outcome), kept, orDash(spec.ShortDigest(g.Digest)), g.File)
		if g.Why != "" {
			r.notes = []string{g.Why}
		}
		if len(g.Differs) > 0 {
			r.notes = append(r.notes, "differs: "+diff.Summary(g.Differs, g.More))
		}
		if i+1 < len(all) {
			for _, moved := range g.ImageDigests.Moved(all[i+1].ImageDigests) {
				r.notes = append(r.notes, movedText(moved))
			}
		}
		if values {
			r.notes = append(r.notes, valueTexts(g)...)
		}
	}
	return t.writeTo(w)
}

// valueTexts returns a line for each variable of a generation.
func valueTexts(g group.Generation) (lines []string) {
	if g.Values == nil {
		return []string{"values: not recorded"}
	}
	for _, v := range g.Values {
		line := "var." + v.Name + " = " + cmp.Or(diff.VariableText(v.Variable), "(not shown)")
		if v.From != "" {
			line += "  (" + v.From + ")"
		}
		lines = append(lines, line)
	}
	return lines
}
