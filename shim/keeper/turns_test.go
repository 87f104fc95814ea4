package keeper_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/keeper"
	"github.com/sallyport/sallyport/shim/runner"
	"github.com/sallyport/sallyport/spec"
)

// A timedNetwork has when groups were observed.
type timedNetwork struct {
	runner.Network
	mu   sync.Mutex
	seen map[time.Time]int
}

func (n *timedNetwork) Observe(ctx context.Context, group string, want *spec.Group) host.NetState {
	n.mu.Lock()
	n.seen[time.Now()]++
	n.mu.Unlock()
	return n.Network.Observe(ctx, group, want)
}

// take returns how many groups were observed at each time since the last call.
func (n *timedNetwork) take() map[time.Time]int {
	n.mu.Lock()
	defer n.mu.Unlock()
	seen := n.seen
	n.seen = map[time.Time]int{}
	return seen
}

// What wakes all groups at the same time does not leave them with turns at the same time, or each
// half minute all would be observed at once.
func TestTurnsAreSpreadAfterAWakeOfAll(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		const groups = 60
		var files []string
		for n := range groups {
			name := fmt.Sprintf("shop%d", n)
			files = append(files, name+".hcl", edited(shop, `group "shop"`, `group "`+name+`"`, "8443", fmt.Sprint(9000+n)))
		}
		h.mustApply(files...)
		network := &timedNetwork{seen: map[time.Time]int{}}
		watcher := &wakesAll{}
		h.config = func(c *keeper.Config) { network.Network, c.Network, c.Watcher = c.Network, network, watcher }
		h.end()
		h.begin()
		for range 2 {
			watcher.all("")
			h.wait(time.Millisecond)
			network.take()
			for turn := range 2 {
				h.wait(30 * time.Second)
				seen := network.take()
				observed, most := 0, 0
				for _, n := range seen {
					observed += n
					most = max(most, n)
				}
				if observed != groups || most > groups/4 {
					t.Errorf("turn %d: %d groups observed, %d of them at one time", turn, observed, most)
				}
			}
		}
	})
}

// A wakesAll is a watcher in the hands of a test.
type wakesAll struct{ all func(group string) }

func (w *wakesAll) Watch(ctx context.Context, changed func(group string)) error {
	w.all = changed
	<-ctx.Done()
	return nil
}
