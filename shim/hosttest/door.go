package hosttest

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// A door is what the kernel counted at a group's.
type door struct {
	denials     []host.Denial
	used, quota uint64
}

func (h *Host) door(group string) *door {
	if h.doors[group] == nil {
		h.doors[group] = &door{}
	}
	return h.doors[group]
}

// Refuse counts one packet of a container that was refused, n times.
func (h *Host) Refuse(group string, d host.Denial, n uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	door := h.door(group)
	i := slices.IndexFunc(door.denials, func(x host.Denial) bool {
		return x.Container == d.Container && x.Protocol == d.Protocol && x.Destination == d.Destination
	})
	if i < 0 {
		i = len(door.denials)
		door.denials = append(door.denials, host.Denial{Container: d.Container, Protocol: d.Protocol, Destination: d.Destination})
	}
	door.denials[i].Packets += n
	door.denials[i].Bytes += n * d.Bytes
}

// ForgetDenials is what the kernel does when a group's rules are made anew.
func (h *Host) ForgetDenials(group string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.door(group).denials = nil
}

// Spend sets how many bytes have gone through a group's door, of how many.
func (h *Host) Spend(group string, used, quota uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.door(group).used, h.door(group).quota = used, quota
}

// Denials implements [denials.Door]. Only a group that was ever refused or given something has a door.
func (h *Host) Denials(group string) ([]host.Denial, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if f := h.began("observe denials"); f.err != nil {
		return nil, f.err
	}
	if h.doors[group] == nil {
		return nil, fmt.Errorf("door of %s: %w", group, fs.ErrNotExist)
	}
	return slices.Clone(h.doors[group].denials), nil
}

// Spent implements [denials.Door].
func (h *Host) Spent(group string) (used, quota uint64, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.doors[group] == nil {
		return 0, 0, nil
	}
	return h.doors[group].used, h.doors[group].quota, nil
}

// Changed implements [keeper.Changes].
func (h *Host) Changed(groups []string) (changed []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, group := range groups {
		now := ""
		if n := h.nets[group]; n != nil {
			now = strings.Join(n.lines(group), "\n")
		}
		if now != h.glanced[group] {
			changed = append(changed, group)
		}
		h.glanced[group] = now
	}
	return changed
}

// DescribeDrift implements [runner.Drift].
func (h *Host) DescribeDrift(part host.Part, _ *spec.Group) []string {
	return []string{"its " + string(part)}
}
