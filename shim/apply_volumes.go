package shim

import (
	"context"
	"fmt"
)

// checkVolumes asks for every volume of the change whether this host can have it, before anything is stopped for it.
func (k *Keeper) checkVolumes(ctx context.Context, c change) error {
	for _, g := range c.groups {
		for _, v := range g.Volumes {
			if err := k.config.Volumes.Check(ctx, v); err != nil {
				return fmt.Errorf("group %s: %w", g.Name, err)
			}
		}
	}
	return nil
}
