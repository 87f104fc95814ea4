package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/spec"
)

type diffVerb struct {
	Group  string           `arg:"" help:"The group."`
	Before generationNumber `arg:"" optional:"" help:"The earlier generation (default the one before the other)."`
	Now    generationNumber `arg:"" optional:"" help:"The later generation (default the current one)."`
	JSON   bool             `name:"json" help:"Print JSON."`
}

func (v *diffVerb) Run(ctx context.Context, ui *ui, in *instance) error {
	client, err := in.client(ctx)
	if err != nil {
		return err
	}
	c, err := client.Compare(ctx, v.Group, int(v.Before), int(v.Now))
	if err != nil {
		return err
	}
	if v.JSON {
		return ui.json(c)
	}
	return writeComparison(ui.out, c)
}

// writeComparison prints what differs between two generations: the attributes, then the images,
// then the texts.
func writeComparison(w io.Writer, c group.Comparison) error {
	out := newPage(w)
	line := func(head, text string) {
		io.WriteString(out, head)
		out.end(4, text)
	}
	between := fmt.Sprintf("%s: generation %d to %d: ", c.Group, c.Before, c.Now)
	if len(c.Differs)+len(c.Images)+len(c.Texts) == 0 {
		line("", between+"nothing differs")
		return out.print()
	}
	line("", between+plural(len(c.Differs)+len(c.Images), "change"))
	for _, change := range c.Differs {
		line("  ~ ", change.String())
	}
	for _, moved := range c.Images {
		line("  ~ ", movedText(moved))
	}
	for _, t := range c.Texts {
		if t.Why != "" {
			line("", t.Name+" differs: "+t.Why)
		}
		for text := range strings.Lines(t.Diff) {
			out.paint(diffStyle(text), strings.TrimSuffix(text, "\n"))
			io.WriteString(out, "\n")
		}
	}
	return out.print()
}

// diffStyle returns the colour of a line of a unified diff.
func diffStyle(line string) style {
	switch {
	case strings.HasPrefix(line, "--- "), strings.HasPrefix(line, "+++ "), strings.HasPrefix(line, "@@ "):
		return bold
	case strings.HasPrefix(line, "-"):
		return red
	case strings.HasPrefix(line, "+"):
		return green
	}
	return plain
}

func movedText(m group.MovedImage) string {
	return fmt.Sprintf("image %s is %s, and was %s", m.Image, spec.ShortDigest(m.Now), spec.ShortDigest(m.Before))
}
