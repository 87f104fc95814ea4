package tree

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// importLaw lists which of our own packages each package may import. Imports point down only, and
// siblings don't see each other. "x/..." is x and everything below it. The first line that matches
// a package counts. A package that no line matches is an error.
var importLaw = []importRule{
	{pkg: "spec"},
	{pkg: "netns/...", may: []string{"netns/..."}}, // netnstest included, which "testing" below keeps out of the rest
	{pkg: "shim/hint"}, {pkg: "shim/disk"}, {pkg: "shim/logs"},
	{pkg: "shim/layout", may: []string{"spec"}},
	{pkg: "shim/host", may: []string{"spec", "shim/hint"}},
	{pkg: "shim/group", may: []string{"spec", "shim/host", "shim/hint"}},
	{pkg: "shim/restart", may: []string{"spec", "shim/host"}, tests: []string{"shim/hosttest"}},
	{pkg: "shim/reach", may: []string{"spec"}, tests: []string{"shim/hosttest"}},
	{pkg: "shim/plan", may: []string{"spec", "shim/host", "shim/group", "shim/restart", "shim/layout", "shim/hint"}, tests: []string{"shim/hosttest"}},
	{pkg: "shim/promise", may: []string{"spec"}},
	{pkg: "shim/oci", may: []string{"spec", "shim/host", "shim/hint", "shim/promise"}},
	{pkg: "shim/journal", may: []string{"shim/group", "shim/layout", "shim/disk", "shim/hint"}, tests: []string{"shim/host"}},
	{pkg: "shim/store", may: []string{"spec", "shim/group", "shim/restart", "shim/layout", "shim/disk", "shim/hint"}, tests: []string{"shim/hosttest"}},
	{pkg: "shim/denials", may: []string{"spec", "shim/host", "shim/group", "shim/journal", "shim/layout", "shim/disk"}, tests: []string{"shim/hosttest"}},
	{pkg: "shim/probes", may: []string{"spec", "shim/host", "shim/hint"}},
	{pkg: "shim/linux/...", may: []string{"spec", "netns/...", "shim/host", "shim/layout", "shim/disk", "shim/hint"}, tests: []string{"netns/netnstest", "shim/reach", "shim/linux/..."}},
	{pkg: "shim/ctrd/archive", may: []string{"shim/hint"}, tests: []string{"shim/ctrd/ctrdtest"}},
	{pkg: "shim/ctrd/child", may: []string{"shim/hint"}, tests: []string{"shim/ctrd/ctrdtest"}},
	{pkg: "shim/ctrd/ctrdtest"},
	{pkg: "shim/ctrd", may: []string{"spec", "netns/cgroup", "shim/oci", "shim/ctrd/archive", "shim/host", "shim/layout", "shim/hint"},
		tests: []string{"netns/netnstest", "shim/ctrd/child", "shim/ctrd/ctrdtest", "shim/hosttest/contract"}},
	{pkg: "shim/runner", may: []string{"spec", "shim/plan", "shim/reach", "shim/store", "shim/journal", "shim/probes", "shim/restart",
		"shim/group", "shim/host", "shim/layout", "shim/hint"}, tests: []string{"shim/hosttest"}},
	{pkg: "shim/keeper", may: []string{"spec", "shim/runner", "shim/plan", "shim/reach", "shim/store", "shim/journal", "shim/group",
		"shim/host", "shim/layout", "shim/hint"}, tests: []string{"shim/hosttest"}},
	{pkg: "shim/api", may: []string{"shim/group", "shim/host", "shim/hint"}},
	{pkg: "shim/hosttest", may: []string{"spec", "shim/host", "shim/hint", "shim/layout", "shim/hosttest/contract"}, tests: []string{"shim/runner"}},
	{pkg: "shim/hosttest/contract", may: []string{"spec", "shim/host", "shim/hint", "shim/layout", "shim/runner"}},
	{pkg: "cmd/...", may: []string{"spec", "shim/...", "netns/..."}},
	{pkg: "examples", tests: []string{"spec", "shim/keeper", "shim/layout"}},
	{pkg: "examples/..."},
	{pkg: "integration/attack"},
	{pkg: "integration/patient"},
	{pkg: "integration/mkimage"},
	{pkg: "integration/machine", may: []string{"shim/group", "shim/host"}},
	{pkg: "integration/...", tests: []string{"integration/machine", "spec", "shim/..."}},
}

type importRule struct {
	pkg   string
	may   []string
	tests []string // imported by its tests only
}

// foreignLaw lists which packages may depend, directly or not, on a module that is not ours. No
// other package may.
var foreignLaw = []struct {
	path   string
	only   []string
	reason string
}{
	{"github.com/containerd/containerd/", []string{"shim/ctrd/...", "cmd/...", "integration/..."}, "only shim/ctrd and what is below it speak containerd"},
	{"github.com/google/nftables", []string{"netns/...", "shim/...", "cmd/...", "integration/..."}, "spec and the examples are the same on every machine"},
	{"github.com/vishvananda/", []string{"netns/...", "shim/...", "cmd/...", "integration/..."}, "spec and the examples are the same on every machine"},
	{"github.com/alecthomas/kong", []string{"cmd/...", "integration/mkimage"}, "the command line is the command's"},
	{"testing", nil, "what tests use stays in tests"},
}

// testPackages exist for tests, and may import what belongs there.
var testPackages = []string{"netns/netnstest", "netns/netnsbench", "shim/ctrd/ctrdtest", "shim/hosttest/...", "integration/..."}

func TestImportLaw(t *testing.T) {
	for _, p := range listPackages(t) {
		pkg := ours(p.ImportPath)
		i := slices.IndexFunc(importLaw, func(r importRule) bool { return covers(r.pkg, pkg) })
		if i < 0 {
			t.Errorf("%s: no line of the import law is for it", pkg)
			continue
		}
		law := importLaw[i]
		for _, err := range breaches(pkg, p.Imports, law.may) {
			t.Error(err)
		}
		for _, err := range breaches(pkg, slices.Concat(p.TestImports, p.XTestImports), slices.Concat(law.may, law.tests)) {
			t.Error("test of ", err)
		}
	}
}

func TestForeignLaw(t *testing.T) {
	for _, p := range listPackages(t) {
		pkg := ours(p.ImportPath)
		for _, law := range foreignLaw {
			if slices.ContainsFunc(slices.Concat(law.only, testPackages), func(pattern string) bool { return covers(pattern, pkg) }) {
				continue
			}
			for _, dep := range p.Deps {
				if dep == law.path || strings.HasPrefix(dep, strings.TrimSuffix(law.path, "/")+"/") {
					t.Errorf("%s depends on %s: %s", pkg, dep, law.reason)
					break
				}
			}
		}
	}
}

// The law has a test of its own, because a pattern that matches nothing would forbid nothing.
func TestBreaches(t *testing.T) {
	for _, tt := range []struct {
		name    string
		imports []string
		may     []string
		want    int
	}{
		{"not ours", []string{"fmt", "github.com/hashicorp/hcl/v2"}, nil, 0},
		{"nothing allowed", []string{modulePath + "/shim"}, nil, 1},
		{"allowed", []string{modulePath + "/shim"}, []string{"shim"}, 0},
		{"below what is allowed", []string{modulePath + "/shim/api"}, []string{"shim"}, 1},
		{"allowed with all below", []string{modulePath + "/netns", modulePath + "/netns/egress"}, []string{"netns/..."}, 0},
		{"name that only begins alike", []string{modulePath + "/netnsx"}, []string{"netns/..."}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := breaches("pkg", tt.imports, tt.may); len(got) != tt.want {
				t.Errorf("%d breaches %v, want %d", len(got), got, tt.want)
			}
		})
	}
}

// breaches lists the imports of our own packages that no pattern in may covers.
func breaches(pkg string, imports, may []string) (errs []error) {
	for _, path := range imports {
		imported, isOurs := strings.CutPrefix(path, modulePath+"/")
		if !isOurs || imported == pkg {
			continue
		}
		if !slices.ContainsFunc(may, func(pattern string) bool { return covers(pattern, imported) }) {
			errs = append(errs, fmt.Errorf("%s imports %s; it may import %v", pkg, imported, may))
		}
	}
	return errs
}

func covers(pattern, pkg string) bool {
	below, all := strings.CutSuffix(pattern, "/...")
	if !all {
		return pkg == pattern
	}
	return pkg == below || strings.HasPrefix(pkg, below+"/")
}

func ours(importPath string) string { return strings.TrimPrefix(importPath, modulePath+"/") }
