package tree

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// rulesDocument numbers the rules of the promise, in tables of rows "| 1 | the rule | why |".
const rulesDocument = "netns/egress/RULES.md"

// ruleRow matches such a row.
var ruleRow = regexp.MustCompile(`(?m)^\| *(\d+) *\|`)

// namedRules matches how comments name rules: "rule 3", "rules 4 and 5", "rules 1, 2 and 5", "rules
// 1 to 7".
var namedRules = regexp.MustCompile(`(?i)\brules?\s+(\d+(?:(?:\s*,\s*|\s+and\s+|\s+or\s+|\s+to\s+)\d+)*)`)

func TestNamedRules(t *testing.T) {
	var known []int
	for _, row := range ruleRow.FindAllStringSubmatch(readTracked(t, rulesDocument), -1) {
		n, _ := strconv.Atoi(row[1])
		known = append(known, n)
	}
	if len(known) == 0 {
		t.Fatalf("%s has no numbered rule", rulesDocument)
	}
	named := false
	for _, f := range goFiles(t) {
		for _, group := range f.syntax.Comments {
			rules := rulesIn(group.Text())
			named = named || len(rules) > 0
			for _, n := range rules {
				if !slices.Contains(known, n) {
					t.Errorf("%s: a comment names rule %d, which %s has not", fmt.Sprintf("%s:%d", f.name, f.fset.Position(group.Pos()).Line), n, rulesDocument)
				}
			}
		}
	}
	if !named {
		t.Error("no comment names a rule, so this test proves nothing")
	}
}

func TestRulesIn(t *testing.T) {
	for _, tt := range []struct {
		text string
		want []int
	}{
		{"no rule at all", nil},
		{"rules of others, 3 of them", nil},
		{"rule 3 drops them", []int{3}},
		{"Rules 4 and 5", []int{4, 5}},
		{"rules 1, 2 and 9", []int{1, 2, 9}},
		{"rules 1 to 4", []int{1, 2, 3, 4}},
		{"the rule\n3 of the first table, and rule 6", []int{3, 6}},
	} {
		if diff := cmp.Diff(tt.want, rulesIn(tt.text)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.text, diff)
		}
	}
}

// rulesIn returns the numbers of the rules that a comment names.
func rulesIn(text string) (numbers []int) {
	for _, found := range namedRules.FindAllStringSubmatch(text, -1) {
		last, to := 0, false
		for field := range strings.FieldsFuncSeq(found[1], func(r rune) bool { return r == ',' || r == ' ' || r == '\n' }) {
			n, err := strconv.Atoi(field)
			switch {
			case err != nil:
				to = field == "to"
				continue
			case to:
				for last++; last < n; last++ {
					numbers = append(numbers, last)
				}
			}
			numbers = append(numbers, n)
			last, to = n, false
		}
	}
	return numbers
}
