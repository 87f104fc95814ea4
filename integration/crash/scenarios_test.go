package crash

import (
	"slices"
	"strings"
)

// A scenario takes groups through their phases again and again, with a crash in each phase.
type scenario struct {
	name   string
	phases []phase
}

// A phase makes requests, and crashes the daemon meanwhile.
type phase struct {
	name     string
	at       []string                            // the points of the crashes: "before:create:1"
	requests func(c *crashTest, n int) []request // those of round n
}

// rounds returns how many rounds it takes to come to every point.
func (s scenario) rounds() (n int) {
	for _, p := range s.phases {
		n = max(n, len(p.at))
	}
	return n
}

// points returns each moment of each thing that a daemon does, such as "create" or "create:2".
func points(moments string, things ...string) (all []string) {
	for _, what := range things {
		if !strings.Contains(what, ":") {
			what += ":1"
		}
		for when := range strings.FieldsSeq(moments) {
			all = append(all, when+":"+what)
		}
	}
	return all
}

// installing lists the changes of an installation, in order. After the first it can't get lost any
// more. The last comes when the group has proved itself.
var installing = []string{
	"write install.json", "write groups.d", "write applied", "remove install.json", "write generations", "write wanted", "write history",
}

// Nothing lies between two steps: after one is before the next.
const stepping, whenever = "before during", "before during after"

// scenarios cover everything that a daemon does, with every way to be interrupted in it.
var scenarios = []scenario{
	{"brittle", []phase{
		{"apply", slices.Concat(
			points(stepping, "seal", "admit", "limit", "connect", "mount", "create"), points(whenever, "start"),
			points("during", "start:2", "start:3", "start:4", "start:5", "probe"), points("before", installing...),
			points("before", "retain", "write lives"), points("after", "write wanted", "write history"),
		), func(c *crashTest, _ int) []request { return []request{c.brittle(1)} }},
		{"update", slices.Concat(
			points(stepping, "stop", "remove", "unmount", "admit", "limit", "connect", "mount", "create"), points(whenever, "start"),
			points("during", "start:2", "stop:2"), points("before", installing...), points("before", "write lives", "write lives:2"),
		), func(c *crashTest, _ int) []request { return []request{c.brittle(2)} }},
		{"rm", slices.Concat(
			points(stepping, "stop", "remove", "unmount"), points(whenever, "disconnect", "discard"), points("before after", "release", "retire"),
			points("during", "stop:2", "stop:3"), points("before", "write install.json", "write wanted", "remove groups.d", "remove applied",
				"remove install.json", "remove history", "remove generations", "remove generations:2", "remove ended", "remove lives", "remove stopped",
				"remove wanted"),
		), func(c *crashTest, _ int) []request { return []request{c.removal("brittle")} }},
	}},
	{"ends", []phase{
		{"run", slices.Concat(
			points("before after", "write ended", "write ended:2", "write lives", "write lives:2", "stop", "remove"), points("during", "stop:2", "remove:2", "disconnect", "start:2", "start:3"),
		), func(c *crashTest, _ int) []request { return []request{c.batch(), c.fuse(1)} }},
		{"again", slices.Concat(
			points("before after", "write ended"), points("during", "create", "create:2", "start:2", "stop", "remove:2"), points("before", "write ended:2", "write ended:3"),
		), func(c *crashTest, _ int) []request { return []request{c.batchAgain(), c.fuse(2)} }},
		{"rm", slices.Concat(
			points("before after", "remove ended:2", "discard"), points("before", "release", "write wanted:2", "remove groups.d:2", "remove wanted:2"),
		), func(c *crashTest, _ int) []request { return []request{c.removal("batch"), c.removal("fuse")} }},
	}},
	{"slow", []phase{
		{"run", slices.Concat(
			points("before after", "write timeouts", "write ended", "remove timeouts"), points("during", "stop", "stop:2", "remove", "disconnect"),
		), func(c *crashTest, _ int) []request { return []request{c.slow(1)} }},
		{"again", slices.Concat(
			points("before after", "write timeouts", "write ended", "remove timeouts"), points("during", "start", "stop", "stop:2"),
		), func(c *crashTest, _ int) []request { return []request{c.slow(2)} }},
		{"rm", points("before", "remove ended", "remove wanted"), func(c *crashTest, _ int) []request { return []request{c.removal("slow")} }},
	}},
	{"told", []phase{
		{"update", points(whenever, "reload"), func(c *crashTest, n int) []request { return []request{c.toldUpdate(n)} }},
		{"revert", points(whenever, "reload:2"), func(c *crashTest, n int) []request { return []request{c.toldBad(n)} }},
	}},
	{"wary", []phase{
		{"update", slices.Concat(
			points("before after", "write history", "write wanted"), points("during", "stop", "start"),
		), func(c *crashTest, n int) []request { return []request{c.waryUpdate(n)} }},
		{"rollback", slices.Concat(
			points("before", installing...), points("during", "stop", "create", "start"),
		), func(c *crashTest, _ int) []request { return []request{c.waryRollback()} }},
		{"revert", slices.Concat(
			points("before", "write install.json:2", "write groups.d:2", "write applied:2", "remove install.json:2", "write generations:2", "write history:2", "write wanted:2"),
			points("before", "write history"), points("during", "stop:2", "create:2", "start:3"),
		), func(c *crashTest, n int) []request { return []request{c.waryBad(n)} }},
	}},
}
