package ctrd

import (
	"context"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// A writeCounter notes the calls that make containerd write to its database, which syncs each
// write.
type writeCounter struct {
	mu    sync.Mutex
	calls []string // "leases.Create"
}

// countWrites makes a client's calls go through a counter.
func countWrites(t *testing.T, c *Client) *writeCounter {
	t.Helper()
	w := &writeCounter{}
	counted, err := containerd.New(c.cfg.Address, containerd.WithExtraDialOpts([]grpc.DialOption{grpc.WithChainUnaryInterceptor(w.intercept)}))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.client.Close(); err != nil {
		t.Error(err)
	}
	c.client = counted
	return w
}

func (w *writeCounter) intercept(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	service, call := path.Split(method) // /containerd.services.leases.v1.Leases/Create
	if !slices.ContainsFunc([]string{"Get", "List", "Info", "Stat", "Read", "Mounts", "Version"}, func(p string) bool { return strings.HasPrefix(call, p) }) {
		w.mu.Lock()
		w.calls = append(w.calls, strings.Split(service, ".")[2]+"."+call)
		w.mu.Unlock()
	}
	return invoke(ctx, method, req, reply, cc, opts...)
}

// expect compares the calls since the last time, in any order.
func (w *writeCounter) expect(t *testing.T, when string, want ...string) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	slices.Sort(w.calls)
	if diff := cmp.Diff(want, w.calls); diff != "" {
		t.Errorf("%s, calls that write (-want +got):\n%s", when, diff)
	}
	w.calls = nil
}

func (w *writeCounter) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls = nil
}

// An apply costs containerd the writes that plain calls cost, and two for what its generation
// retains.
func TestRootWritesOfAnApply(t *testing.T) {
	eachServer(t, func(t *testing.T, c *Client) {
		w := countWrites(t, c)
		r := newHarness(t, c, busyboxArchive(t),
			script("proxy", spec.Ambassador, "sleep 1000"), script("ship", spec.Sidecar, "sleep 1000"), script("web", spec.App, "sleep 1000"))
		w.forget()
		retain := func(generation int) {
			t.Helper()
			if err := c.Retain(t.Context(), "g", generation, host.Image{Ref: r.image.Ref, Digest: r.image.Digest}); err != nil {
				t.Fatal(err)
			}
		}
		retain(1)
		w.expect(t, "the first time", "content.Update", "leases.AddResource", "leases.Create")
		retain(1)
		w.expect(t, "again")
		retain(2)
		w.expect(t, "the next generation", "leases.AddResource", "leases.Create")
		r.run()
		w.expect(t, "three containers",
			"containers.Create", "containers.Create", "containers.Create",
			"snapshots.Prepare", "snapshots.Prepare", "snapshots.Prepare",
			"tasks.Create", "tasks.Create", "tasks.Create", "tasks.Start", "tasks.Start", "tasks.Start")
		r.states("g")
		w.expect(t, "an observation")
		r.removeAll()
		c.mustRelease(t, "g", 1)
		c.mustRelease(t, "g", 2)
	})
}

// A name that has meant another image meanwhile is noted again.
func TestRootARetainedNameThatMovesBack(t *testing.T) {
	eachServer(t, func(t *testing.T, c *Client) {
		registry := startRegistry(t)
		push(t, registry, "busybox", "1", busyboxImage(t))
		first := mustImage(t, c, registry+"/busybox:1")
		ctx, cancel := c.ctx(t.Context(), callTimeout)
		defer cancel()
		record, err := c.client.ImageService().Get(ctx, first.Name)
		if err != nil {
			t.Fatal(err)
		}
		c.mustHold(t, "g", 1, first)
		push(t, registry, "busybox", "1", busyboxImage(t, withEnv("MOVED=1")))
		second := c.pullAnew(t, first.Ref)
		c.mustHold(t, "g", 2, second)
		if err := c.putImage(ctx, record); err != nil { // as an operator does, with ctr
			t.Fatal(err)
		}
		c.mustHold(t, "g", 3, first)
		c.unname(t)
		if again := mustImage(t, c, first.Ref); again.Digest != first.Digest || first.Digest == second.Digest {
			t.Errorf("the name means %s, want %s, and not %s", again.Digest, first.Digest, second.Digest)
		}
		for generation := range 3 {
			c.mustRelease(t, "g", generation+1)
		}
	})
}
