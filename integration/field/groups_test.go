package field

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/keeper"
	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/spec"
)

var update = flag.Bool("update", false, "rewrite golden files")

// home is the folder that the files seem to stand in, so that nothing depends on the machine.
const home = "/src/groups"

// names returns the names of the group files, without their ending.
func names(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob("groups/*.hcl")
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range paths {
		paths[i] = strings.TrimSuffix(filepath.Base(p), ".hcl")
	}
	return paths
}

// read reads a group file, which has to be free of errors. A source that is outside of the files'
// folder is not read.
func read(t *testing.T, name string) (spec.Group, []string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("groups", name+".hcl"))
	if err != nil {
		t.Fatal(err)
	}
	groups, diags := spec.Parse(spec.Source{Name: name + ".hcl", Dir: home, Bytes: b, ReadFile: func(path string) ([]byte, error) {
		if own, ok := strings.CutPrefix(path, home+"/"); ok {
			return os.ReadFile(filepath.Join("groups", own))
		}
		return []byte("of the operator's host\n"), nil
	}})
	if diags.HasErrors() || len(groups) != 1 || groups[0].Name != name {
		var out strings.Builder
		_ = spec.WriteDiagnostics(&out, map[string][]byte{name + ".hcl": b}, diags, 0, false)
		t.Fatalf("%s.hcl has %d groups, want the one of its name:\n%s", name, len(groups), out.String())
	}
	var warnings []string
	for _, d := range diags {
		warnings = append(warnings, d.Summary)
	}
	return groups[0], warnings
}

// TestGroups reads and plans every group. The golden file has what each warns of, and what it
// opens.
func TestGroups(t *testing.T) {
	all := names(t)
	if len(all) != 30 {
		t.Errorf("%d groups, want thirty", len(all))
	}
	var doors strings.Builder
	for _, name := range all {
		g, warnings := read(t, name)
		fmt.Fprintf(&doors, "%s:\n", name)
		for _, w := range warnings {
			fmt.Fprintf(&doors, "    warning: %s\n", w)
		}
		p := keeper.Offline(layout.Layout{CgroupRoot: "/sallyport"}, []spec.Group{g})[0]
		for _, o := range p.Opens {
			fmt.Fprintf(&doors, "    %s\n", o)
		}
		checkPlan(t, g, p.Steps, p.Schedule)
	}
	const golden = "testdata/doors.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(doors.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), doors.String()); diff != "" {
		t.Errorf("what the groups open (-want +got):\n%s", diff)
	}
}

// checkPlan checks the plan from nothing: the namespace denies everything before there is a link,
// and every container is created before the first is started, the ambassador first. Each but an
// init is limited.
func checkPlan(t *testing.T, g spec.Group, steps []string, schedule string) {
	t.Helper()
	if g.Schedule != nil {
		if schedule == "" {
			t.Errorf("%s: a group with a schedule and no time for it", g.Name)
		}
		return
	}
	find := func(words ...string) int {
		return slices.IndexFunc(steps, func(s string) bool {
			return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(s, w) })
		})
	}
	order := []int{find("pin namespace", "deny everything"), find("create ")}
	if a := g.Ambassador(); a != nil {
		order = []int{order[0], find("connect "), order[1], find("start " + a.Name)}
	}
	if order[0] != 0 || !slices.IsSorted(order) {
		t.Errorf("%s: not in order (%v):\n%s", g.Name, order, strings.Join(steps, "\n"))
	}
	for _, c := range g.Containers {
		if c.Resources.Memory == 0 && c.Role != spec.Init {
			t.Errorf("%s: %s has no memory limit", g.Name, c.Name)
		}
		created := find("create ", c.Name+" (")
		started := slices.IndexFunc(steps, func(s string) bool {
			return strings.HasPrefix(s, "start "+c.Name+" (") || strings.HasPrefix(s, "run "+c.Name+" (")
		})
		if created < 0 || started <= created {
			t.Errorf("%s: %s is created at %d and started at %d:\n%s", g.Name, c.Name, created, started, strings.Join(steps, "\n"))
		}
	}
}
