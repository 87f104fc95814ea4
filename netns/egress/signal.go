package egress

import (
	"fmt"

	"github.com/sallyport/sallyport/netns/ruleset"
)

// The denials of a namespace in which nothing is refused need not be read, where the messages of
// [ruleset.Signal] are heard.
const (
	// refusedSignal is sent when a packet was recorded ([recordRules]).
	refusedSignal = "refused_signal"
	// nearlyPrefix begins the name of the quota whose message is sent when nearlyPercent of the
	// ambassador's quota are spent. The message of the ambassador's own quota is sent when it is
	// spent. Neither is armed again: both happen once.
	nearlyPrefix  = "nearly_"
	nearlyPercent = 80
)

// quotas returns the quotas of a policy. The signal of refusals is in the table of every mode, so
// that a table without it is one of an older daemon.
func quotas(p Policy) (out []ruleset.Quota) {
	if p.limited() {
		out = append(out, createQuota(p))
	}
	if p.Signals {
		out = append(out, ruleset.SignalQuota(refusedSignal))
	}
	if p.limited() && p.Signals {
		out = append(out, nearlyQuota(p))
	}
	return out
}

// nearlyQuota is named after its size, as [createQuota] does it.
func nearlyQuota(p Policy) ruleset.Quota {
	q := createQuota(p)
	q.Bytes = p.Quota / 100 * nearlyPercent
	q.Name = fmt.Sprint(nearlyPrefix, q.Bytes)
	return q
}

// nearlyRules count what passes against the quota of [nearlyQuota].
func nearlyRules(p Policy) []ruleset.Rule {
	if !p.limited() || !p.Signals {
		return nil
	}
	return []ruleset.Rule{ruleset.NewRule("", ruleset.Signal(nearlyQuota(p).Name))}
}
