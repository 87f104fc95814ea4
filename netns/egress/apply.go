package egress

import (
	"fmt"
	"os"

	"github.com/sallyport/sallyport/netns"
	"github.com/sallyport/sallyport/netns/ruleset"
)

// Apply puts the policy in force in a network namespace, as one batch. A policy already in force is
// left alone, including its counts. Another one is replaced atomically. Apply returns whether
// anything changed.
func Apply(ns *os.File, p Policy) (changed bool, err error) {
	if err := p.validate(); err != nil {
		return false, err
	}
	conn, err := ruleset.Open(int(ns.Fd()))
	if err != nil {
		return false, err
	}
	defer conn.Close()
	if p.intercepts() {
		if err := netns.ReflectMarks(ns); err != nil {
			return false, fmt.Errorf("apply policy %q: %w", p.Mode, err)
		}
	}
	changed, err = ruleset.Apply(conn, createTable(p))
	if err != nil {
		return false, fmt.Errorf("apply policy %q: %w", p.Mode, err)
	}
	return changed, nil
}

// InForce reports whether exactly this policy is in force.
func InForce(ns *os.File, p Policy) (bool, error) {
	if err := p.validate(); err != nil {
		return false, err
	}
	conn, err := ruleset.Open(int(ns.Fd()))
	if err != nil {
		return false, err
	}
	defer conn.Close()
	if p.intercepts() {
		if ok, err := netns.ReflectsMarks(ns); err != nil || !ok {
			return false, err
		}
	}
	return ruleset.Matches(conn, createTable(p))
}

// Denies reports whether any policy of ours is in force: the chains are there and drop what no rule
// accepts.
func Denies(ns *os.File) (bool, error) {
	conn, err := ruleset.Open(int(ns.Fd()))
	if err != nil {
		return false, err
	}
	defer conn.Close()
	return ruleset.Holds(conn, sealed())
}

// Remove deletes the policy. The namespace is then as open as one without our rules. It is for
// namespaces about to be removed.
func Remove(ns *os.File) error {
	conn, err := ruleset.Open(int(ns.Fd()))
	if err != nil {
		return err
	}
	defer conn.Close()
	return ruleset.Delete(conn, TableName)
}

// Forget frees what this process remembers of a namespace's rules. It is for a namespace that is
// about to be removed.
func Forget(ns *os.File) error { return ruleset.Forget(int(ns.Fd())) }

// Counters are the counts of the rules of one namespace since its table was made. Loopback is not
// counted. A change of policy keeps the counts.
type Counters struct {
	AmbassadorOut      ruleset.Counter `json:"ambassador_out"`     // left
	AmbassadorDenied   ruleset.Counter `json:"ambassador_denied"`  // not on its allow list
	AmbassadorIn       ruleset.Counter `json:"ambassador_in"`      // arrived
	Quota              ruleset.Counter `json:"quota_denied"`       // of the ambassador, after its quota was spent
	FlowsFull          ruleset.Counter `json:"flows_full"`         // UDP of the ambassador, while it had too many flows open
	MembersOut         ruleset.Counter `json:"members_out"`        // left; egress direct only
	MembersTCP         ruleset.Counter `json:"members_tcp_denied"` // refused with a reset
	MembersOther       ruleset.Counter `json:"members_other_denied"`
	MembersIn          ruleset.Counter `json:"members_in_denied"`
	MembersIntercepted ruleset.Counter `json:"members_led"` // TCP redirected to the ambassador
	KernelOut          ruleset.Counter `json:"kernel_out"`  // handshakes, last ACKs, resets and neighbour discovery
	KernelIn           ruleset.Counter `json:"kernel_in"`
	UnknownOut         ruleset.Counter `json:"unknown_out_denied"` // no cgroup of the group
	UnknownIn          ruleset.Counter `json:"unknown_in_denied"`  // no process of the group that it could be for
}

// ReadCounters reads the counters of a namespace. Without our table the error is os.ErrNotExist.
func ReadCounters(ns *os.File) (Counters, error) {
	conn, err := ruleset.Open(int(ns.Fd()))
	if err != nil {
		return Counters{}, err
	}
	defer conn.Close()
	t, err := ruleset.Counts(conn, TableName)
	if err != nil {
		return Counters{}, err
	}
	return Counters{
		AmbassadorOut: t[ambassadorOut], AmbassadorDenied: t[ambassadorDenied], AmbassadorIn: t[ambassadorIn], Quota: t[quotaDenied], FlowsFull: t[flowsFull],
		MembersOut: t[membersOut], MembersTCP: t[membersTCPDenied], MembersOther: t[membersDenied], MembersIn: t[membersInDenied], MembersIntercepted: t[membersLed],
		KernelOut: t[kernelOut], KernelIn: t[kernelIn], UnknownOut: t[unknownOutDenied], UnknownIn: t[unknownInDenied],
	}, nil
}
