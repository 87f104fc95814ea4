package keeper

import (
	"context"
	"errors"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/runner"
)

// Install is Apply that returns when the files are installed, and does not wait for their groups.
// Everything that Apply checks before that is checked. The keeper then waits in the place of the
// caller: a file with a group that can't be built is put back as it was. The log and the events
// have that. If the keeper ends before, the files stay, as after an Apply that is given up.
func (k *Keeper) Install(ctx context.Context, files []group.Bundle, progress func(line string)) error {
	if progress == nil {
		progress = func(string) {}
	}
	c, waiter, err := k.installed(ctx, files, group.Origin{By: group.ByApply}, progress)
	k.pruneSoon()
	if err != nil {
		return err
	}
	c.releaseImages() // they are wanted
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.goOn != nil { // else the keeper ends
		k.goOn(func(ctx context.Context) { c.waitDetached(ctx, waiter) })
	}
	return nil
}

// waitDetached does what Apply does after the installation.
func (c *change) waitDetached(ctx context.Context, waiter *runner.Waiter) {
	err := c.wait(ctx, waiter, func(string) {})
	if err != nil && ctx.Err() == nil && !errors.Is(err, runner.ErrStopping) {
		c.keeper.config.Log.Warn("an apply that no caller waits for has failed: " + hint.OneLine(err.Error()))
	}
}
