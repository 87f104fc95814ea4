package crash

import (
	"strings"
)

// An scenario is what groups go through, again and again, with a crash in each phase.
type scenario struct {
	name   string
	phases []phase
}

type phase struct {
	name     string
	at       []string                            // the points of the crashes: "before:create:1"
	requests func(c *crashTest, n int) []request // of the nth round
}

// rounds is how many it takes to come to every point.
func (o scenario) rounds() (n int) {
	for _, p := range o.phases {
		n = max(n, len(p.at))
	}
	return n
}

// points are moments at each of some things that a daemon does, "create" or "create:2".
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

func concat(lists ...[]string) (all []string) {
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

// installing are the changes of an installation, in order: after the first it is not lost any more.
var installing = []string{
	"write install.json", "write applied", "write groups.d", "remove install.json", "write generations", "write history", "write wanted", "write applied:2",
}

// Between two steps lies nothing: after one is before the next.
const stepping, whenever = "before during", "before during after"

// scenarios are all things that a daemon does, each with every way to be cut off in it.
var scenarios = []scenario{
	{"brittle", []phase{
		{"apply", concat(
			points(stepping, "seal", "admit", "limit", "connect", "mount", "create"), points(whenever, "start"),
			points("during", "start:2", "start:3", "start:4", "start:5", "probe"), points("before", installing...),
			points("before", "hold:2", "write lives", "write history:2"), points("before after", "write wanted:2"),
		), func(c *crashTest, _ int) []request { return []request{c.brittle(1)} }},
		{"update", concat(
			points(stepping, "stop", "remove", "unmount", "admit", "limit", "connect", "mount", "create"), points(whenever, "start"),
			points("during", "start:2", "stop:2"), points("before", installing...), points("before", "write lives", "write lives:2"),
		), func(c *crashTest, _ int) []request { return []request{c.brittle(2)} }},
		{"rm", concat(
			points(stepping, "stop", "remove", "unmount"), points(whenever, "disconnect", "discard"), points("before after", "release"),
			points("during", "stop:2", "stop:3"), points("before", "write install.json", "write wanted", "remove groups.d", "remove applied",
				"remove install.json", "remove history", "remove generations", "remove generations:2", "remove ended", "remove lives", "remove wanted"),
		), func(c *crashTest, _ int) []request { return []request{c.removal("brittle")} }},
	}},
	{"ends", []phase{
		{"run", concat(
			points("before after", "write ended", "write ended:2", "write lives", "write lives:2", "stop", "remove"), points("during", "stop:2", "remove:2", "disconnect", "start:2", "start:3"),
		), func(c *crashTest, _ int) []request { return []request{c.batch(), c.fuse(1)} }},
		{"again", concat(
			points("before after", "remove ended"), points("during", "create", "create:2", "start:2", "stop", "remove:2"), points("before", "write ended", "write ended:2"),
		), func(c *crashTest, _ int) []request { return []request{c.batchAgain(), c.fuse(2)} }},
		{"rm", concat(
			points("before after", "remove ended:2", "discard"), points("before", "release", "write wanted:2", "remove groups.d:2", "remove wanted:2"),
		), func(c *crashTest, _ int) []request { return []request{c.removal("batch"), c.removal("fuse")} }},
	}},
	{"wary", []phase{
		{"update", concat(
			points("before after", "write history:2", "write wanted:2"), points("during", "stop", "start"),
		), func(c *crashTest, n int) []request { return []request{c.waryUpdate(n)} }},
		{"rollback", concat(
			points("before", installing...), points("during", "stop", "create", "start"),
		), func(c *crashTest, _ int) []request { return []request{c.waryRollback()} }},
		{"revert", concat(
			points("before", "write install.json:2", "write applied:3", "write groups.d:2", "remove install.json:2", "write generations:2", "write history:2", "write wanted:2"),
			points("before", "write history"), points("during", "stop:2", "create:2", "start:2"),
		), func(c *crashTest, n int) []request { return []request{c.waryBad(n)} }},
	}},
}
