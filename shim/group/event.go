package group

import (
	"slices"
	"time"

	"github.com/sallyport/sallyport/shim/host"
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
	Denial     *host.Denial `json:"denial,omitempty"`
	Others     int          `json:"others,omitempty"`
	State      State        `json:"state,omitempty"`       // of EventState
	ExitStatus *uint32      `json:"exit_status,omitempty"` // of EventRestarted
}

// An EventQuery says which events are meant.
type EventQuery struct {
	Group  string      // empty: every group's
	Kinds  []EventKind // empty: every kind
	Follow bool        // go on with what happens until ctx ends
	// Tail is the number of events to begin with. 0: all there are; negative: none, only what is new (with Follow).
	Tail int
}

func (q EventQuery) Matches(e Event) bool {
	return (q.Group == "" || q.Group == e.Group) && (len(q.Kinds) == 0 || slices.Contains(q.Kinds, e.Kind))
}
