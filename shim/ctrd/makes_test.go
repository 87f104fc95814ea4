package ctrd

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerd/containerd/api/services/tasks/v1"
	containerd "github.com/containerd/containerd/v2/client"
	"google.golang.org/grpc"

	"github.com/sallyport/sallyport/shim/layout"
)

// busyTasks start a task just in time.
type busyTasks struct {
	tasks.TasksClient
	mu        sync.Mutex
	now, most int
}

func (b *busyTasks) Start(ctx context.Context, _ *tasks.StartRequest, _ ...grpc.CallOption) (*tasks.StartResponse, error) {
	b.mu.Lock()
	b.now++
	b.most = max(b.most, b.now)
	b.mu.Unlock()
	time.Sleep(startTimeout - time.Second)
	b.mu.Lock()
	b.now--
	b.mu.Unlock()
	return &tasks.StartResponse{}, ctx.Err()
}

// The containers of many groups that have one shim are started a few at a time, and each has its
// own time for it.
func TestManyStartsOfOneShim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		busy := &busyTasks{}
		client, err := containerd.New("", containerd.WithServices(containerd.WithTaskClient(busy)))
		if err != nil {
			t.Fatal(err)
		}
		c := &Client{
			client: client, makes: turns{atOnce: makesAtOnce}, log: slog.New(slog.DiscardHandler),
			cfg: Config{HostShim: true, Layout: layout.Layout{Namespace: "test", RunDir: t.TempDir(), StateDir: t.TempDir()}},
		}
		var all sync.WaitGroup
		for i := range 3 * makesAtOnce {
			all.Go(func() {
				if err := c.Start(t.Context(), fmt.Sprintf("g%d", i), "app"); err != nil {
					t.Errorf("g%d: %v", i, err)
				}
			})
		}
		all.Wait()
		if busy.most != makesAtOnce {
			t.Errorf("%d starts at once, want %d", busy.most, makesAtOnce)
		}
	})
}
