package hosttest

import (
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/sallyport/sallyport/shim/host"
)

// A door has what the kernel counted at a group's door.
type door struct {
	denials     []host.Denial
	inbound     []host.Denial
	last        map[host.Denial]time.Time // by flow: of its last packet
	used, quota uint64
	armed       bool // the next change is told
	byHost      bool // the host's rules have refused something since they were read
}

// A Woken is called when the counts at doors change; see [Host.TellDenials].
type Woken interface {
	Wake(groups ...string)
	WakeHost()
}

// TellDenials makes h wake w when counts change: once, and again after they were read. Without it,
// no one is told.
func (h *Host) TellDenials(w Woken) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.woken, h.hostArmed = w, false
	for _, d := range h.doors {
		d.armed = false
	}
}

// DoorReads returns how often the counts of a group were read. An empty group stands for the host's
// rules.
func (h *Host) DoorReads(group string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.doorReads[group]
}

// tell wakes who reads the counts of a group. The caller holds mu.
func (h *Host) tell(group string) {
	if d := h.door(group); h.woken != nil && d.armed {
		d.armed = false
		h.woken.Wake(group)
	}
}

// door returns the door of a group, and makes it if there is none. The caller holds mu.
func (h *Host) door(group string) *door {
	if h.doors[group] == nil {
		h.doors[group] = &door{last: map[host.Denial]time.Time{}}
	}
	return h.doors[group]
}

// Refuse counts n refused packets like d. d.Bytes is the size of one.
func (h *Host) Refuse(group string, d host.Denial, n uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.refuse(group, d, n)
	h.tell(group)
}

// KeepOut counts n packets like d that were dropped on their way in. d.Bytes is the size of one.
// They are never forgotten.
func (h *Host) KeepOut(group string, d host.Denial, n uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	door := h.door(group)
	i := slices.IndexFunc(door.inbound, func(x host.Denial) bool { return x.Flow() == d.Flow() })
	if i < 0 {
		i = len(door.inbound)
		door.inbound = append(door.inbound, d.Flow())
	}
	door.inbound[i].Packets += n
	door.inbound[i].Bytes += n * d.Bytes
	h.tell(group)
}

// RefuseByHost is [Host.Refuse] by the host's own rules.
func (h *Host) RefuseByHost(group string, d host.Denial, n uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.refuse(group, d, n)
	if h.door(group).byHost = true; h.woken != nil && h.hostArmed {
		h.hostArmed = false
		h.woken.WakeHost()
	}
}

// DenialsStand is how long a denial is remembered after its last packet.
const DenialsStand = time.Hour

// expire drops the denials whose time is over, and returns the time until the first of the others
// is dropped. It reports nothing.
func (d *door) expire(now time.Time) (first time.Duration) {
	d.denials = slices.DeleteFunc(d.denials, func(x host.Denial) bool { return now.Sub(d.last[x.Flow()]) >= DenialsStand })
	for _, x := range d.denials {
		if in := d.last[x.Flow()].Add(DenialsStand).Sub(now); first == 0 || in < first {
			first = in
		}
	}
	return first
}

func (h *Host) refuse(group string, d host.Denial, n uint64) {
	door := h.door(group)
	door.expire(h.now())
	i := slices.IndexFunc(door.denials, func(x host.Denial) bool {
		return x.Container == d.Container && x.Protocol == d.Protocol && x.Destination == d.Destination
	})
	if i < 0 {
		i = len(door.denials)
		door.denials = append(door.denials, host.Denial{Container: d.Container, Protocol: d.Protocol, Destination: d.Destination})
	}
	door.denials[i].Packets += n
	door.denials[i].Bytes += n * d.Bytes
	door.last[door.denials[i].Flow()] = h.now()
}

// ForgetDenials drops the counted denials, as the kernel does when a group's rules are made anew.
func (h *Host) ForgetDenials(group string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.door(group).denials = nil
	h.tell(group)
}

// Spend sets how many bytes of its quota a group has used.
func (h *Host) Spend(group string, used, quota uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.door(group).used, h.door(group).quota = used, quota
	h.tell(group)
}

// Counts implements [denials.Door]. A group without counts has no door.
func (h *Host) Counts(groups []string) []host.DoorCounts {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make([]host.DoorCounts, len(groups))
	for i, group := range groups {
		h.doorReads[group]++
		f := h.begin("observe denials")
		if f.err != nil && !f.after {
			out[i].Err = f.err
			continue
		}
		out[i].Told = h.woken != nil
		door := h.door(group)
		door.armed, out[i].Expires = out[i].Told, door.expire(h.now())
		if door.quota == 0 && len(door.denials)+len(door.inbound) == 0 {
			out[i].Err = fmt.Errorf("door of %s: %w", group, fs.ErrNotExist)
		} else {
			out[i].Denials, out[i].Used, out[i].Quota = slices.Clone(door.denials), door.used, door.quota
			out[i].Inbound = slices.Clone(door.inbound)
		}
		if f.err != nil { // a part could not be read
			out[i].Err = f.err
		}
	}
	return out
}

// RefusedByHost implements [denials.Door].
func (h *Host) RefusedByHost(groups []string) (refused []string, told bool, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.doorReads[""]++
	if f := h.begin("observe host denials"); f.err != nil {
		return nil, false, f.err
	}
	h.hostArmed = h.woken != nil
	for _, group := range groups {
		if d := h.doors[group]; d != nil && d.byHost {
			refused, d.byHost = append(refused, group), false
		}
	}
	return refused, h.hostArmed, nil
}
