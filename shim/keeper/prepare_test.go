package keeper_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/keeper"
	"github.com/sallyport/sallyport/spec"
)

// An edit by hand is not checked before it is loaded, unlike an apply. Still, it stops nothing if
// it cannot be built.
func TestAnEditThatCannotBeBuiltStopsNothing(t *testing.T) {
	for _, tt := range []struct {
		name   string
		lose   func(h *harness)
		after  string // the edit
		want   string // in the status
		mended func(h *harness)
	}{
		{
			"an absent image", func(h *harness) { h.host.LoseImage("registry.example/web:2") },
			edited(shop, "web:1", "web:2"), "create web (app): image registry.example/web:2: not found",
			func(h *harness) { h.host.FindImage("registry.example/web:2") },
		},
		{
			"an absent folder", func(h *harness) { h.host.LosePath("/srv/conf") },
			edited(shop, `{ size = "64MiB" }`, `{ host_path = "/srv/conf" }`), "/srv/conf does not exist",
			func(h *harness) { h.host.FindPath("/srv/conf") },
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			withHarness(t, func(t *testing.T, h *harness) {
				h.mustApply("shop.hcl", shop)
				tt.lose(h)
				before := h.host.String()
				h.write("shop.hcl", tt.after)
				h.wait(time.Hour)
				if now := h.host.String(); now != before {
					t.Errorf("before:\n%s\nafter:\n%s", before, now)
				}
				if st := h.status("shop"); st.Generation != 2 || !strings.Contains(st.Error, tt.want) || st.Hint == "" {
					t.Errorf("generation %d, error %q, hint %q", st.Generation, st.Error, st.Hint)
				}
				tt.mended(h)
				h.wait(time.Minute)
				if st := h.status("shop"); st.State != group.Running || st.Error != "" || h.host.Running("shop") != 3 {
					t.Errorf("mended: %s, error %q\n%s", st.State, st.Error, h.host)
				}
			})
		})
	}
}

// Flushed rules are put back, even if something else is missing.
func TestRulesReturnWhileAnEditCannotBeBuilt(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.mustApply("shop.hcl", shop)
		whole := h.host.String()
		h.host.LoseImage("registry.example/web:1")
		h.end()
		h.host.Flush("shop")
		h.host.Exit("shop", "web", 1)
		h.begin()
		h.wait(time.Minute)
		namespace := whole[strings.Index(whole, "namespace shop"):]
		if namespace, _, _ = strings.Cut(namespace, "\n"); !strings.Contains(h.host.String(), namespace) {
			t.Errorf("the rules are not back:\n%s", h.host)
		}
	})
}

// A container in a lost namespace is removed at once.
func TestLostNamespaceIsLeftWhileAnEditCannotBeBuilt(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.mustApply("shop.hcl", shop)
		h.end()
		h.host.LoseImage("registry.example/web:1")
		h.host.Unpin("shop")
		h.begin()
		h.wait(time.Second)
		if strings.Contains(h.host.String(), "running") {
			t.Errorf("something still runs:\n%s", h.host)
		}
	})
}

// An edit by hand also asks whether another process has a port of the host. It stops nothing if the
// port is taken.
func TestAnEditThatPublishesATakenPort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		var taken atomic.Uint32 // read by the runners
		taken.Store(22)
		h.config = func(c *keeper.Config) {
			c.PortInUse = func(p spec.Publish) (string, error) {
				if uint32(p.Host) == taken.Load() {
					return "sshd", nil
				}
				return "", nil
			}
		}
		h.begin()
		h.mustApply("shop.hcl", shop)
		before := h.host.String()
		h.write("shop.hcl", edited(newWeb, "8443", "22"))
		h.wait(time.Hour)
		if st := h.status("shop"); st.Error != "port 22/tcp of the host is taken by sshd" || st.Hint != `give publish "http" another host port, or end what has it` {
			t.Errorf("error %q, hint %q", st.Error, st.Hint)
		}
		if now := h.host.String(); now != before {
			t.Errorf("before:\n%s\nafter:\n%s", before, now)
		}
		taken.Store(0)
		h.wait(time.Minute)
		if st := h.status("shop"); st.State != group.Running || st.Error != "" {
			t.Errorf("%s, error %q", st.State, st.Error)
		}
		// The group has its published port even if others listen there too: its link is put back.
		taken.Store(22)
		h.host.Unlink("shop")
		h.wait(time.Minute)
		if st := h.status("shop"); st.State != group.Running || st.Error != "" {
			t.Errorf("with a link that was deleted: %s, error %q", st.State, st.Error)
		}
		h.end()
	})
}
