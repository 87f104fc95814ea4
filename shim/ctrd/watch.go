package ctrd

import (
	"context"
	"fmt"
	"slices"
	"time"

	eventtypes "github.com/containerd/containerd/api/events"
	"github.com/containerd/containerd/v2/core/events"
	"github.com/containerd/typeurl/v2"
)

// These are the pauses between attempts to receive events. After the longest at most, a containerd
// that came back is noticed.
const (
	watchAgain    = 100 * time.Millisecond
	watchAgainMax = 5 * time.Second
)

// watched are the events after which a group may differ from its definition. What we do ourselves
// we know without them.
var watched = []string{"/tasks/exit", "/tasks/oom", "/tasks/delete", "/containers/delete"}

// watchedMembers are the events after which another group may have a container; see [membership].
var watchedMembers = []string{"/containers/create", "/containers/update"}

// Watch implements [keeper.Watcher]. It returns nil when ctx ends.
func (c *Client) Watch(ctx context.Context, changed func(group string)) error {
	wait := watchAgain
	for {
		began := time.Now()
		err := c.watchOnce(ctx, changed)
		if ctx.Err() != nil {
			return nil
		}
		if time.Since(began) > watchAgainMax {
			wait = watchAgain // it worked for a while
		}
		c.log.Warn("no events from containerd", "error", err, "again_in", wait)
		if pause(ctx, wait) != nil {
			return nil
		}
		wait = min(2*wait, watchAgainMax)
	}
}

// watchOnce passes events on until the stream breaks.
func (c *Client) watchOnce(ctx context.Context, changed func(group string)) error {
	ctx, cancel := c.ctx(ctx, 0)
	defer cancel()
	var filters []string
	for _, topic := range slices.Concat(watched, watchedMembers) {
		filters = append(filters, fmt.Sprintf("namespace==%q,topic==%q", c.cfg.Layout.Namespace, topic))
	}
	stream, errs := c.client.EventService().Subscribe(ctx, filters...)
	c.events.set(time.Now())
	defer c.events.set(time.Time{})
	c.running.forget("")
	c.members.forget()
	defer c.members.forget()
	changed("") // events of the time before are lost
	for {
		select {
		case e := <-stream:
			if group, ok := c.changedGroup(e); ok {
				c.running.forget(group)
				changed(group)
			}
		case err := <-errs:
			return err
		}
	}
}

// changedGroup returns the group that an event is about. ok is false for events that change
// nothing, such as the end of an exec'd process.
func (c *Client) changedGroup(e *events.Envelope) (group string, ok bool) {
	decoded, err := typeurl.UnmarshalAny(e.Event)
	if err != nil {
		c.log.Warn("event not understood", "topic", e.Topic, "error", err)
		c.members.forget()
		return "", true // the group is unknown: look at all
	}
	c.members.see(decoded)
	switch e := decoded.(type) {
	case *eventtypes.TaskExit:
		return groupOf(e.ContainerID), e.ID == e.ContainerID
	case *eventtypes.TaskOOM:
		return groupOf(e.ContainerID), true
	case *eventtypes.TaskDelete:
		return groupOf(e.ContainerID), e.ID == "" || e.ID == e.ContainerID
	case *eventtypes.ContainerDelete:
		return groupOf(e.ID), true
	}
	return "", false
}
