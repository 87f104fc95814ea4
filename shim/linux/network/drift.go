package network

import (
	"errors"
	"io/fs"
	"time"

	"github.com/sallyport/sallyport/netns"
	"github.com/sallyport/sallyport/netns/cgroup"
	"github.com/sallyport/sallyport/netns/egress"
	"github.com/sallyport/sallyport/netns/ruleset"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// A Drift detects what others change on a real host. A group that is settled is read again once
// the kernel reports that something of it has changed; see [Drift.Hear]. Groups that are not
// settled are read each second, and so is every group if nothing is heard. Calls of Changed must
// not overlap, also not with WatchDrift.
//
// It distinguishes our own changes of rules from those of others. It does not distinguish changes
// of links and addresses: ours cost one reconciliation that finds nothing to do.
type Drift struct {
	network  *Network
	host     baseline
	hostRead bool // since the last look of each second
	groups   map[string]*groupDrift
	ears     ears
	silent   quietGroups
	survey   *egress.Survey    // nil: each group's cgroups are asked for by themselves
	prints   map[string]uint64 // of the last survey, by cgroup
	warned   bool              // that there is no survey
}

// A groupDrift remembers one group.
type groupDrift struct {
	baseline
	heard bool      // what changes of it is heard since before it was last read
	told  bool      // something of it was heard since then
	since time.Time // when its last fingerprint was first read
	pin   pin       // its namespace when it was last read
	link  string    // the name of the host's end of its link
	index int       // the index of that. 0: there was none
}

// A baseline remembers the fingerprints of a part of the network. A fingerprint that differs from
// the settled one counts as a change each time: the part may have been restored and changed again
// in between. After [settleAfter] times in a row it is the settled one.
type baseline struct {
	settled, last fingerprint
	repeats       int // how many times in a row last was seen
}

const settleAfter = 3

// isSettled reports whether the last fingerprint is the settled one.
func (b *baseline) isSettled() bool { return b.repeats >= settleAfter }

// confirm makes what is settled need another look. A message may come a moment before that which it
// reports can be seen (fib_table_delete in net/ipv4/fib_trie.c).
func (b *baseline) confirm() { b.repeats = min(b.repeats, settleAfter-1) }

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

// update is [baseline.update], with what observations have found meanwhile. A fingerprint is
// settled at once if the group was as wanted when it was observed after the first look at it, and
// at each observation since. It begins anew if it was seen before and after a repair.
func (g *groupDrift) update(f fingerprint, now time.Time, found findings) (changed bool) {
	if f != g.last {
		g.since = now
		return g.baseline.update(f)
	}
	switch repaired := found.wrong.After(g.since); {
	case !f.differs(g.settled) || !found.right.After(g.since):
	case repaired:
		g.since, g.repeats = now, 0
	default:
		g.settled, g.repeats = f, settleAfter
		return false
	}
	return g.baseline.update(f)
}

// A fingerprint identifies a state of one part of the network: the host's part, or a group's.
type fingerprint struct {
	rules      ruleset.Generation
	rulesKnown bool              // the rules are as we last saw or made them
	links      netns.Fingerprint // of the group's namespace
	hostEnd    netns.Fingerprint // of the host's end of the group's link
	on         bool              // the host forwards
	// fence identifies what the survey saw of the group's cgroups. Without one, it identifies the
	// programs at the hooks of the group's members, and those that keep abstract sockets apart.
	fence    string
	cgroups  string // of the group's containers, without a survey
	reserved string // ports of the group's namespace
	pings    string // groups of users in it who can ping
	err      string // why the part could not be read
}

// NewDrift returns a Drift without a baseline. Its first Changed returns every group.
func (n *Network) NewDrift() *Drift {
	return &Drift{network: n, groups: map[string]*groupDrift{}, survey: egress.NewSurvey(n.cgroups, n.layout.CgroupRoot)}
}

// differs reports whether the part may differ from what is wanted. Known rules don't count: we have
// seen them since the change, or made it.
func (f fingerprint) differs(before fingerprint) bool {
	if !f.rulesKnown && (before.rulesKnown || f.rules != before.rules) {
		return true
	}
	f.rules, f.rulesKnown, before.rules, before.rulesKnown = ruleset.Generation{}, false, ruleset.Generation{}, false
	return f != before
}

// Changed returns the groups whose network may have changed since the last call, out of the given
// ones. It reads all of them.
func (d *Drift) Changed(groups []string) []string {
	return d.look(groups, true, func(string, *groupDrift) bool { return true })
}

// look reads the host, if it is due, and the groups that are due or new. It returns those whose
// network may have changed: all of them if the host's part has. Groups that are not among the given
// ones are forgotten.
func (d *Drift) look(groups []string, host bool, due func(group string, g *groupDrift) bool) (changed []string) {
	all := host && d.host.update(d.fingerprintHost())
	d.hostRead = d.hostRead || host
	known := 0
	var looks []string
	for _, group := range groups {
		g := d.groups[group]
		if g != nil {
			known++
		}
		if g == nil || due(group, g) {
			looks = append(looks, group)
		}
	}
	d.forgetOthers(groups, known)
	for _, group := range looks {
		if d.groups[group] == nil {
			d.groups[group] = &groupDrift{link: d.network.linkName(group)}
		}
	}
	if len(looks) > 0 {
		d.surveyGroups(groups)
	}
	differs := map[string]bool{}
	hostEnd := d.hostEnds(looks)
	for _, group := range looks {
		g := d.groups[group]
		quiet := d.quiet(g)
		f := d.fingerprintGroup(group, g)
		end, err := hostEnd(g.link)
		if f.hostEnd, g.index = end.Fingerprint, end.Index; err != nil {
			f.err = err.Error()
		}
		if differs[group] = g.update(f, time.Now(), d.network.findings.of(group)); quiet || g.told {
			g.confirm()
		}
		g.told = false
	}
	d.noteQuiet()
	if all {
		return groups
	}
	for _, group := range looks {
		if differs[group] {
			changed = append(changed, group)
		}
	}
	return changed
}

// forgetOthers forgets all groups but the given ones. known is how many of those are remembered.
func (d *Drift) forgetOthers(groups []string, known int) {
	if known == len(d.groups) {
		return
	}
	kept := make(map[string]bool, len(groups))
	for _, group := range groups {
		kept[group] = true
	}
	for group := range d.groups {
		if !kept[group] {
			delete(d.groups, group)
			d.forget(group)
		}
	}
	d.network.findings.forgetOthers(kept)
}

// fewEnds is up to how many groups the host's ends of links are asked for one by one. For more, one
// list of the whole host costs less.
const fewEnds = 8

// hostEnds returns a function for the fingerprint of the host's end of a group's link, for these
// groups. It is zero without a link.
func (d *Drift) hostEnds(groups []string) func(link string) (netns.HostLinkPrint, error) {
	if len(groups) <= fewEnds {
		return netns.HostFingerprint
	}
	all, err := netns.HostFingerprints()
	return func(link string) (netns.HostLinkPrint, error) { return all[link], err }
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

func (d *Drift) fingerprintGroup(group string, g *groupDrift) (f fingerprint) {
	if err := d.readGroup(group, g, &f); err != nil {
		return fingerprint{err: err.Error()}
	}
	return f
}

func (d *Drift) readGroup(group string, g *groupDrift, f *fingerprint) error {
	g.heard = false
	ns, err := d.network.open(group)
	if err != nil {
		g.pin = pin{}
		// When it is pinned, a change of the mounts is heard.
		g.heard = errors.Is(err, fs.ErrNotExist)
		return err
	}
	defer ns.Close()
	d.listen(group, g, ns)
	seen, err := egress.Visit(ns, false)
	if err != nil {
		return err
	}
	f.rulesKnown, f.rules, f.reserved, f.pings = seen.Unchanged(), seen.Generation, seen.Reserved.String(), seen.PingGroups
	f.ignoreKnownRules()
	if f.links, err = netns.FingerprintOf(ns); err != nil {
		return err
	}
	if print, ok := d.surveyed(group); ok {
		f.fence = print
		return nil
	}
	if f.cgroups, err = d.network.cgroupPrint(group); err != nil {
		return err
	}
	f.fence, err = d.programs(group)
	return err
}

// programs identifies the programs of the group's cgroups. The kernel reports no change of them,
// so they are read each second.
func (d *Drift) programs(group string) (string, error) {
	found, err := egress.FencePrint(d.network.cgroups, d.network.layout.CgroupParent(group, spec.App))
	if err == nil {
		err = d.network.eachSide(group, func(h cgroup.Hierarchies, path string) error {
			programs, err := egress.SeparationPrint(h, path)
			found += programs
			return err
		})
	}
	if errors.Is(err, fs.ErrNotExist) {
		return found, nil
	}
	return found, err
}

// Describe implements [runner.Drift].
func (d *Drift) Describe(part host.Part, want *spec.Group) []string {
	switch part {
	case host.PartNamespace:
		return []string{"its namespace, or all rules in it"}
	case host.PartRules:
		return []string{"the rules in its namespace, the fence around its members, the ports closed to them, " +
			"who can ping, what keeps abstract sockets apart, or the cgroups of its containers"}
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
