package ctrd

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/leases"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/layout"
)

// A heldLeases has everything in each of its leases.
type heldLeases struct{ leases.Manager }

const heldDigest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func (heldLeases) ListResources(context.Context, leases.Lease) ([]leases.Resource, error) {
	return []leases.Resource{{ID: heldDigest, Type: "content"}}, nil
}

// The time of a call begins with it, and not while its caller waits for the calls of others. Else a
// busy host makes it fail before it is made.
func TestSharedCallsHaveTheirOwnTime(t *testing.T) {
	const others = callTimeout - time.Second
	client, err := containerd.New("", containerd.WithServices(containerd.WithLeasesService(heldLeases{})))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		call func(context.Context, *Client) error
	}{
		{"Observe", func(ctx context.Context, c *Client) error { _, err := c.Observe(ctx, "shop"); return err }},
		{"Retained", func(ctx context.Context, c *Client) error { _, err := c.Retained(ctx); return err }},
		{"Retain", func(ctx context.Context, c *Client) error {
			return c.Retain(ctx, "shop", 1, host.Image{Ref: "registry.example/web:1", Digest: heldDigest})
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &Client{client: client, cfg: Config{Layout: layout.Layout{Namespace: "test"}}}
				calls := 0
				busy := func() { time.Sleep(others); calls++ }
				c.listings.ask = func(context.Context, []string) (*listing, error) { busy(); return &listing{}, nil }
				c.retained.ask = func(context.Context, []struct{}) (map[string][]int, error) { busy(); return nil, nil }
				c.noted.ask = func(context.Context, []host.Image) (map[host.Image]error, error) { busy(); return nil, nil }
				go func() { _ = tt.call(t.Context(), c) }() // the other, whose call is under way
				synctest.Wait()
				if err := tt.call(t.Context(), c); err != nil || calls != 2 {
					t.Errorf("%d calls, %v", calls, err)
				}
				time.Sleep(others) // if it failed, its call goes on
			})
		})
	}
}
