package main

import (
	"context"
	"io"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/shim"
)

type historyVerb struct {
	Group string `arg:"" help:"The group."`
	File  int    `placeholder:"N" help:"Print the file that generation N came from."`
	JSON  bool   `name:"json" help:"Print JSON."`
}

func (v *historyVerb) Run(ctx context.Context, ui *ui, in *instance) error {
	client, err := in.client()
	if err != nil {
		return err
	}
	if v.File != 0 {
		b, err := client.File(ctx, v.Group, v.File)
		if err != nil {
			return err
		}
		if v.JSON {
			return ui.json(b)
		}
		_, err = ui.out.Write(b.HCL)
		return err
	}
	all, err := client.History(ctx, v.Group)
	if err != nil {
		return err
	}
	if v.JSON {
		return ui.json(append([]shim.Generation{}, all...))
	}
	return writeHistory(ui.out, all, time.Now())
}

// writeHistory lists the generations, the newest, which is wanted, first.
func writeHistory(w io.Writer, all []shim.Generation, now time.Time) error {
	t := table{header: []string{"GENERATION", "AGO", "BY", "OUTCOME", "KEPT", "DIGEST", "FILE"}}
	for _, g := range all {
		kept := "no"
		if g.Kept {
			kept = "yes"
		}
		r := t.add(strconv.Itoa(g.Number), age(now, g.At), string(g.By), string(g.Outcome), kept, g.Digest[:min(shortDigest, len(g.Digest))], g.File)
		if g.Why != "" {
			r.notes = []string{g.Why}
		}
	}
	return t.writeTo(w)
}
