package hosttest

import (
	"fmt"
	"io/fs"
	"slices"

	"github.com/sallyport/sallyport/shim/host"
)

// A door has what the kernel counted at a group's door.
type door struct {
	denials     []host.Denial
	used, quota uint64
}

// door returns the door of a group, and makes it if there is none. The caller holds mu.
func (h *Host) door(group string) *door {
	if h.doors[group] == nil {
		h.doors[group] = &door{}
	}
	return h.doors[group]
}

// Refuse counts n refused packets like d. d.Bytes is the size of one.
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

// ForgetDenials drops the counted denials, as the kernel does when a group's rules are made anew.
func (h *Host) ForgetDenials(group string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.door(group).denials = nil
}

// Spend sets how many bytes of its quota a group has used.
func (h *Host) Spend(group string, used, quota uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.door(group).used, h.door(group).quota = used, quota
}

// Counts implements [denials.Door]. A group has a door only after a call of Refuse or Spend.
func (h *Host) Counts(groups []string) []host.DoorCounts {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make([]host.DoorCounts, len(groups))
	for i, group := range groups {
		if f := h.begin("observe denials"); f.err != nil {
			out[i].Err = f.err
			continue
		}
		if h.doors[group] == nil {
			out[i].Err = fmt.Errorf("door of %s: %w", group, fs.ErrNotExist)
			continue
		}
		door := h.doors[group]
		out[i] = host.DoorCounts{Denials: slices.Clone(door.denials), Used: door.used, Quota: door.quota}
	}
	return out
}
