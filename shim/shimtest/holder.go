package shimtest

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/sallyport/sallyport/shim"
)

type holderSide Host

var _ shim.Holder = (*holderSide)(nil)

// Holder is what keeps the host's images. Where it was never asked for, none need be held.
func (h *Host) Holder() shim.Holder {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.holding = true
	return (*holderSide)(h)
}

func (s *holderSide) Hold(_ context.Context, group string, generation int, image shim.Image) error {
	h := (*Host)(s)
	h.mu.Lock()
	defer h.mu.Unlock()
	f := h.began("hold " + image.Ref)
	if f.err != nil && !f.after {
		return f.err
	}
	if h.held[group] == nil {
		h.held[group] = map[int]map[string]bool{}
	}
	if h.held[group][generation] == nil {
		h.held[group][generation] = map[string]bool{}
	}
	h.held[group][generation][image.Digest] = true
	return f.err
}

func (s *holderSide) Held(context.Context) (map[string][]int, error) {
	h := (*Host)(s)
	h.mu.Lock()
	defer h.mu.Unlock()
	if f := h.began("list held images"); f.err != nil {
		return nil, f.err
	}
	out := map[string][]int{}
	for group, generations := range h.held {
		out[group] = slices.Sorted(maps.Keys(generations))
	}
	return out, nil
}

func (s *holderSide) Release(_ context.Context, group string, generation int) error {
	h := (*Host)(s)
	h.mu.Lock()
	defer h.mu.Unlock()
	f := h.began("release")
	if f.err != nil && !f.after {
		return f.err
	}
	delete(h.held[group], generation)
	if len(h.held[group]) == 0 {
		delete(h.held, group)
	}
	return f.err
}

// checkHeld notes a container made of what may be collected at any time. It needs mu.
func (h *Host) checkHeld(id string, req shim.CreateRequest) {
	if h.holding && !h.held[req.Group.Name][req.Generation][req.Image.Digest] {
		h.violated(Held, "%s was created from image %s", id, req.Image.Ref)
	}
}

// HeldImages are the digests of the images that are held, a line for each generation of a group: "shop 1: sha256:web:1".
func (h *Host) HeldImages() (lines []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for group, generations := range h.held {
		for generation, digests := range generations {
			line := fmt.Sprintf("%s %d:", group, generation)
			for _, d := range slices.Sorted(maps.Keys(digests)) {
				line += " " + d
			}
			lines = append(lines, line)
		}
	}
	slices.Sort(lines)
	return lines
}
