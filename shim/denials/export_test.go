package denials

import (
	"time"

	"github.com/sallyport/sallyport/shim/host"
)

var (
	DeniedEvents = deniedEvents
	QuotaLevel   = quotaLevel
	Poll         = (*Poller).poll
)

func UpdatePending(before []pendingDenial, now []host.Denial, at time.Time) (after []pendingDenial, report []host.Denial, dropped bool) {
	return updatePending(before, now, false, at)
}

// UpdatePartly is UpdatePending with a count that could be read in part.
func UpdatePartly(before []pendingDenial, now []host.Denial, at time.Time) (after []pendingDenial, report []host.Denial, dropped bool) {
	return updatePending(before, now, true, at)
}

type PendingDenial = pendingDenial
