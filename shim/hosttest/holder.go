package hosttest

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
)

// An ImageKeeper keeps the images of a Host.
type ImageKeeper Host

// Images returns the keeper of the host's images. If it was never called, no image need be retained.
func (h *Host) Images() *ImageKeeper {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.holding = true
	return (*ImageKeeper)(h)
}

func (s *ImageKeeper) Retain(_ context.Context, group string, generation int, image host.Image) error {
	h := (*Host)(s)
	h.mu.Lock()
	defer h.mu.Unlock()
	f := h.began("hold " + image.Ref)
	if f.err != nil && !f.after {
		return f.err
	}
	if h.held[group] == nil {
		h.held[group] = map[int]map[string]string{}
	}
	if h.held[group][generation] == nil {
		h.held[group][generation] = map[string]string{}
	}
	for digest, ref := range h.held[group][generation] {
		if ref == image.Ref && digest != image.Digest {
			h.violated(OneImage, "%s is %s and %s to generation %d of %s", ref, digest, image.Digest, generation, group)
		}
	}
	h.held[group][generation][image.Digest] = image.Ref
	return f.err
}

// Recall finds what an image means by now, and else what is held.
func (s *ImageKeeper) Restore(_ context.Context, ref, digest string) (host.Image, error) {
	h := (*Host)(s)
	h.mu.Lock()
	defer h.mu.Unlock()
	if f := h.began("image " + ref); f.err != nil {
		return host.Image{}, f.err
	}
	here := h.digest(ref) == digest
	for _, generations := range h.held {
		for _, digests := range generations {
			_, held := digests[digest]
			here = here || held
		}
	}
	if !here || h.missing[ref] {
		return host.Image{}, &hint.Error{Err: fmt.Errorf("image %s: %s is %w", ref, digest, host.ErrImageGone), Hint: "apply the file again"}
	}
	return host.Image{Ref: ref, Name: ref + "@" + digest, Digest: digest}, nil
}

func (s *ImageKeeper) Resolve(_ context.Context, ref string) (string, error) {
	h := (*Host)(s)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.missing[ref] {
		return "", nil
	}
	return h.digest(ref), nil
}

func (s *ImageKeeper) Retained(context.Context) (map[string][]int, error) {
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

func (s *ImageKeeper) Release(_ context.Context, group string, generation int) error {
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
func (h *Host) checkHeld(id string, req host.CreateRequest) {
	if _, held := h.held[req.Group.Name][req.Generation][req.Image.Digest]; h.holding && !held {
		h.violated(Retained, "%s was created from image %s", id, req.Image.Ref)
	}
}

// RetainedImages are the digests of the images that are held, a line for each generation of a group: "shop 1: sha256:web:1".
func (h *Host) RetainedImages() (lines []string) {
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
