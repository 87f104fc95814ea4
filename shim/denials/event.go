package denials

import (
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

func deniedEvent(name string, d host.Denial) group.Event {
	return group.Event{
		Group: name, Container: d.Container, Kind: group.EventDenied, Denial: &d,
		Text: fmt.Sprintf("%s to %s", packets(d.Packets), d.DestinationText()),
	}
}

// othersEvent returns an event for the denials of one container to several destinations. d has
// their sum and no destination.
func othersEvent(name string, d host.Denial, others int) group.Event {
	where := "1 other destination"
	if others != 1 {
		where = fmt.Sprintf("%d other destinations", others)
	}
	return group.Event{
		Group: name, Container: d.Container, Kind: group.EventDenied, Denial: &d, Others: others,
		Text: "and " + strings.Replace(packets(d.Packets), " ", " more ", 1) + " to " + where,
	}
}

func inboundEvent(name string, d host.Denial) group.Event {
	return group.Event{
		Group: name, Kind: group.EventDeniedIn, Denial: &d,
		Text: fmt.Sprintf("%s from %s to %s", packets(d.Packets), d.Source, d.DestinationText()),
	}
}

// otherSourcesEvent returns an event for the inbound denials of several sources. d has their sum.
func otherSourcesEvent(name string, d host.Denial) group.Event {
	return group.Event{
		Group: name, Kind: group.EventDeniedIn, Denial: &d,
		Text: "and " + strings.Replace(packets(d.Packets), " ", " more ", 1) + " from other sources",
	}
}

func quotaEvent(name string, level int, used, quota uint64) group.Event {
	text := fmt.Sprintf("the quota of %s is spent: nothing goes in or out any more", spec.FormatSize(int64(quota)))
	if level < quotaSpent {
		text = fmt.Sprintf("%s of the quota of %s are used", spec.FormatSize(int64(used)), spec.FormatSize(int64(quota)))
	}
	return group.Event{Group: name, Kind: group.EventQuota, Text: text}
}

func packets(n uint64) string {
	if n == 1 {
		return "1 packet"
	}
	return fmt.Sprintf("%d packets", n)
}
