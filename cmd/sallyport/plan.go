package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/sallyport/sallyport/shim/api"
	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/keeper"
)

type planVerb struct {
	groupArgs
	Offline bool `help:"Plan for a host without groups, without the daemon."`
	JSON    bool `name:"json" help:"Print JSON."`
}

func (v *planVerb) Run(ctx context.Context, ui *ui, in *instance) error {
	r, err := v.read(ctx, ui, mostMistakes)
	if err != nil {
		return err
	}
	previews, err := v.previews(ctx, ui, in, r)
	if err != nil {
		return err
	}
	if v.JSON {
		return ui.json(append([]group.Preview{}, previews...))
	}
	return writePreviews(ui, previews, true)
}

func (v *planVerb) previews(ctx context.Context, ui *ui, in *instance, r reading) ([]group.Preview, error) {
	if v.Offline {
		l, err := in.layout(paths{})
		return keeper.Offline(l, r.groups), err
	}
	client, err := in.client(ctx)
	if errors.Is(err, api.ErrNoDaemon) {
		err = &hint.Error{Err: err, Hint: hint.Of(err) + "; --offline plans for a host without groups"}
	}
	if err != nil {
		return nil, err
	}
	if err := r.checkArchives(ctx, ui, client); err != nil {
		return nil, err
	}
	return client.Preview(ctx, r.bundles)
}

// mostDiffers is how many changes of one group are printed.
const mostDiffers = 30

// writePreviews prints the steps of each group, and separately what they open, close or leave
// unsafe. Without steps it only prints their number, since they are told when they are done.
func writePreviews(ui *ui, previews []group.Preview, steps bool) error {
	out := newPage(ui.out)
	line := func(head, text string) {
		io.WriteString(out, head)
		out.end(max(2, len(head)), text)
	}
	for _, p := range previews {
		switch {
		case p.Error != "":
			line("", fmt.Sprintf("%s: the plan may be incomplete: %s", p.Group, p.Error))
		case len(p.Steps) == 0 && p.Ended != "":
			line("", fmt.Sprintf("%s: nothing to do: %s", p.Group, ui.again.text(p.Ended)))
		case p.Schedule != "" && len(p.Steps) == 0:
			line("", fmt.Sprintf("schedule %s: %s", p.Group, p.Schedule))
		case len(p.Steps)+len(p.Changes)+len(p.Differs)+len(p.Opens)+len(p.Closes) == 0:
			line("", p.Group+": nothing to do")
		default:
			line("", fmt.Sprintf("%s: %s", p.Group, plural(len(p.Steps), "step")))
		}
		for _, step := range p.Steps {
			if steps {
				line("    ", step)
			}
		}
		for _, replaced := range p.Replaces {
			line("  ~ replaces ", replaced)
		}
		for _, changed := range p.Changes {
			line("  ~ changes  ", changed)
		}
		for _, change := range p.Differs[:min(len(p.Differs), mostDiffers)] {
			line("  ~ differs  ", change.String())
		}
		if more := len(p.Differs) - mostDiffers; more > 0 {
			line("  ~ differs  ", fmt.Sprintf("in %d more; \"sallyport plan --json\" shows all", more))
		}
		for _, opens := range p.Opens {
			line("  + opens   ", opens)
		}
		for _, closes := range p.Closes {
			line("  - closes  ", closes)
		}
		for _, text := range p.Unsafe {
			if text = "unsafe: " + text; !slices.Contains(p.Opens, text) {
				line("  ! stays   ", text)
			}
		}
		for _, text := range p.Image {
			line("  . image   ", text)
		}
		for _, text := range p.Devices {
			line("  . device  ", text)
		}
		for _, text := range p.Publish {
			line("  . port    ", text)
		}
	}
	return out.print()
}
