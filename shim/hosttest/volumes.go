package hosttest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// Volumes has the mounts and folders of a Host. It implements [runner.Volumes].
type Volumes Host

// A volume is a mounted volume.
type volume struct {
	spec.Volume
	content int // the number of its content. Those of a persistent volume and of a host path have 0
}

// line returns the volume as a line of [Host.String].
func (v volume) line(group string) string {
	what := fmt.Sprintf("of %d bytes", v.Size)
	switch {
	case v.HostPath != "":
		what = "of the host's folder " + v.HostPath
	case v.Persistent:
		what = "persistent"
	}
	if v.Owner != "" || v.Mode != 0 {
		what += fmt.Sprintf(", owner %s, mode %o", v.Owner, v.Mode)
	}
	return fmt.Sprintf("volume %s/%s %s", group, v.Name, what)
}

func (v *Volumes) Observe(_ context.Context, group string, _ *spec.Group) ([]spec.Volume, error) {
	h := (*Host)(v)
	h.mu.Lock()
	defer h.mu.Unlock()
	if f := h.begin("observe volumes"); f.err != nil {
		return nil, f.err
	}
	var out []spec.Volume
	for _, name := range slices.Sorted(maps.Keys(h.volumes[group])) {
		out = append(out, h.volumes[group][name].Volume)
	}
	return out, nil
}

func (v *Volumes) Check(_ context.Context, want *spec.Group) error {
	h := (*Host)(v)
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, vol := range want.Volumes {
		if err := h.checkPath(vol); err != nil {
			return err
		}
	}
	return nil
}

// checkPath returns an error for a volume whose folder of the host is gone. The caller holds mu.
func (h *Host) checkPath(v spec.Volume) error {
	if h.absent[v.HostPath] {
		return &hint.Error{Err: errors.New("host path " + v.HostPath + " does not exist"), Hint: "make the folder"}
	}
	return nil
}

// Outdated goes by the content that a container found when it was created.
func (v *Volumes) Outdated(_ context.Context, want *spec.Group, pids map[string]uint32) (map[string][]string, error) {
	h := (*Host)(v)
	h.mu.Lock()
	defer h.mu.Unlock()
	outdated := map[string][]string{}
	for name := range pids {
		c := h.containers[spec.ID(want.Name, name)]
		if c == nil {
			continue
		}
		for _, vol := range slices.Sorted(maps.Keys(c.contents)) {
			if now, ok := h.volumes[want.Name][vol]; ok && now.content != c.contents[vol] {
				outdated[name] = append(outdated[name], vol)
			}
		}
	}
	return outdated, nil
}

// content returns the number of what is in a volume after it was mounted: of what a user still has,
// or else of something new. The caller holds mu.
func (h *Host) content(group string, vol spec.Volume, users []uint32) int {
	if vol.Persistent || vol.HostPath != "" {
		return 0
	}
	for _, c := range h.containers {
		if n := c.contents[vol.Name]; c.state.Group == group && n != 0 && slices.Contains(users, c.state.PID) && !h.unsavable {
			return n
		}
	}
	h.mountedEver++
	return h.mountedEver
}

// Unmount unmounts a volume, as umount does. Containers that have it go on with it.
func (h *Host) Unmount(group, volume string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.volumes[group], volume)
}

// LoseUnmounted makes ephemeral volumes that are unmounted from now on irrecoverable.
func (h *Host) LoseUnmounted() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.unsavable = true
}

func (v *Volumes) Ensure(_ context.Context, want *spec.Group, vol spec.Volume, users []uint32) error {
	h, group := (*Host)(v), want.Name
	h.mu.Lock()
	defer h.mu.Unlock()
	f := h.begin("mount " + vol.Name)
	if f.err != nil && !f.after {
		return f.err
	}
	if err := h.checkPath(vol); err != nil {
		return err
	}
	if h.volumes[group] == nil {
		h.volumes[group] = map[string]volume{}
	}
	if h.persistent[group] == nil {
		h.persistent[group] = map[string]bool{}
	}
	if old, ok := h.volumes[group][vol.Name]; ok && (old.Persistent != vol.Persistent || old.HostPath != vol.HostPath) {
		h.checkUnused(group, vol.Name)
	}
	now := volume{Volume: vol, content: h.volumes[group][vol.Name].content}
	if old, ok := h.volumes[group][vol.Name]; !ok || !old.SameKind(vol) {
		now.content = h.content(group, vol, users)
	}
	h.volumes[group][vol.Name] = now
	if vol.Persistent {
		h.persistent[group][vol.Name] = true
	}
	return f.err
}

func (v *Volumes) Remove(_ context.Context, group, volume string) error {
	h := (*Host)(v)
	h.mu.Lock()
	defer h.mu.Unlock()
	f := h.begin("unmount " + volume)
	if f.err != nil && !f.after {
		return f.err
	}
	h.checkUnused(group, volume)
	delete(h.volumes[group], volume)
	if len(h.volumes[group]) == 0 {
		delete(h.volumes, group)
	}
	return f.err
}

// checkUnused records that a volume is unmounted while a running container mounts it. The caller
// holds mu.
func (h *Host) checkUnused(group, volume string) {
	for id, c := range h.containers {
		if c.state.Group == group && c.state.Task == host.TaskRunning && c.mounts(volume) {
			h.violated(Contract, "volume %[2]s was unmounted under %[1]s", id, volume)
		}
	}
}

func (v *Volumes) Discard(_ context.Context, group string) error {
	h := (*Host)(v)
	h.mu.Lock()
	defer h.mu.Unlock()
	f := h.begin("discard " + group)
	if f.err != nil && !f.after {
		return f.err
	}
	if len(h.volumes[group]) > 0 {
		h.violated(Contract, "the volumes of %s were deleted while they were mounted", group)
	}
	delete(h.persistent, group)
	return f.err
}

func (v *Volumes) Groups(context.Context) ([]string, error) {
	h := (*Host)(v)
	h.mu.Lock()
	defer h.mu.Unlock()
	if f := h.begin("list volumes"); f.err != nil {
		return nil, f.err
	}
	return slices.Sorted(maps.Keys(h.volumes)), nil
}

// KeptVolumes returns the names of the group's persistent volumes that exist, mounted or not.
func (h *Host) KeptVolumes(group string) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Sorted(maps.Keys(h.persistent[group]))
}

// LosePath removes a folder or a device of the host.
func (h *Host) LosePath(path string) { h.setPath(path, true) }

// FindPath undoes LosePath.
func (h *Host) FindPath(path string) { h.setPath(path, false) }

func (h *Host) setPath(path string, absent bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.absent[path] = absent
}

// mounts reports whether the container mounts a volume.
func (c *container) mounts(volume string) bool {
	def := c.group.Container(c.state.Name)
	return def != nil && slices.ContainsFunc(def.Mounts, func(m spec.Mount) bool { return m.Volume == volume })
}
