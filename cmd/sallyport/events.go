package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/sallyport/sallyport/shim/api"
	"github.com/sallyport/sallyport/shim/group"
)

type eventsVerb struct {
	Group  string     `arg:"" optional:"" help:"The group (default all, including removed ones)."`
	Follow bool       `short:"f" help:"Continue with new events."`
	Tail   *lineCount `short:"n" placeholder:"N" help:"Begin with the last N events (default all, or 10 with -f)."`
	JSON   bool       `name:"json" help:"Print JSON, one object per line."`
}

func (v *eventsVerb) Run(ctx context.Context, ui *ui, in *instance) error {
	client, err := in.client(ctx)
	if err != nil {
		return err
	}
	q := group.EventQuery{Group: v.Group, Follow: v.Follow, Tail: tailOf(v.Tail, v.Follow)}
	return printEvents(ctx, client, q, ui.out, v.JSON)
}

// shownBefore is the number of earlier events that -f begins with.
const shownBefore = 10

// tailOf converts -n to the protocol's value, where 0 means everything.
func tailOf(asked *lineCount, follow bool) int {
	switch {
	case asked != nil && *asked == 0:
		return -1
	case asked != nil:
		return int(*asked)
	case follow:
		return shownBefore
	default:
		return 0
	}
}

// printEvents prints a line for each event.
func printEvents(ctx context.Context, client *api.Client, q group.EventQuery, w io.Writer, asJSON bool) error {
	out := newPage(w)
	lines := json.NewEncoder(out)
	lines.SetEscapeHTML(false)
	err := client.Events(ctx, q, func(e group.Event) error {
		if asJSON {
			if err := lines.Encode(e); err != nil {
				return err
			}
		} else {
			writeEvent(out, e)
		}
		if q.Follow || out.text.Len() > 64<<10 { // the next event may come much later
			return out.print()
		}
		return nil
	})
	return errors.Join(err, out.print())
}

// writeEvent prints an event in columns. Their width is fixed, because later events are not known
// yet. Most names fit. A narrow screen has no room for columns.
func writeEvent(p *page, e group.Event) {
	who := orDash(target{e.Group, e.Container}.String())
	head := fmt.Sprintf("%s  %-9s  %-20s  ", e.Time.Local().Format(time.DateTime), e.Kind, who)
	if p.width > 0 && p.width-len(head) < leastText {
		p.end(narrowIndent, fmt.Sprintf("%s %s %s: %s", e.Time.Local().Format("01-02 15:04:05"), e.Kind, who, e.Text))
		return
	}
	io.WriteString(p, head)
	p.end(textWidth(head), e.Text)
}
