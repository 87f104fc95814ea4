package shim

import (
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/spec"
)

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

func packets(n uint64) string {
	if n == 1 {
		return "1 packet"
	}
	return fmt.Sprintf("%d packets", n)
}
