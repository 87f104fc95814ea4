package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/docker/go-units"

	"github.com/sallyport/sallyport/shim/api"
	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
)

type logsVerb struct {
	Targets    []target   `arg:"" optional:"" name:"group[.container]" help:"Groups, or single containers of them. Each line begins with the container, unless a single one is named."`
	Follow     bool       `short:"f" help:"Continue with new output, over restarts, and over rm and a later group of that name."`
	Tail       *lineCount `short:"n" placeholder:"N" help:"Begin with the last N lines of each container (default all)."`
	Timestamps bool       `short:"t" help:"Begin each line with when it was written, to within a second. \"<\" before a time means then or earlier, \"-\" that it is not known."`
	Since      string     `placeholder:"TIME" help:"Begin with output of that time: a duration such as 10m, or a time such as 15:04 or 2026-01-31T15:04:05+01:00."`
	Until      string     `placeholder:"TIME" help:"End with output of that time."`
	Removed    bool       `help:"Print the output of the latest group of that name that was removed. Without a group, list what is kept."`
	JSON       bool       `name:"json" help:"Print JSON, one object per line."`
	Raw        bool       `help:"Print control characters to a terminal as they are. Into a file or a pipe, they always are."`
}

func (v *logsVerb) Run(ctx context.Context, ui *ui, in *instance) error {
	requests, err := v.requests(ui.now())
	if err != nil {
		return err
	}
	client, err := in.client(ctx)
	if err != nil {
		return err
	}
	if len(requests) == 0 {
		return v.listRemoved(ctx, ui, client)
	}
	p := newLogPrinter(ui, v)
	if err := v.name(ctx, client, p, requests); err != nil {
		return err
	}
	err = copyLogs(ctx, client, requests, p.print)
	return errors.Join(err, p.end())
}

// requests returns a request for each group. There is none if the verb lists what is kept.
func (v *logsVerb) requests(now time.Time) (requests []api.LogRequest, err error) {
	of := api.LogRequest{Follow: v.Follow, Removed: v.Removed, Times: v.Timestamps || v.JSON}
	if v.Tail != nil {
		if of.Tail = int(*v.Tail); of.Tail == 0 {
			of.Tail = -1 // in the protocol, 0 means everything
		}
	}
	for _, flag := range []struct {
		name, text string
		at         *time.Time
	}{{"--since", v.Since, &of.Since}, {"--until", v.Until, &of.Until}} {
		if flag.text == "" {
			continue
		}
		if *flag.at, err = parseMoment(flag.text, now); err != nil {
			return nil, usage(fmt.Errorf("%s: %w", flag.name, err), "")
		}
	}
	switch {
	case len(v.Targets) == 0 && !v.Removed:
		return nil, usage(errors.New("which group? give at least one GROUP or GROUP.CONTAINER"), "\"sallyport ps\" lists the groups")
	case v.Follow && v.Until != "":
		return nil, usage(errors.New("--follow has no end, and --until is one"), "leave out one of them")
	case v.Follow && v.Removed:
		return nil, usage(errors.New("a removed group prints nothing more to --follow"), "leave out one of --follow and --removed")
	case !of.Until.IsZero() && of.Since.After(of.Until):
		return nil, usage(errors.New("--since is after --until"), "exchange them")
	}
	for _, t := range v.Targets {
		i := slices.IndexFunc(requests, func(r api.LogRequest) bool { return r.Group == t.group })
		if i < 0 {
			i, requests = len(requests), append(requests, of)
			requests[i].Group = t.group
			if t.container != "" {
				requests[i].Containers = []string{t.container}
			}
			continue
		}
		r := &requests[i]
		switch {
		case len(r.Containers) == 0: // the whole group was asked for
		case t.container == "":
			r.Containers = nil
		case !slices.Contains(r.Containers, t.container):
			r.Containers = append(r.Containers, t.container)
		}
	}
	for i := range requests {
		requests[i].Times = of.Times || len(requests) > 1
	}
	return requests, nil
}

// name lets the printer know the names of what it is going to print. A group that doesn't exist is
// an error before anything is printed.
func (v *logsVerb) name(ctx context.Context, client *api.Client, p *logPrinter, requests []api.LogRequest) error {
	p.groups, p.single = len(requests) > 1, len(requests) == 1 && len(requests[0].Containers) == 1
	for i, r := range requests {
		names := r.Containers
		if !v.Removed && (len(names) == 0 || len(requests) > 1) {
			groups, err := client.Status(ctx, r.Group)
			if errors.Is(err, group.ErrNoGroup) { // the daemon's error has a hint if it was removed, and it knows the output of a run that is over
				err = client.Logs(ctx, api.LogRequest{Group: r.Group, Tail: -1}, func(api.LogLine) error { return nil })
			}
			if first := requests[0].Group; i > 0 && errors.Is(err, group.ErrNoGroup) && hint.Of(err) == "" {
				err = &hint.Error{Err: err, Hint: fmt.Sprintf("for a container of group %s, write %s.%s", first, first, r.Group)}
			}
			if err != nil {
				return err
			}
			for _, g := range groups {
				for _, c := range g.Containers {
					if len(r.Containers) == 0 {
						names = append(names, c.Name)
					}
				}
			}
		}
		for _, name := range names {
			p.label(r.Group, api.LogLine{Container: name})
		}
	}
	return nil
}

func (v *logsVerb) listRemoved(ctx context.Context, ui *ui, client *api.Client) error {
	all, err := client.Removed(ctx)
	if err != nil {
		return err
	}
	if v.JSON {
		return ui.json(append([]api.RemovedOutput{}, all...))
	}
	t := table{
		header: []string{"GROUP", "REMOVED", "CONTAINERS", "ON DISK"},
		least:  []string{"CONTAINERS"},
		cut:    map[string]cutter{"CONTAINERS": cutItems},
	}
	for _, o := range all {
		t.add(o.Group, o.At.Local().Format(time.DateTime), strings.Join(o.Containers, ","), units.BytesSize(float64(o.Size)))
	}
	return t.writeTo(ui.out)
}
