package main

import (
	"context"
	"fmt"

	"github.com/sallyport/sallyport/shim"
)

type rmVerb struct {
	Groups  []string `arg:"" name:"group" help:"The groups."`
	Volumes bool     `help:"Delete what is in their persistent volumes too; one group that was removed before may be named for that."`
}

// Run removes one group after the other. It looks first, so that a slip in the last name removes nothing. Of what is left of a
// group that was removed before there is nothing to look at.
func (v *rmVerb) Run(ctx context.Context, ui *ui, in *instance) error {
	client, err := in.client()
	if err != nil {
		return err
	}
	remove := client.Remove
	if v.Volumes {
		remove = client.Purge
	}
	if err := all(ctx, client, v.Groups); err != nil && !(v.Volumes && len(v.Groups) == 1) {
		return err
	}
	for _, group := range v.Groups {
		if err := remove(ctx, group, func(line string) { ui.notef("%s", line) }); err != nil {
			return interrupted(ctx, err, "the removal goes on; see \"sallyport ps\"")
		}
		fmt.Fprintf(ui.out, "%s is %s\n", group, shim.Gone)
	}
	return nil
}
