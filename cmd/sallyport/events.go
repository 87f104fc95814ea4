package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/sallyport/sallyport/shim"
	"github.com/sallyport/sallyport/shim/api"
)

type eventsVerb struct {
	Group  string `arg:"" optional:"" help:"The group (default all, those that are gone included)."`
	Follow bool   `short:"f" help:"Go on with what happens from now on."`
	Tail   *int   `short:"n" placeholder:"N" help:"Begin with the last N (default all, or 10 with -f)."`
	JSON   bool   `name:"json" help:"Print JSON, an object a line."`
}

func (v *eventsVerb) Run(ctx context.Context, ui *ui, in *instance) error {
	client, err := in.client()
	if err != nil {
		return err
	}
	q := shim.EventQuery{Group: v.Group, Follow: v.Follow, Tail: tailOf(v.Tail, v.Follow)}
	return printEvents(ctx, client, q, ui.out, v.JSON)
}

// shownBefore is how many events one begins with who wants to see what happens now.
const shownBefore = 10

// tailOf is what was asked for as the wire has it, where 0 is everything.
func tailOf(asked *int, follow bool) int {
	switch {
	case asked != nil && *asked <= 0:
		return -1
	case asked != nil:
		return *asked
	case follow:
		return shownBefore
	default:
		return 0
	}
}

// printEvents prints a line for each event.
func printEvents(ctx context.Context, client *api.Client, q shim.EventQuery, w io.Writer, asJSON bool) error {
	out := bufio.NewWriter(w)
	lines := json.NewEncoder(out)
	lines.SetEscapeHTML(false)
	err := client.Events(ctx, q, func(e shim.Event) error {
		if asJSON {
			if err := lines.Encode(e); err != nil {
				return err
			}
		} else {
			writeEvent(out, e)
		}
		if q.Follow {
			return out.Flush() // nobody knows when the next one comes
		}
		return nil
	})
	return errors.Join(err, out.Flush())
}

// writeEvent prints the columns at a width that most names stay within: what comes later is not known. The writer keeps the
// error.
func writeEvent(w io.Writer, e shim.Event) {
	who := target{e.Group, e.Container}
	fmt.Fprintf(w, "%s  %-9s  %-20s  %s\n", e.Time.Local().Format(time.DateTime), e.Kind, who, oneLine(e.Text))
}
