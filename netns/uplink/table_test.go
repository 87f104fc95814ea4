package uplink

import (
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"github.com/sallyport/sallyport/netns/ruleset"
)

// Each reserved prefix is refused before the rule that lets packets out.
func TestReservedPrefixesAreRefused(t *testing.T) {
	c := config("x")
	c.Reserved = append(c.Reserved, netip.MustParsePrefix("192.0.2.0/24"))
	rules := ownSourceRules(c)
	find := func(want ruleset.Rule) int {
		return slices.IndexFunc(rules, func(r ruleset.Rule) bool { return reflect.DeepEqual(r, want) })
	}
	outside := find(ruleset.NewRule("outside", ruleset.ToUnicast(), ruleset.Accept()))
	if outside < 0 {
		t.Fatal("no rule lets packets out")
	}
	for _, p := range c.Reserved {
		if i := find(ruleset.NewRule("", ruleset.DestIn(p), ruleset.Goto(refuse))); i < 0 || i > outside {
			t.Errorf("the rule that refuses %s is at %d; want one before %d", p, i, outside)
		}
	}
}
