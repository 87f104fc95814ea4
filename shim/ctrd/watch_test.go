package ctrd

import (
	"context"
	"testing"
	"time"

	eventtypes "github.com/containerd/containerd/api/events"
	"github.com/containerd/containerd/v2/core/events"
	"github.com/containerd/typeurl/v2"

	"github.com/sallyport/sallyport/shim/ctrd/ctrdtest"
	"github.com/sallyport/sallyport/spec"
)

func TestChangedGroup(t *testing.T) {
	tests := []struct {
		name  string
		event any
		group string
		ok    bool
	}{
		{"end of a program", &eventtypes.TaskExit{ContainerID: "shop.web", ID: "shop.web"}, "shop", true},
		{"end of an exec'd process", &eventtypes.TaskExit{ContainerID: "shop.web", ID: "exec-1"}, "", false},
		{"out of memory", &eventtypes.TaskOOM{ContainerID: "shop.web"}, "shop", true},
		{"task deleted", &eventtypes.TaskDelete{ContainerID: "shop.web"}, "shop", true},
		{"exec'd process deleted", &eventtypes.TaskDelete{ContainerID: "shop.web", ID: "exec-1"}, "", false},
		{"container deleted", &eventtypes.ContainerDelete{ID: "shop.web"}, "shop", true},
		{"something else", &eventtypes.ImageDelete{Name: "x"}, "", false},
	}
	c := &Client{log: ctrdtest.Log(t)}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			event, err := typeurl.MarshalAny(tt.event)
			if err != nil {
				t.Fatal(err)
			}
			group, ok := c.changedGroup(&events.Envelope{Event: event})
			if ok != tt.ok || ok && group != tt.group {
				t.Errorf("%q, %v, want %q, %v", group, ok, tt.group, tt.ok)
			}
		})
	}
}

func TestRootWatch(t *testing.T) {
	archive := busyboxArchive(t)
	eachServer(t, func(t *testing.T, c *Client) {
		r := newHarness(t, c, archive, script("web", spec.App, "exit 0"))
		ctx, cancel := context.WithCancel(t.Context())
		changed := make(chan string, 100)
		done := make(chan error, 1)
		go func() { done <- c.Watch(ctx, func(group string) { changed <- group }) }()
		if group := <-changed; group != "" {
			t.Errorf("first call is for %q, want every group", group)
		}
		// The subscription may begin a moment later. So the event is repeated until it arrives.
		r.eventually("an end is told", func() bool {
			r.run()
			r.ended("web")
			select {
			case group := <-changed:
				if group != "g" {
					t.Errorf("changed is %q, want g", group)
				}
				return true
			case <-time.After(5 * time.Second):
				return false
			}
		})
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// A watcher outlives containerd. When containerd came back, it looks at everything.
func TestRootWatchAgain(t *testing.T) {
	ctrdtest.EachBinary(t, func(t *testing.T, binary string) {
		c, stop := startServer(t, binary)
		ctx, cancel := context.WithCancel(t.Context())
		changed := make(chan string, 100)
		done := make(chan error, 1)
		go func() { done <- c.Watch(ctx, func(group string) { changed <- group }) }()
		<-changed
		stop()
		select {
		case group := <-changed:
			if group != "" {
				t.Errorf("called for %q, want every group", group)
			}
		case <-time.After(time.Minute):
			t.Error("not called after the stream broke")
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
