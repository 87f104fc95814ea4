package ctrd

import (
	"context"
	"slices"
	"sync"
)

// imageHolds keep images from being removed while they are about to be used. A key is a name that
// containerd has for an image, or a digest.
//
//	free ──hold──► held ──release of the last──► free
//	free ──remove──► being removed ──done──► free
//
// A hold waits while its key is being removed. The removal of a held key fails.
type imageHolds struct {
	mu       sync.Mutex
	held     map[string]int
	removing map[string]chan struct{} // closed when the removal has ended
}

// hold returns when none of the keys is being removed. From then on they can't be, until release is
// called.
func (h *imageHolds) hold(ctx context.Context, keys ...string) (release func(), err error) {
	for {
		busy := h.tryHold(keys)
		if busy == nil {
			return sync.OnceFunc(func() { h.release(keys) }), nil
		}
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// tryHold returns nil, or what is closed when a removal that is in the way has ended.
func (h *imageHolds) tryHold(keys []string) (busy chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, key := range keys {
		if busy := h.removing[key]; busy != nil {
			return busy
		}
	}
	if h.held == nil {
		h.held = map[string]int{}
	}
	for _, key := range keys {
		h.held[key]++
	}
	return nil
}

func (h *imageHolds) release(keys []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, key := range keys {
		if h.held[key]--; h.held[key] == 0 {
			delete(h.held, key)
		}
	}
}

// remove begins the removal of what has these keys, and done ends it. It reports false if one of
// them is held or being removed.
func (h *imageHolds) remove(keys []string) (done func(), free bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if slices.ContainsFunc(keys, func(key string) bool { return h.held[key] > 0 || h.removing[key] != nil }) {
		return nil, false
	}
	if h.removing == nil {
		h.removing = map[string]chan struct{}{}
	}
	ended := make(chan struct{})
	for _, key := range keys {
		h.removing[key] = ended
	}
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		for _, key := range keys {
			delete(h.removing, key)
		}
		close(ended)
	}, true
}

// Hold implements [runner.ImageKeeper].
func (c *Client) Hold(ctx context.Context, ref, digest string) (release func(), err error) {
	var keys []string
	for _, key := range []string{c.ImageName(ref), digest} {
		if key != "" {
			keys = append(keys, key)
		}
	}
	return c.holds.hold(ctx, keys...)
}

// ImageName implements [keeper.ImageStore].
func (c *Client) ImageName(ref string) string {
	src, err := parseSource(ref)
	switch {
	case err != nil:
		return ""
	case src.kind == fromRegistry:
		return src.name
	}
	return src.ref
}
