package shim

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/spec"
)

// EventKind is what an event tells of.
type EventKind string

const (
	EventDenied    EventKind = "denied"    // packets of a container were refused
	EventDrift     EventKind = "drift"     // somebody else changed what keeps a group, and it was put back
	EventQuota     EventKind = "quota"     // of an ambassador's bytes most, or all, are spent
	EventState     EventKind = "state"     // a group entered a state
	EventAccepted  EventKind = "accepted"  // a group has a new generation, by an apply or an edit of its file
	EventRollback  EventKind = "rollback"  // an operator went back: what is wanted is an earlier generation, as a new one
	EventReverted  EventKind = "reverted"  // a generation could not be had or did not prove itself, and the one before was put back
	EventRestarted EventKind = "restarted" // a container ended and was started again
)

// An Event is something that happened to a group. Its JSON is a line of the journal and part of the control socket's protocol.
type Event struct {
	Time      time.Time `json:"time"`
	Group     string    `json:"group"`
	Container string    `json:"container,omitempty"` // empty: it is the group's, or nobody can say whose
	Kind      EventKind `json:"kind"`
	Text      string    `json:"text"` // one line

	// Denial tells of EventDenied: its counts are of the packets that no event before told of. Where Others is not zero they
	// are those to so many destinations, and it names none.
	Denial     *Denial `json:"denial,omitempty"`
	Others     int     `json:"others,omitempty"`
	State      State   `json:"state,omitempty"`       // of EventState
	ExitStatus *uint32 `json:"exit_status,omitempty"` // of EventRestarted
}

func deniedEvent(group string, d Denial) Event {
	return Event{
		Group: group, Container: d.Container, Kind: EventDenied, Denial: &d,
		Text: fmt.Sprintf("%s to %s", packets(d.Packets), d.destination()),
	}
}

// othersEvent tells of what one container was refused at several destinations. d has the sum of it and no destination.
func othersEvent(group string, d Denial, others int) Event {
	where := "1 other destination"
	if others != 1 {
		where = fmt.Sprintf("%d other destinations", others)
	}
	return Event{
		Group: group, Container: d.Container, Kind: EventDenied, Denial: &d, Others: others,
		Text: "and " + strings.Replace(packets(d.Packets), " ", " more ", 1) + " to " + where,
	}
}

func quotaEvent(group string, level int, used, quota uint64) Event {
	text := fmt.Sprintf("the quota of %s is spent: nothing goes in or out any more", spec.FormatSize(int64(quota)))
	if level < quotaSpent {
		text = fmt.Sprintf("%s of the quota of %s are used", spec.FormatSize(int64(used)), spec.FormatSize(int64(quota)))
	}
	return Event{Group: group, Kind: EventQuota, Text: text}
}

// destination is where a denial's packets were to go: "198.51.100.66:443/tcp", "[2001:db8::1]:53/udp", "198.51.100.66 (icmp)".
func (d Denial) destination() string {
	if d.Destination.Port() == 0 {
		return fmt.Sprintf("%s (%s)", d.Destination.Addr(), d.Protocol)
	}
	return HostPort(d.Destination) + "/" + d.Protocol
}

// HostPort is a destination as a person writes it; without the port where its protocol has none.
func HostPort(to netip.AddrPort) string {
	if to.Port() == 0 {
		return to.Addr().String()
	}
	return net.JoinHostPort(to.Addr().String(), strconv.Itoa(int(to.Port())))
}

func packets(n uint64) string {
	if n == 1 {
		return "1 packet"
	}
	return fmt.Sprintf("%d packets", n)
}
