package denials

var (
	DeniedEvents  = deniedEvents
	QuotaLevel    = quotaLevel
	UpdatePending = updatePending
	Poll          = (*Poller).poll
)

type PendingDenial = pendingDenial
