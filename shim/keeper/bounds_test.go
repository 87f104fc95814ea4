package keeper_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/keeper"
	"github.com/sallyport/sallyport/spec"
)

// fakeBounds are the bounds of one volume. Each look is a count of its own, unless counted is set.
type fakeBounds struct {
	mu      sync.Mutex
	used    int64
	hard    bool
	counted time.Time
}

func (f *fakeBounds) use(bytes int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.used = bytes
}

func (f *fakeBounds) Look(_ context.Context, want *spec.Group) ([]host.Bound, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	at := f.counted
	if at.IsZero() {
		at = time.Now()
	}
	v := spec.FindVolume(want.Volumes, "data")
	return []host.Bound{{Volume: "data", Path: "/data", Size: v.Size, Used: f.used, Hard: f.hard, At: at}}, nil
}

var boundedShop = edited(shop, `web:1"`, `web:1"`+"\n    mount \"data\" { path = \"/data\" }",
	`app "web"`, "volume \"data\" {\n    persistent = true\n    size = \"1MiB\"\n  }\n  app \"web\"")

// withBounds runs a test with a group whose volume has a size.
func withBounds(t *testing.T, do func(t *testing.T, h *harness, b *fakeBounds)) {
	t.Helper()
	withHarness(t, func(t *testing.T, h *harness) {
		b := &fakeBounds{}
		h.end()
		h.config = func(c *keeper.Config) { c.Bounds = b }
		h.begin()
		h.mustApply("shop.hcl", boundedShop)
		do(t, h, b)
	})
}

const look = 10 * time.Second // of one look at bounds to the next

func TestAPassedBoundEndsTheGroup(t *testing.T) {
	withBounds(t, func(t *testing.T, h *harness, b *fakeBounds) {
		b.use(2 << 20)
		h.wait(look)
		if st := h.status("shop"); st.State != group.Running || len(st.Bounds) != 1 || !st.Bounds[0].Passed() {
			t.Fatalf("passed once: %s, %+v", st.State, st.Bounds)
		}
		h.wait(look)
		for _, when := range []string{"at once", "after a boot"} {
			st := h.status("shop")
			if st.State != group.Stopped || st.Error != "volume data holds 2MiB, and its bound is 1MiB" || !strings.Contains(st.Hint, "sallyport start shop") || st.Bounds != nil {
				t.Errorf("%s: %s, error %q, hint %q, %+v", when, st.State, st.Error, st.Hint, st.Bounds)
			}
			h.wait(time.Hour)
			if n := h.host.Running("shop"); n != 0 {
				t.Errorf("%s %d containers run", when, n)
			}
			h.end()
			h.host.Reboot()
			h.begin()
		}
		b.use(1 << 20) // an operator makes room
		if err := h.keeper.Start(context.Background(), "shop", nil); err != nil {
			t.Fatal(err)
		}
		h.wait(time.Hour)
		if st := h.status("shop"); st.State != group.Running || st.Error != "" {
			t.Errorf("started again: %s, %q", st.State, st.Error)
		}
	})
}

// What ended the group isn't held against it any more when it runs again.
func TestAStartForgetsPassedBounds(t *testing.T) {
	for name, again := range map[string]func(h *harness) error{
		"started": func(h *harness) error { return h.keeper.Start(context.Background(), "shop", nil) },
		"a new size": func(h *harness) error {
			_, err := h.apply("shop.hcl", edited(boundedShop, `"1MiB"`, `"3MiB"`))
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			withBounds(t, func(t *testing.T, h *harness, b *fakeBounds) {
				b.use(2 << 20)
				h.wait(2 * look)
				b.use(1)
				if err := again(h); err != nil {
					t.Fatal(err)
				}
				b.use(2 << 20)
				h.wait(look)
				if st := h.status("shop"); st.State != group.Running {
					t.Errorf("%s, error %q", st.State, st.Error)
				}
				h.wait(look)
				if st, want := h.status("shop"), name == "started"; (st.State == group.Stopped) != want {
					t.Errorf("passed again: %s, error %q", st.State, st.Error)
				}
			})
		})
	}
}

func TestBoundsThatEndNothing(t *testing.T) {
	for name, set := range map[string]func(*fakeBounds){
		"exactly full":          func(b *fakeBounds) { b.used = 1 << 20 },
		"hard":                  func(b *fakeBounds) { b.used, b.hard = 2<<20, true },
		"one count, seen often": func(b *fakeBounds) { b.used, b.counted = 2<<20, time.Unix(1, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			withBounds(t, func(t *testing.T, h *harness, b *fakeBounds) {
				b.mu.Lock()
				set(b)
				b.mu.Unlock()
				h.wait(10 * look)
				if st := h.status("shop"); st.State != group.Running || len(st.Bounds) != 1 {
					t.Errorf("%s, error %q, %+v", st.State, st.Error, st.Bounds)
				}
			})
		})
	}
	t.Run("between, it was less", func(t *testing.T) {
		withBounds(t, func(t *testing.T, h *harness, b *fakeBounds) {
			for range 5 {
				b.use(2 << 20)
				h.wait(look)
				b.use(1)
				h.wait(look)
			}
			if st := h.status("shop"); st.State != group.Running {
				t.Errorf("%s, error %q", st.State, st.Error)
			}
		})
	})
}

// Another size needs no restart.
func TestAnotherSizeReplacesNothing(t *testing.T) {
	withBounds(t, func(t *testing.T, h *harness, _ *fakeBounds) {
		if _, err := h.apply("shop.hcl", edited(boundedShop, `"1MiB"`, `"3MiB"`)); err != nil {
			t.Fatal(err)
		}
		h.stopped()
		if _, err := h.apply("shop.hcl", edited(boundedShop, `size = "1MiB"`, ``)); err != nil {
			t.Fatal(err)
		}
		h.stopped("web")
	})
}
