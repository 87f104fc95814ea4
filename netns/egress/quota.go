package egress

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns/ruleset"
)

// If the ambassador has a quota, packets that would pass are counted against it ([passChains]).
// Packets without a socket (handshakes, last ACKs) and loopback are exempt.
const (
	quotaPrefix = "quota_"
	spent       = "spent"
)

// limited reports whether the policy's quota is in force. In the modes sealed and direct it never
// is.
func (p Policy) limited() bool { return p.Mode == Ambassador && p.Quota != 0 }

// createQuota names the quota after its size. A quota of another size replaces it and begins with
// the bytes that have passed so far: a change of the quota does not reset what is spent.
func createQuota(p Policy) ruleset.Quota {
	return ruleset.Quota{Name: fmt.Sprint(quotaPrefix, p.Quota), Bytes: p.Quota, Counted: []string{ambassadorOut, ambassadorIn}}
}

// spentRules refuse at once what the ambassador sends when its quota is spent, as elsewhere. But no
// destination is recorded, because the refusal is not about the destination.
func spentRules() []ruleset.Rule {
	return []ruleset.Rule{
		ruleset.NewRule("", ruleset.Count(quotaDenied)),
		ruleset.NewRule("", ruleset.L4Proto(unix.IPPROTO_TCP), ruleset.RejectTCP()),
		ruleset.NewRule("", ruleset.Reject()),
	}
}

// ReadSpent reads the ambassador's quota and how many of its bytes are spent, at most all. Both are
// 0 without a quota.
func ReadSpent(ns *os.File) (used, quota uint64, err error) {
	conn, err := ruleset.Open(int(ns.Fd()))
	if err != nil {
		return 0, 0, err
	}
	defer conn.Close()
	return readSpent(conn)
}

func readSpent(conn *ruleset.Conn) (used, quota uint64, err error) {
	all, err := ruleset.Spent(conn, TableName, quotaPrefix)
	if err != nil {
		return 0, 0, err
	}
	for _, q := range all {
		return q.Spent, q.Bytes, nil
	}
	return 0, 0, nil
}
