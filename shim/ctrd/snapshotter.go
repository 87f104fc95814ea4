package ctrd

import (
	"context"
	"fmt"
	"sync"

	"github.com/sallyport/sallyport/shim/hint"
)

// snapshotters are the kinds of root filesystem we can use, the best first.
var snapshotters = []string{"overlayfs", "native"}

// A snapshotterChoice is made once per connection: a server doesn't change its plugins while it
// runs.
type snapshotterChoice struct {
	mu   sync.Mutex
	name string
}

// snapshotter returns the name of the best snapshotter that works on this server.
func (c *Client) snapshotter(ctx context.Context) (string, error) {
	c.choice.mu.Lock()
	defer c.choice.mu.Unlock()
	if c.choice.name != "" {
		return c.choice.name, nil
	}
	ctx, cancel := c.ctx(ctx, callTimeout)
	defer cancel()
	resp, err := c.client.IntrospectionService().Plugins(ctx, `type==io.containerd.snapshotter.v1`)
	if err != nil {
		return "", fmt.Errorf("list containerd's snapshotters: %w", err)
	}
	works := make(map[string]bool)
	for _, p := range resp.Plugins {
		works[p.ID] = p.InitErr == nil
	}
	for _, name := range snapshotters {
		if works[name] {
			c.choice.name = name
			return name, nil
		}
	}
	return "", &hint.Error{
		Err:  fmt.Errorf("containerd at %s has neither the overlayfs nor the native snapshotter", c.cfg.Address),
		Hint: "enable one of them in its configuration (see `ctr plugins ls`)",
	}
}
