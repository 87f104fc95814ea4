package network

import (
	"errors"
	"io/fs"

	"github.com/sallyport/sallyport/netns"
	"github.com/sallyport/sallyport/netns/egress"
	"github.com/sallyport/sallyport/netns/ruleset"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// A Drift is the [Lookout] of a real host. Our own changes of rules it tells from others', those of links and addresses
// it does not: they cost a look that finds nothing.
type Drift struct {
	network *Network
	host    baseline
	groups  map[string]*baseline
}

// Sightings are what a part of the network has looked like. What differs from how it was at rest counts as changed each time,
// for it may have been put back and changed again in between; after a few times that is the rest.
type baseline struct {
	settled, last fingerprint
	repeats       int // that it looked like last, in a row
}

const settleAfter = 3

func (b *baseline) update(f fingerprint) (changed bool) {
	if f != b.last {
		b.last, b.repeats = f, 0
	}
	changed = f.differs(b.settled)
	if b.repeats++; b.repeats >= settleAfter {
		b.settled = f
	}
	return changed
}

// A fingerprint is how a part of the network looked.
type fingerprint struct {
	rules      ruleset.Generation
	rulesKnown bool // the rules are as we last saw or made them
	links      netns.Fingerprint
	hostEnd    netns.Fingerprint // of the host's end
	on         bool              // forwarding; the fence
	err        string            // nothing could be looked at
}

// NewDrift returns a Drift that has seen nothing yet: its first Changed returns every group.
func (n *Network) NewDrift() *Drift { return &Drift{network: n} }

// differs says that what it is the mark of may be other than wanted. Rules that are known are not, whoever changed them.
func (f fingerprint) differs(before fingerprint) bool {
	if !f.rulesKnown && (before.rulesKnown || f.rules != before.rules) {
		return true
	}
	f.rules, f.rulesKnown, before.rules, before.rulesKnown = ruleset.Generation{}, false, ruleset.Generation{}, false
	return f != before
}

// Changed implements [keeper.Changes].
func (d *Drift) Changed(groups []string) []string {
	prints, err := netns.HostFingerprints()
	all := d.host.update(d.fingerprintHost())
	var changed []string
	seen := make(map[string]*baseline, len(groups))
	for _, group := range groups {
		f := d.fingerprintGroup(group)
		if f.hostEnd = prints[d.network.linkName(group)]; err != nil {
			f.err = err.Error()
		}
		if seen[group] = d.groups[group]; seen[group] == nil {
			seen[group] = &baseline{}
		}
		if seen[group].update(f) || all {
			changed = append(changed, group)
		}
	}
	d.groups = seen
	return changed
}

// ignoreKnownRules makes all marks of known rules the same.
func (f *fingerprint) ignoreKnownRules() {
	if f.rulesKnown {
		f.rules = ruleset.Generation{}
	}
}

func (d *Drift) fingerprintHost() (f fingerprint) {
	var err error
	if f.rulesKnown, f.rules, err = d.network.uplink.Unchanged(); err != nil {
		f.err = err.Error()
	}
	f.ignoreKnownRules()
	f.on = d.network.uplink.Forwards()
	return f
}

func (d *Drift) fingerprintGroup(group string) (f fingerprint) {
	if err := d.readGroup(group, &f); err != nil {
		return fingerprint{err: err.Error()}
	}
	return f
}

func (d *Drift) readGroup(group string, f *fingerprint) error {
	ns, err := d.network.open(group)
	if err != nil {
		return err
	}
	defer ns.Close()
	if f.rulesKnown, f.rules, err = egress.Unchanged(ns); err != nil {
		return err
	}
	f.ignoreKnownRules()
	if f.links, err = netns.FingerprintOf(ns); err != nil {
		return err
	}
	f.on, err = egress.Fenced(d.network.cgroups, d.network.layout.CgroupParent(group, spec.App))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// DescribeDrift implements [runner.Drift].
func (d *Drift) DescribeDrift(part host.Part, want *spec.Group) []string {
	switch part {
	case host.PartNamespace:
		return []string{"its namespace, or all rules in it"}
	case host.PartRules:
		return []string{"the rules in its namespace, or the fence around its members"}
	case host.PartLimits:
		return []string{"the bounds of its cgroup"}
	case host.PartLink:
		return d.describeLink(want)
	}
	return nil
}

// describeLink says what of the link and the host's side of it is not as wanted.
func (d *Drift) describeLink(want *spec.Group) []string {
	n := d.network
	own, _, err := netns.LinkAddresses(n.linkName(want.Name))
	pair, ok := n.findPair(own)
	if err != nil || !ok {
		return []string{"its link"}
	}
	var out []string
	if ok, err := netns.Observe(n.config(want, pair)); err == nil && !ok {
		out = append(out, "its link, or addresses or routes of it")
	}
	if !n.uplink.Forwards() {
		out = append(out, "the host's forwarding")
	}
	if entry, err := n.entry(want, pair); err == nil {
		if ok, err := n.uplink.Holds(entry); err == nil && !ok {
			out = append(out, "the host's rules for it")
		}
	}
	return out
}
