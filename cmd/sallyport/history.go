package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/spec"
)

type historyVerb struct {
	Group string           `arg:"" help:"The group."`
	File  generationNumber `placeholder:"N" help:"Print the group file of generation N."`
	JSON  bool             `name:"json" help:"Print JSON."`
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
	return writeHistory(ui.out, all, ui.now())
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

// movedImages returns a line for each image reference whose digest differs from the generation
// before.
func movedImages(now, before group.ImageDigests) (lines []string) {
	for _, ref := range slices.Sorted(maps.Keys(now)) {
		if was, ok := before[ref]; ok && was != now[ref] {
			lines = append(lines, fmt.Sprintf("image %s is %s, and was %s", ref, spec.ShortDigest(now[ref]), spec.ShortDigest(was)))
		}
	}
	return lines
}

// writeHistory lists the generations, newest first. The newest is the current definition.
func writeHistory(w io.Writer, all []group.Generation, now time.Time) error {
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
		r := t.add(strconv.Itoa(g.Number), age(now, g.At), string(g.By), string(g.Outcome), kept, spec.ShortDigest(g.Digest), g.File)
		if g.Why != "" {
			r.notes = []string{g.Why}
		}
		if i+1 < len(all) {
			r.notes = append(r.notes, movedImages(g.ImageDigests, all[i+1].ImageDigests)...)
		}
	}
	return t.writeTo(w)
}
