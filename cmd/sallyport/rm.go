package main

import (
	"context"
	"fmt"

	"github.com/sallyport/sallyport/shim"
)

type rmVerb struct {
	Groups []string `arg:"" name:"group" help:"The groups."`
}

// Run removes one group after the other. It looks first, so that a slip in the last name removes nothing.
func (v *rmVerb) Run(ctx context.Context, ui *ui, in *instance) error {
	client, err := in.client()
	if err != nil {
		return err
	}
	if err := all(ctx, client, v.Groups); err != nil {
		return err
	}
	for _, group := range v.Groups {
		if err := client.Remove(ctx, group, func(line string) { ui.notef("%s", line) }); err != nil {
			return interrupted(ctx, err, "the removal goes on; see \"sallyport ps\"")
		}
		fmt.Fprintf(ui.out, "%s is %s\n", group, shim.Gone)
	}
	return nil
}
