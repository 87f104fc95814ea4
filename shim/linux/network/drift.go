package network

import (
	"errors"
	"io/fs"

	"github.com/sallyport/sallyport/netns"
	"github.com/sallyport/sallyport/netns/cgroup"
	"github.com/sallyport/sallyport/netns/egress"
	"github.com/sallyport/sallyport/netns/ruleset"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// A Drift detects what others change on a real host. Calls of Changed must not overlap.
//
// It distinguishes our own changes of rules from those of others. It does not distinguish changes
// of links and addresses: ours cost one reconciliation that finds nothing to do.
type Drift struct {
	network *Network
	host    baseline
	groups  map[string]*baseline
}

// A baseline remembers the fingerprints of a part of the network. A fingerprint that differs from
// the settled one counts as a change each time: the part may have been restored and changed again
// in between. After [settleAfter] times in a row it is the settled one.
type baseline struct {
	settled, last fingerprint
	repeats       int // how many times in a row last was seen
}

const settleAfter = 3

// update takes the current fingerprint and reports whether the part has changed.
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

// A fingerprint identifies a state of one part of the network: the host's part, or a group's.
type fingerprint struct {
	rules      ruleset.Generation
	rulesKnown bool              // the rules are as we last saw or made them
	links      netns.Fingerprint // of the group's namespace
	hostEnd    netns.Fingerprint // of the host's end of the group's link
	on         bool              // the host forwards
	fence      string            // the programs at the hooks of the group's members, and those that keep abstract sockets apart
	cgroups    string            // of the group's containers
	reserved   string            // ports of the group's namespace
	err        string            // why the part could not be read
}

// NewDrift returns a Drift without a baseline. Its first Changed returns every group.
func (n *Network) NewDrift() *Drift { return &Drift{network: n} }

// differs reports whether the part may differ from what is wanted. Known rules don't count: we have
// seen them since the change, or made it.
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

// ignoreKnownRules gives all fingerprints with known rules the same generation.
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
	reserved, err := netns.ReservedPorts(ns)
	if err != nil {
		return err
	}
	f.reserved = reserved.String()
	if f.cgroups, err = d.network.cgroupPrint(group); err != nil {
		return err
	}
	f.fence, err = egress.FencePrint(d.network.cgroups, d.network.layout.CgroupParent(group, spec.App))
	if err == nil {
		err = d.network.eachSide(group, func(h cgroup.Hierarchies, path string) error {
			programs, err := egress.SeparationPrint(h, path)
			f.fence += programs
			return err
		})
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Describe implements [runner.Drift].
func (d *Drift) Describe(part host.Part, want *spec.Group) []string {
	switch part {
	case host.PartNamespace:
		return []string{"its namespace, or all rules in it"}
	case host.PartRules:
		return []string{"the rules in its namespace, the fence around its members, the ports closed to them, " +
			"what keeps abstract sockets apart, or the cgroups of its containers"}
	case host.PartLimits:
		return []string{"the limits of its cgroup"}
	case host.PartLink:
		return d.describeLink(want)
	}
	return nil
}

// describeLink describes how the link and the host's side of it differ from what is wanted.
func (d *Drift) describeLink(want *spec.Group) []string {
	n := d.network
	own, _, err := netns.LinkAddresses(n.linkName(want.Name))
	pair, ok := n.findPair(want.Name, own)
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
