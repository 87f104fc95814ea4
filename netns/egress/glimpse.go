package egress

import (
	"fmt"
	"os"

	"github.com/sallyport/sallyport/netns"
	"github.com/sallyport/sallyport/netns/ruleset"
)

// A Glimpse has what one short visit to a namespace has found. Its methods answer questions that
// could be asked one by one, with far fewer system calls, as long as the rules are those that this
// process has last read or written.
type Glimpse struct {
	Generation ruleset.Generation // of the rules
	Reserved   netns.Ports        // see [netns.ReservedPorts]
	PingGroups string             // see [netns.SetPingGroups]
	reflects   bool               // see [netns.ReflectsMarks]; only if it was asked for
}

// Visit looks into a namespace. marks asks for what a policy with intercept needs too.
func Visit(ns *os.File, marks bool) (g Glimpse, err error) {
	err = netns.Inside(ns, func() (err error) {
		if g.Generation, err = ruleset.Glance(); err != nil {
			return err
		}
		if g.Reserved, err = netns.ReservedPortsHere(); err != nil {
			return err
		}
		if g.PingGroups, err = netns.PingGroupsHere(); err != nil || !marks {
			return err
		}
		g.reflects, err = netns.ReflectsMarksHere()
		return err
	})
	if err != nil {
		return g, fmt.Errorf("look into the namespace: %w", err)
	}
	return g, nil
}

// Denies is [Denies]. ns is the namespace that was visited.
func (g Glimpse) Denies(ns *os.File) (bool, error) {
	if g.Generation.Holds(sealed()) {
		return true, nil
	}
	return Denies(ns)
}

// InForce is [InForce]. ns is the namespace that was visited, with marks if the policy intercepts.
func (g Glimpse) InForce(ns *os.File, p Policy) (bool, error) {
	if err := p.validate(); err != nil {
		return false, err
	}
	if g.Unchanged() && g.Generation.MatchesFrom(TableName, sourceOf(p)) {
		return g.reflects || !p.intercepts(), nil
	}
	return InForce(ns, p)
}

// Unchanged reports whether the rules are as this process last read or wrote them.
func (g Glimpse) Unchanged() bool { return g.Generation.Known(TableName) }
