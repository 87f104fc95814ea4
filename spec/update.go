package spec

import (
	"slices"
	"time"

	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// Limits on an update's time. An update that can be reverted needs one, and gets the default.
const (
	defaultHealthTimeout = 2 * time.Minute
	minHealthTimeout     = time.Second
	maxHealthTimeout     = 24 * time.Hour
	maxMaxEnds           = 1000
)

// update reads when a new generation of the group counts as healthy, when it is given up, and
// whether it is then taken back.
func (d *groupDecoder) update(group *hclsyntax.Block) (u Update) {
	block := single(group, "update")
	if block == nil {
		return u
	}
	r := d.in(block)
	u.AutoRevert = r.flag("auto_revert")
	if u.AutoRevert {
		u.HealthTimeout = defaultHealthTimeout
	}
	if timeout, ok := r.duration("health_timeout", minHealthTimeout, maxHealthTimeout); ok {
		u.HealthTimeout = timeout
	}
	if ends, _, ok := r.integer("max_ends", 1, maxMaxEnds, optional); ok {
		u.MaxEnds = int(ends)
	}
	if r.has("max_ends") && !r.has("health_timeout") && !u.AutoRevert {
		d.errorf(r.nameOf("max_ends"), "max_ends without a time", "\"max_ends\" ends the time of a new generation early, and there is no such time here. Add one: health_timeout = \"2m\".")
	}
	return u
}

// checkUpdate reports probes that can't succeed in the time that a new generation has. It warns of
// a group without a ready probe.
func (d *groupDecoder) checkUpdate(g *Group, group *hclsyntax.Block) {
	if !g.Update.AutoRevert {
		return
	}
	judged := false
	for i, b := range containersOf(group) {
		for _, p := range blocksOf(b.Body, "probe") {
			kind, _ := label(p)
			k := slices.IndexFunc(g.Containers[i].Probes, func(p Probe) bool { return p.Kind == kind })
			if k < 0 || kind == ProbeLive {
				continue
			}
			judged = judged || kind == ProbeReady
			if soonest := g.Containers[i].Probes[k].soonest(); soonest >= g.Update.HealthTimeout {
				d.errorf(p.DefRange(), "Never ready in time", "This probe succeeds %s after the container's start at the soonest, and a generation that isn't ready after %s is taken back. Raise health_timeout in the group's update block, or lower the probe's times.", soonest, g.Update.HealthTimeout)
			}
		}
	}
	if !judged {
		d.warnf(single(group, "update").DefRange(), "No ready probe for an update", "Without a ready probe a container counts as ready when it runs, so only what can't be started is taken back. Give the app a probe: probe \"ready\" { tcp = { port = 8080 } }.")
	}
}

// soonest returns the shortest time after the container's start in which the probe can succeed.
func (p Probe) soonest() time.Duration {
	return p.InitialDelay + time.Duration(p.Successes-1)*p.Interval
}
