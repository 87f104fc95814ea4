package shimtest

import (
	"context"
	"maps"
	"slices"

	"github.com/sallyport/sallyport/shim"
	"github.com/sallyport/sallyport/spec"
)

type volumeSide Host

var _ shim.Volumes = (*volumeSide)(nil)

func (v *volumeSide) Observe(_ context.Context, group string) ([]spec.Volume, error) {
	h := (*Host)(v)
	h.mu.Lock()
	defer h.mu.Unlock()
	if f := h.began("observe volumes"); f.err != nil {
		return nil, f.err
	}
	var out []spec.Volume
	for _, name := range slices.Sorted(maps.Keys(h.volumes[group])) {
		out = append(out, spec.Volume{Name: name, Size: h.volumes[group][name]})
	}
	return out, nil
}

func (v *volumeSide) Ensure(_ context.Context, group string, vol spec.Volume) error {
	h := (*Host)(v)
	h.mu.Lock()
	defer h.mu.Unlock()
	f := h.began("mount " + vol.Name)
	if f.err != nil && !f.after {
		return f.err
	}
	if h.volumes[group] == nil {
		h.volumes[group] = map[string]int64{}
	}
	h.volumes[group][vol.Name] = vol.Size
	return f.err
}

func (v *volumeSide) Remove(_ context.Context, group, volume string) error {
	h := (*Host)(v)
	h.mu.Lock()
	defer h.mu.Unlock()
	f := h.began("unmount " + volume)
	if f.err != nil && !f.after {
		return f.err
	}
	for id, c := range h.containers {
		if c.state.Group == group && c.state.Task == shim.TaskRunning && c.mounts(volume) {
			h.violated("%s: volume %s was unmounted under it", id, volume)
		}
	}
	delete(h.volumes[group], volume)
	if len(h.volumes[group]) == 0 {
		delete(h.volumes, group)
	}
	return f.err
}

func (v *volumeSide) Groups(context.Context) ([]string, error) {
	h := (*Host)(v)
	h.mu.Lock()
	defer h.mu.Unlock()
	if f := h.began("list volumes"); f.err != nil {
		return nil, f.err
	}
	return slices.Sorted(maps.Keys(h.volumes)), nil
}

func (c *container) mounts(volume string) bool {
	def := c.group.Container(c.state.Name)
	return def != nil && slices.ContainsFunc(def.Mounts, func(m spec.Mount) bool { return m.Volume == volume })
}
