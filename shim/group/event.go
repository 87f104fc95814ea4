package group

import (
	"slices"
	"time"

	"github.com/sallyport/sallyport/shim/host"
)

// An EventKind is the kind of an event.
type EventKind string

const (
	EventDenied    EventKind = "denied"    // packets of a container were denied
	EventDeniedIn  EventKind = "denied_in" // packets from outside were dropped on their way to the group
	EventDrift     EventKind = "drift"     // others changed a group's isolation; repaired
	EventQuota     EventKind = "quota"     // most or all of an ambassador's quota is used up
	EventState     EventKind = "state"     // a group entered a state
	EventAccepted  EventKind = "accepted"  // a group has a new generation, after an apply or an edit of its file
	EventRollback  EventKind = "rollback"  // an operator went back to an earlier generation, as a new one
	EventReverted  EventKind = "reverted"  // a generation did not prove itself, and the one before was put back
	EventRestarted EventKind = "restarted" // a container ended and was started again
	EventSignal    EventKind = "signal"    // an operator sent a container's program a signal
	EventReloaded  EventKind = "reloaded"  // files of a running container were changed, and it was sent their signals
	EventSecret    EventKind = "secret"    // a secret has another value, or its source can't be read
	EventPreStop   EventKind = "pre_stop"  // a container's pre_stop ran, and what became of it
	EventForward   EventKind = "forward"   // an operator began or ended to forward ports to the ambassador
	EventMended    EventKind = "mended"    // a file of the state folder was damaged or lost, and what became of it
	EventOutput    EventKind = "output"    // a container's output can't be written any more
	EventImage     EventKind = "image"     // an image was removed from the host. It has no group
	EventSchedule  EventKind = "schedule"  // a run of a schedule begins, is skipped or was missed
	EventRun       EventKind = "run"       // a run is over
)

// EventKinds lists every kind.
var EventKinds = []EventKind{
	EventDenied, EventDeniedIn, EventDrift, EventQuota, EventState, EventAccepted, EventRollback, EventReverted, EventRestarted, EventSignal, EventReloaded, EventSecret, EventPreStop, EventForward, EventMended, EventOutput, EventImage, EventRun, EventSchedule,
}

// An Event is something that happened to a group, or to the host if Group is empty. Its JSON is a
// line of the journal, and part of the control socket's protocol.
type Event struct {
	Time      time.Time `json:"time"`
	Group     string    `json:"group"`
	Container string    `json:"container,omitempty"` // empty: it is the group's, or its container is not known
	Kind      EventKind `json:"kind"`
	Text      string    `json:"text"` // one line

	// Denial is set for EventDenied and EventDeniedIn. It counts the packets that no earlier event
	// has counted.
	Denial *host.Denial `json:"denial,omitempty"`
	// Others is the number of further destinations in one event. If it is not zero, Denial counts
	// the packets to all of them, and names none.
	Others     int     `json:"others,omitempty"`
	State      State   `json:"state,omitempty"`       // for EventState
	ExitStatus *uint32 `json:"exit_status,omitempty"` // for EventRestarted, and for EventPreStop and EventRun unless it is not known
}

// An EventQuery selects events.
type EventQuery struct {
	Group  string      // empty: every group's
	Kinds  []EventKind // empty: every kind
	Follow bool        // continue with new events until ctx ends
	// Tail is the number of events to begin with. Zero means all that are kept. A negative number
	// means none, only new ones (with Follow).
	Tail int
}

// Matches reports whether the query selects the event. It ignores Follow and Tail.
func (q EventQuery) Matches(e Event) bool {
	return (q.Group == "" || q.Group == e.Group) && (len(q.Kinds) == 0 || slices.Contains(q.Kinds, e.Kind))
}
