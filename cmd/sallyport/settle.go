package main

import (
	"context"
	"fmt"
	"time"

	"github.com/alecthomas/kong"
	"golang.org/x/sync/errgroup"

	"github.com/sallyport/sallyport/shim/api"
)

// A settleFlag lets a verb that starts a group wait on after the group is ready.
type settleFlag struct {
	Settle settleTime `placeholder:"DURATION" help:"Watch on until the groups have run for so long, such as 500ms, and until a generation on trial has its verdict. Exit with 1 if a container ends before."`
}

// A settleTime is how long to watch on. 0 is not at all.
type settleTime time.Duration

// longestSettle is that of the health_timeout of a group.
const longestSettle = 24 * time.Hour

// Decode reads a length of time up to 24 hours.
func (t *settleTime) Decode(c *kong.DecodeContext) error {
	var text string
	if err := c.Scan.PopValueInto("duration", &text); err != nil {
		return err
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || d > longestSettle {
		return fmt.Errorf("%q is no length of time up to 24h, such as 500ms", text)
	}
	*t = settleTime(d)
	return nil
}

// settle watches the groups at the same time, and returns the first failure.
func (f *settleFlag) settle(ctx context.Context, ui *ui, client *api.Client, groups ...string) error {
	if f.Settle == 0 {
		return nil
	}
	d := time.Duration(f.Settle)
	progress := ui.wait(fmt.Sprintf("for --settle %s", d))
	defer progress.end()
	all, watched := errgroup.WithContext(ctx)
	for _, group := range groups {
		all.Go(func() error { return client.Settle(watched, group, d, progress.line) })
	}
	return all.Wait()
}
