package tree

import (
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// docs/dependencies.md has one line for each module that go.mod requires directly.
func TestDependenciesAreExplained(t *testing.T) {
	cmd := exec.Command("go", "mod", "edit", "-json")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var mod struct {
		Require []struct {
			Path     string
			Indirect bool
		}
	}
	if err := json.Unmarshal(out, &mod); err != nil {
		t.Fatal(err)
	}
	var required, explained []string
	for _, m := range mod.Require {
		if !m.Indirect {
			required = append(required, m.Path)
		}
	}
	text, err := os.ReadFile("../../docs/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range regexp.MustCompile(`(?m)^\| ([a-z0-9.-]+\.[a-z]+/\S+) \| .+ \| .+ \|$`).FindAllSubmatch(text, -1) {
		explained = append(explained, string(line[1]))
	}
	slices.Sort(required)
	if diff := cmp.Diff(required, explained); diff != "" {
		t.Errorf("docs/dependencies.md explains other modules (-go.mod +explained, in order):\n%s", diff)
	}
}
