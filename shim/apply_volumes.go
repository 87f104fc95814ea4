package shim

import (
	"context"
	"fmt"
)

// checkVolumes asks of every group of the change whether it can have its volumes on this host, before anything is stopped for it.
func (k *Keeper) checkVolumes(ctx context.Context, c change) error {
	for i := range c.groups {
		if err := k.config.Volumes.Check(ctx, &c.groups[i]); err != nil {
			return fmt.Errorf("group %s: %w", c.groups[i].Name, err)
		}
	}
	return nil
}
