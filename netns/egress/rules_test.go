package egress

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var (
	// "rule 3", "rules 4 and 5", "rules 1 to 7"
	ruleMention = regexp.MustCompile(`\brules? (\d+)(?:(?: and | to |, )(\d+))?`)
	// the comment of a rule in the kernel: "3: members are refused at once"
	ruleComment = regexp.MustCompile(`"(\d+): `)
)

// TestRulesExist checks that RULES.md has each rule that a comment names by its number, in this package and in uplink.
func TestRulesExist(t *testing.T) {
	text, err := os.ReadFile("RULES.md")
	if err != nil {
		t.Fatal(err)
	}
	output, input := numbered(string(text), "Output"), numbered(string(text), "Input")
	if len(output) != 7 || len(input) != 6 {
		t.Fatalf("RULES.md has %d rules of the output and %d of the input, want 7 and 6", len(output), len(input))
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	other, err := filepath.Glob("../uplink/*.go")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, path := range append(files, other...) {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		mentions := ruleMention.FindAllStringSubmatch(string(b), -1)
		if path == "table.go" {
			mentions = append(mentions, ruleComment.FindAllStringSubmatch(string(b), -1)...)
		}
		for _, m := range mentions {
			for _, n := range m[1:] {
				if n == "" {
					continue
				}
				found++
				if !output[n] && !input[n] {
					t.Errorf("%s names %q, and RULES.md has no rule %s", path, m[0], n)
				}
			}
		}
	}
	if found == 0 {
		t.Error("no comment names a rule, which proves nothing")
	}
}

// numbered returns the numbers in the first column of the table under a heading of the third level.
func numbered(text, title string) map[string]bool {
	_, section, _ := strings.Cut(text, "\n### "+title+"\n")
	section, _, _ = strings.Cut(section, "\n### ")
	found := map[string]bool{}
	for line := range strings.Lines(section) {
		cells := strings.Split(line, "|")
		if len(cells) < 3 {
			continue
		}
		n := strings.TrimSpace(cells[1])
		if _, err := strconv.Atoi(n); err == nil {
			found[n] = true
		}
	}
	return found
}
