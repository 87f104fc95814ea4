package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
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
	previews, err := v.previews(ctx, in, r)
	if err != nil {
		return err
	}
	if v.JSON {
		return ui.json(append([]group.Preview{}, previews...))
	}
	return writePreviews(ui, previews)
}

func (v *planVerb) previews(ctx context.Context, in *instance, r reading) ([]group.Preview, error) {
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
	return client.Preview(ctx, r.bundles)
}

// writePreviews prints the steps of each group, and separately what they open, close or leave
// unsafe.
func writePreviews(ui *ui, previews []group.Preview) error {
	var out bytes.Buffer
	for _, p := range previews {
		switch {
		case p.Error != "":
			fmt.Fprintf(&out, "%s: the plan may be incomplete: %s\n", p.Group, joinLines(p.Error))
		case len(p.Steps) == 0 && p.Ended != "":
			fmt.Fprintf(&out, "%s: nothing to do: %s\n", p.Group, ui.again.text(joinLines(p.Ended)))
		case len(p.Steps)+len(p.Changes)+len(p.Opens)+len(p.Closes) == 0:
			fmt.Fprintf(&out, "%s: nothing to do\n", p.Group)
		default:
			fmt.Fprintf(&out, "%s: %s\n", p.Group, plural(len(p.Steps), "step"))
		}
		for _, step := range p.Steps {
			fmt.Fprintf(&out, "    %s\n", step)
		}
		for _, line := range p.Replaces {
			fmt.Fprintf(&out, "  ~ replaces %s\n", line)
		}
		for _, line := range p.Changes {
			fmt.Fprintf(&out, "  ~ changes  %s\n", line)
		}
		for _, opens := range p.Opens {
			fmt.Fprintf(&out, "  + opens   %s\n", opens)
		}
		for _, closes := range p.Closes {
			fmt.Fprintf(&out, "  - closes  %s\n", closes)
		}
		for _, text := range p.Unsafe {
			if text = "unsafe: " + text; !slices.Contains(p.Opens, text) {
				fmt.Fprintf(&out, "  ! stays   %s\n", text)
			}
		}
	}
	_, err := ui.out.Write(out.Bytes())
	return err
}
