package main

import (
	"context"
	"fmt"
	"io"

	"github.com/alecthomas/kong"
)

type doctorVerb struct {
	daemonFlags
	JSON bool `name:"json" help:"Print JSON."`
}

// Run runs every check, even after a failure, so that one run shows all that is missing.
func (v *doctorVerb) Run(ctx context.Context, ui *ui, in *instance, command *kong.Context) error {
	l, err := in.layout(v.paths)
	if err != nil {
		return err
	}
	var results []result
	add := func(r result) {
		results = append(results, r)
		if !v.JSON {
			r.Hint = ui.again.text(r.Hint)
			writeResult(ui.out, r)
		}
	}
	own, err := in.settings(command, &v.daemonFlags)
	if err != nil {
		return err
	}
	for _, r := range configurationResults(ctx, in, own) {
		add(r)
	}
	for _, c := range hostChecks(l, v.runtimeFlags, in.conf) {
		add(c.result(ctx))
	}
	for _, r := range daemonResults(ctx, in) {
		add(r)
	}
	for _, r := range boundResults(ctx, in) {
		add(r)
	}
	for _, r := range imageResults(ctx, in) {
		add(r)
	}
	for _, r := range registryResults(ctx, in, own, l.LoginsPath()) {
		add(r)
	}
	for _, r := range unsafeResults(ctx, in, l) {
		add(r)
	}
	if v.JSON {
		if err := ui.json(results); err != nil {
			return err
		}
	}
	for _, r := range results {
		if !r.OK {
			return exitStatus(statusFailed)
		}
	}
	return nil
}

func writeResult(w io.Writer, r result) {
	p := newPage(w)
	line := func(s style, word, name, text string) {
		p.paint(s, word)
		name = fmt.Sprintf("%*s%-16s ", 6-len(word), "", name)
		io.WriteString(p, name)
		p.end(len(word)+len(name), text)
	}
	switch {
	case r.Note:
		line(yellow, "note", r.Name, r.Found)
	case r.OK:
		line(green, "ok", r.Name, r.Found)
	default:
		line(red, "FAIL", r.Name, r.Error)
	}
	if r.Hint != "" {
		line(plain, "", "", "-> "+r.Hint)
	}
	_ = p.print()
}
