package hosttest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
)

// An ImageKeeper keeps the images of a Host. It implements [runner.ImageKeeper].
type ImageKeeper Host

// Images returns the keeper of the host's images. If it was never called, containers may be created
// from images that are not retained.
func (h *Host) Images() *ImageKeeper {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.retaining = true
	return (*ImageKeeper)(h)
}

func (k *ImageKeeper) Retain(_ context.Context, group string, generation int, image host.Image) error {
	h := (*Host)(k)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.retentions = append(h.retentions, fmt.Sprintf("%s %d: %s", group, generation, image.Digest))
	f := h.begin("retain " + image.Ref)
	if f.err != nil && !f.after {
		return f.err
	}
	if h.retained[group] == nil {
		h.retained[group] = map[int]map[string]string{}
	}
	if h.retained[group][generation] == nil {
		h.retained[group][generation] = map[string]string{}
	}
	for digest, ref := range h.retained[group][generation] {
		if ref == image.Ref && digest != image.Digest {
			h.violated(OneImage, "%s is %s and %s in generation %d of %s", ref, digest, image.Digest, generation, group)
		}
	}
	h.retained[group][generation][image.Digest] = image.Ref
	return f.err
}

// Restore finds the image among those that the names mean now, and among the retained ones.
func (k *ImageKeeper) Restore(ctx context.Context, ref, digest string) (host.Image, error) {
	h := (*Host)(k)
	h.mu.Lock()
	defer h.mu.Unlock()
	if f := h.begin("image " + ref); f.err != nil {
		return host.Image{}, f.err
	}
	here := h.digest(ref) == digest
	for _, generations := range h.retained {
		for _, digests := range generations {
			_, ok := digests[digest]
			here = here || ok
		}
	}
	if !here || h.missing[ref] {
		return host.Image{}, &hint.Error{Err: fmt.Errorf("image %s: %s is %w", ref, digest, host.ErrImageGone), Hint: "apply the file again"}
	}
	return host.Image{Ref: ref, Name: ref + "@" + digest, Digest: digest}, h.prove(ctx, digest)
}

func (k *ImageKeeper) Resolve(_ context.Context, ref string) (string, error) {
	h := (*Host)(k)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.missing[ref] {
		return "", nil
	}
	return h.digest(ref), nil
}

// Hold holds a reference and a digest. It asks nothing of the host, and so it is no operation.
func (k *ImageKeeper) Hold(_ context.Context, ref, digest string) (release func(), err error) {
	h := (*Host)(k)
	h.mu.Lock()
	defer h.mu.Unlock()
	keys := []string{ref, digest}
	for _, key := range keys {
		h.held[key]++
	}
	return sync.OnceFunc(func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		for _, key := range keys {
			if h.held[key]--; h.held[key] == 0 {
				delete(h.held, key)
			}
		}
	}), nil
}

// Held reports whether a reference or a digest is held.
func (h *Host) Held(key string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.held[key] > 0
}

func (k *ImageKeeper) Retained(context.Context) (map[string][]int, error) {
	h := (*Host)(k)
	h.mu.Lock()
	defer h.mu.Unlock()
	if f := h.begin("list retained images"); f.err != nil {
		return nil, f.err
	}
	out := map[string][]int{}
	for group, generations := range h.retained {
		out[group] = slices.Sorted(maps.Keys(generations))
	}
	return out, nil
}

func (k *ImageKeeper) Release(_ context.Context, group string, generation int) error {
	h := (*Host)(k)
	h.mu.Lock()
	defer h.mu.Unlock()
	f := h.begin("release")
	if f.err != nil && !f.after {
		return f.err
	}
	delete(h.retained[group], generation)
	if len(h.retained[group]) == 0 {
		delete(h.retained, group)
	}
	return f.err
}

// Holds makes a hold take the place of a retention for the images of these groups. A name that ends
// with "-" stands for all that begin with it.
func (h *Host) Holds(groups ...string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, name := range groups {
		h.holding[name] = true
	}
}

// checkRetained records a container that is created from an image that may be collected at any
// time. The caller holds mu.
func (h *Host) checkRetained(id string, req host.CreateRequest) {
	_, ok := h.retained[req.Group.Name][req.Generation][req.Image.Digest]
	if h.holding[req.Group.Name] || h.holding[req.Group.Name[:strings.LastIndex(req.Group.Name, "-")+1]] {
		ok = h.held[req.Image.Ref] > 0
	}
	if h.retaining && !ok {
		h.violated(Retained, "%s was created from image %s", id, req.Image.Ref)
	}
}

// RetainedImages returns the digests of the retained images. There is a line for each generation of
// a group: "shop 1: sha256:web:1".
func (h *Host) RetainedImages() (lines []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for group, generations := range h.retained {
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

// Retentions returns a line for each call that retained an image, or tried to, in order. The lines
// are as those of RetainedImages.
func (h *Host) Retentions() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.retentions)
}

// SetImage makes a reference resolve to another digest.
func (h *Host) SetImage(ref, digest string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.images[ref] = digest
}

// SetRegistry makes a reference mean another digest at its registry. The host has it when it asks
// there.
func (h *Host) SetRegistry(ref, digest string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.registry[ref] = digest
}

// LoseImage makes a reference resolve to nothing. Its retained images are gone too.
func (h *Host) LoseImage(ref string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.missing[ref] = true
}

// FindImage undoes LoseImage.
func (h *Host) FindImage(ref string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.missing, ref)
}
