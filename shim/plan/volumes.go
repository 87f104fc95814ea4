package plan

import (
	"fmt"
	"slices"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// volumesKnown reports whether steps for volumes may be planned.
func (in Input) volumesKnown() bool {
	return in.Observed.VolumesErr == nil && in.Observed.ContainersErr == nil && in.rulesAssured()
}

// keptVolumes returns the steps that mount the missing volumes of containers that run. They are
// done before any container is stopped: it may be the last to have a volume that others have
// unmounted.
func (in Input) keptVolumes() (steps []Step) {
	if !in.volumesKnown() {
		return nil
	}
	for _, v := range in.Want.Volumes {
		users := in.users(v.Name)
		if spec.FindVolume(in.Observed.Volumes, v.Name) == nil && len(users) > 0 {
			steps = append(steps, Step{Kind: Mount, Group: in.Group, Want: in.Want, Volume: v, Users: users})
		}
	}
	return steps
}

// users returns the processes of the containers that mount a volume, by the definition that they
// were made from.
func (in Input) users(volume string) (pids []uint32) {
	for _, s := range in.Observed.Containers {
		c := in.Want.Container(s.Name)
		if (c == nil || c.Digest != s.Digest) && in.Previous != nil {
			c = in.Previous.Container(s.Name)
		}
		if s.PID != 0 && c != nil && c.Digest == s.Digest && mounts(c, volume) {
			pids = append(pids, s.PID)
		}
	}
	return pids
}

func mounts(c *spec.Container, volume string) bool {
	return slices.ContainsFunc(c.Mounts, func(m spec.Mount) bool { return m.Volume == volume })
}

func ephemeral(v spec.Volume) bool { return !v.Persistent && v.HostPath == "" }

// volumes returns the other steps for volumes. Missing and different volumes are mounted. Size and
// owner of the others are set. Volumes that are not wanted are unmounted, once no container can use
// them.
func (in Input) volumes() []Step {
	if !in.volumesKnown() {
		return nil
	}
	var steps []Step
	for _, v := range in.Want.Volumes {
		have := spec.FindVolume(in.Observed.Volumes, v.Name)
		if have == nil && len(in.users(v.Name)) == 0 || have != nil && !have.Satisfies(v) {
			steps = append(steps, Step{Kind: Mount, Group: in.Group, Want: in.Want, Volume: v, Users: in.users(v.Name)})
		}
	}
	if in.Observed.containersUnknown() {
		return steps
	}
	for _, v := range in.Observed.Volumes {
		if spec.FindVolume(in.Want.Volumes, v.Name) == nil {
			steps = append(steps, Step{Kind: Unmount, Group: in.Group, Volume: v})
		}
	}
	return steps
}

// volumeOutdated reports whether the container has an earlier mount of a volume, so that it does
// not see what the others write. It is false while a volume is not as wanted: that comes first, and
// this container may have the volume's content.
func (in Input) volumeOutdated(name string) bool {
	if len(in.Observed.Outdated[name]) == 0 || in.Observed.VolumesErr != nil {
		return false
	}
	for _, v := range in.Want.Volumes {
		if have := spec.FindVolume(in.Observed.Volumes, v.Name); have == nil || !have.Satisfies(v) {
			return false
		}
	}
	return true
}

// VolumeChange returns in an operator's words what others have done to the volume of a step that
// mounts it.
func (in Input) VolumeChange(s Step) string {
	text := "volume " + s.Volume.Name
	if ephemeral(s.Volume) && len(s.Users) == 0 && spec.FindVolume(in.Observed.Volumes, s.Volume.Name) == nil {
		text += " with what was in it"
	}
	return text
}

// OutdatedVolumes returns in an operator's words which containers are replaced because of an
// earlier mount.
func (in Input) OutdatedVolumes() (texts []string) {
	if in.ToRun() == nil {
		return nil
	}
	for i := range in.Want.Containers {
		c := &in.Want.Containers[i]
		s, _ := in.Observed.Container(c.Name)
		if !in.volumeOutdated(c.Name) || in.actionFor(c, s, false) != actionReplace {
			continue
		}
		for _, name := range in.Observed.Outdated[c.Name] {
			text := fmt.Sprintf("volume %s under %s, which is replaced", name, c.Title())
			if v := spec.FindVolume(in.Want.Volumes, name); v != nil && ephemeral(*v) {
				text += " (what it had in the volume is lost)"
			}
			texts = append(texts, text)
		}
	}
	return texts
}

// hasTask reports whether the container has processes.
func hasTask(s host.ContainerState) bool {
	return s.Task == host.TaskRunning || s.Task == host.TaskCreated
}
