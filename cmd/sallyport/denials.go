package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
)

type denialsVerb struct {
	Group  string `arg:"" optional:"" help:"The group (default all, including removed ones)."`
	Follow bool   `short:"f" help:"Print each refusal from now on, after the last 10."`
	JSON   bool   `name:"json" help:"Print JSON, one object per line."`
}

// Run sums up the denials of the journal, by container and destination on the way out, and by
// source and port on the way in.
func (v *denialsVerb) Run(ctx context.Context, ui *ui, in *instance) error {
	client, err := in.client(ctx)
	if err != nil {
		return err
	}
	q := group.EventQuery{Group: v.Group, Kinds: []group.EventKind{group.EventDenied, group.EventDeniedIn}, Follow: v.Follow, Tail: tailOf(nil, v.Follow)}
	if v.Follow {
		return printEvents(ctx, client, q, ui.out, v.JSON)
	}
	sums := refusals{}
	if err := client.Events(ctx, q, func(e group.Event) error { sums.add(e); return nil }); err != nil {
		return err
	}
	if v.JSON {
		return writeRefusalLines(ui.out, sums.sorted())
	}
	return writeRefusals(ui.out, sums.sorted(), ui.now())
}

// A refusal is the sum of one container's denials at one destination, or of those of one source on
// their way in. If Others is not zero, it is the sum at destinations that were not recorded one by
// one, and Others is the largest number of them in one second. One on its way in that has no source
// is the sum of sources that were not recorded one by one. Its JSON is that of the verb.
type refusal struct {
	Last  time.Time `json:"last"`
	Group string    `json:"group"`
	host.Denial
	Inbound bool `json:"inbound,omitempty"`
	Others  int  `json:"others,omitempty"`
}

// refusals are the sums, by their key: a refusal without time and counts.
type refusals map[refusal]*refusal

func (r refusals) add(e group.Event) {
	if e.Denial == nil {
		return
	}
	key := refusal{Group: e.Group, Denial: *e.Denial, Inbound: e.Kind == group.EventDeniedIn, Others: min(e.Others, 1)}
	key.Packets, key.Bytes = 0, 0
	sum := r[key]
	if sum == nil {
		sum = &refusal{Group: e.Group, Denial: key.Denial, Inbound: key.Inbound}
		r[key] = sum
	}
	sum.Last, sum.Others = e.Time, max(sum.Others, e.Others)
	sum.Packets += e.Denial.Packets
	sum.Bytes += e.Denial.Bytes
}

// sorted returns the refusals, the latest first.
func (r refusals) sorted() []*refusal {
	out := make([]*refusal, 0, len(r))
	for _, sum := range r {
		out = append(out, sum)
	}
	slices.SortFunc(out, func(a, b *refusal) int {
		return cmp.Or(b.Last.Compare(a.Last), cmp.Compare(a.Group, b.Group), cmp.Compare(a.Container, b.Container),
			a.Source.Compare(b.Source), cmp.Compare(a.Protocol, b.Protocol), a.Destination.Compare(b.Destination))
	})
	return out
}

// writeRefusals writes a table. It has a column for sources if something was dropped on its way in.
func writeRefusals(w io.Writer, sums []*refusal, now time.Time) error {
	t := table{
		header: []string{"LAST", "GROUP", "CONTAINER", "PROTOCOL", "DESTINATION", "PACKETS"},
		least:  []string{"PROTOCOL", "PACKETS", "LAST", "GROUP"},
	}
	inbound := slices.ContainsFunc(sums, func(s *refusal) bool { return s.Inbound })
	if inbound {
		t.header = slices.Insert(t.header, 3, "SOURCE")
	}
	for _, s := range sums {
		to := ""
		switch {
		case s.Others > 0:
			to = "others"
		case s.Destination.IsValid():
			to = host.HostPort(s.Destination)
		}
		row := []string{age(now, s.Last), s.Group, s.Container, s.Protocol, to, fmt.Sprint(s.Packets)}
		if inbound {
			row = slices.Insert(row, 3, s.sourceText())
		}
		t.add(row...)
	}
	return t.writeTo(w)
}

// sourceText returns where the packets came from. It is empty for what a container sent.
func (r *refusal) sourceText() string {
	switch {
	case !r.Inbound:
		return ""
	case !r.Source.IsValid():
		return "others"
	default:
		return r.Source.String()
	}
}

func writeRefusalLines(w io.Writer, sums []*refusal) error {
	lines := json.NewEncoder(w)
	for _, s := range sums {
		if err := lines.Encode(s); err != nil {
			return err
		}
	}
	return nil
}
