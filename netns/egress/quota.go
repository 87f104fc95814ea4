package egress

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns/ruleset"
)

// Where the ambassador has a quota, what would pass is judged once more, in chains of their own. Packets that own no socket
// (handshakes, last ACKs) are not among it, nor is loopback.
const (
	quotaPrefix = "quota_"
	passOutName = "pass_out"
	passInName  = "pass_in"
	spent       = "spent"
)

// limited says that the policy's quota is in force: where everybody may leave, or nobody, there is no door to shut.
func (p Policy) limited() bool { return p.Mode == Ambassador && p.Quota != 0 }

// createQuota names the quota after its size. One of another size takes its place, and begins with what has passed so far: a
// group does not get its bytes anew when its quota is changed.
func createQuota(p Policy) ruleset.Quota {
	return ruleset.Quota{Name: fmt.Sprint(quotaPrefix, p.Quota), Bytes: p.Quota, Counted: []string{ambassadorOut, ambassadorIn}}
}

// passOut is the verdict on what the ambassador may send.
func passOut(p Policy) []ruleset.Expr {
	if p.limited() {
		return ruleset.Goto(passOutName)
	}
	return append(ruleset.Count(ambassadorOut), ruleset.Accept()...)
}

// passIn is the verdict on what comes for the ambassador.
func passIn(p Policy) []ruleset.Expr {
	if p.limited() {
		return ruleset.Goto(passInName)
	}
	return append(ruleset.Count(ambassadorIn), ruleset.Accept()...)
}

// quotaChains shut the door when the quota is spent. What the ambassador sends then is refused at once, as elsewhere, but no
// destination is recorded: it is not the destination that was refused.
func quotaChains(p Policy) []ruleset.Chain {
	over := ruleset.Over(createQuota(p).Name)
	return []ruleset.Chain{
		{Name: passOutName, Rules: []ruleset.Rule{
			ruleset.NewRule("", over, ruleset.Goto(spent)),
			ruleset.NewRule("", ruleset.Count(ambassadorOut), ruleset.Accept()),
		}},
		{Name: passInName, Rules: []ruleset.Rule{
			ruleset.NewRule("", over, ruleset.Count(quotaDenied), ruleset.Drop()),
			ruleset.NewRule("", ruleset.Count(ambassadorIn), ruleset.Accept()),
		}},
		{Name: spent, Rules: []ruleset.Rule{
			ruleset.NewRule("", ruleset.Count(quotaDenied)),
			ruleset.NewRule("", ruleset.L4Proto(unix.IPPROTO_TCP), ruleset.RejectTCP()),
			ruleset.NewRule("", ruleset.Reject()),
		}},
	}
}

// ReadSpent reads how many bytes of its quota the ambassador has spent, at most all of them, and the quota; 0 where it has none.
func ReadSpent(ns *os.File) (used, quota uint64, err error) {
	conn, err := ruleset.Open(int(ns.Fd()))
	if err != nil {
		return 0, 0, err
	}
	defer conn.Close()
	all, err := ruleset.Spent(conn, TableName)
	if err != nil {
		return 0, 0, err
	}
	for name, q := range all {
		if strings.HasPrefix(name, quotaPrefix) {
			return q.Spent, q.Bytes, nil
		}
	}
	return 0, 0, nil
}
