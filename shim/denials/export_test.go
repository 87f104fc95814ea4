package denials

var (
	DeniedEvents = deniedEvents
	QuotaLevel   = quotaLevel
	Poll         = (*Poller).poll
)

// A Tally is what is known of one destination that one container was refused.
type Tally = tally

var Fresh = fresh
