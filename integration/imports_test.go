package integration

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const modulePath = "github.com/sallyport/sallyport"

// importLaw says which of our own packages each may import: imports point down only, and siblings don't see each other.
// "x/..." is x and everything below it. The first line that matches a package counts; one that no line matches is an error.
var importLaw = []importRule{
	{pkg: "spec"},
	{pkg: "netns/...", may: []string{"netns/..."}}, // netnstest included, which "testing" below keeps out of the rest
	{pkg: "shim", may: []string{"spec", "netns/..."}, tests: []string{"shim/shimtest", "netns/netnstest"}},
	{pkg: "shim/hosttest/contract", may: []string{"shim", "spec"}},
	{pkg: "shim/shimtest", may: []string{"shim", "shim/hosttest/contract", "spec"}},
	{pkg: "shim/promise", may: []string{"spec"}},
	{pkg: "shim/oci", may: []string{"shim", "shim/promise", "spec"}},
	{pkg: "shim/ctrd/archive", may: []string{"shim"}, tests: []string{"shim/ctrd/ctrdtest"}},
	{pkg: "shim/ctrd/child", may: []string{"shim"}, tests: []string{"shim/ctrd/ctrdtest"}},
	{pkg: "shim/ctrd/ctrdtest"},
	{pkg: "shim/ctrd", may: []string{"shim", "shim/ctrd/archive", "shim/oci", "spec"}, tests: []string{"netns/netnstest", "shim/ctrd/child", "shim/ctrd/ctrdtest", "shim/hosttest/contract"}},
	{pkg: "shim/api", may: []string{"shim", "spec"}, tests: []string{"shim/shimtest"}},
	{pkg: "shim/logs", may: []string{"shim", "spec"}},
	{pkg: "cmd/...", may: []string{"shim", "shim/api", "shim/ctrd", "shim/ctrd/child", "shim/logs", "spec", "netns/..."}, tests: []string{"shim/shimtest"}},
	{pkg: "examples", tests: []string{"spec", "shim"}},
	{pkg: "examples/..."},
	{pkg: "integration/...", tests: []string{"spec", "shim", "shim/api", "shim/ctrd"}},
}

type importRule struct {
	pkg   string
	may   []string
	tests []string // what its tests may import on top
}

// foreignLaw says which packages may come to depend, however indirectly, on a module that is not ours; for the others it
// does not exist.
var foreignLaw = []struct {
	path   string
	only   []string
	reason string
}{
	{"github.com/containerd/containerd/", []string{"shim/ctrd/...", "cmd/...", "integration/..."}, "only shim/ctrd and what is below it speak containerd"},
	{"github.com/google/nftables", []string{"netns/...", "shim/...", "cmd/...", "integration/..."}, "spec and the examples are the same on every machine"},
	{"github.com/vishvananda/", []string{"netns/...", "shim/...", "cmd/...", "integration/..."}, "spec and the examples are the same on every machine"},
	{"github.com/alecthomas/kong", []string{"cmd/...", "examples/..."}, "the command line is the command's"},
	{"testing", nil, "what tests use stays in tests"},
}

// purePackages compute values from values. What they need of the world is handed to them.
var purePackages = []string{"shim/oci", "shim/promise"}

// impureImports are the packages of the standard library that a pure package doesn't import.
var impureImports = []string{"context", "io/fs", "net", "net/http", "os", "os/exec", "os/signal", "syscall"}

// topLevel is everything that may stand in the repository's root.
var topLevel = []string{
	".ci", ".gitignore", "CONTRIBUTING.md", "LICENSE", "Makefile", "README.md", "cmd", "examples", "go.mod", "go.sum",
	"integration", "netns", "shim", "spec",
}

// testPackages exist for tests, and may import what belongs there.
var testPackages = []string{"netns/netnstest", "shim/ctrd/ctrdtest", "shim/hosttest/...", "shim/shimtest", "integration/..."}

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

func TestPurePackages(t *testing.T) {
	var found []string
	for _, p := range listPackages(t) {
		pkg := ours(p.ImportPath)
		if !slices.Contains(purePackages, pkg) {
			continue
		}
		found = append(found, pkg)
		for _, imported := range p.Imports {
			if slices.Contains(impureImports, imported) {
				t.Errorf("%s imports %s; it is a pure package", pkg, imported)
			}
		}
		for _, file := range p.GoFiles {
			source, err := os.ReadFile(filepath.Join(p.Dir, file))
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(source, []byte("time.Now")) {
				t.Errorf("%s/%s reads the clock; it is of a pure package", pkg, file)
			}
		}
	}
	if len(found) != len(purePackages) {
		t.Errorf("found %q of the pure packages %q", found, purePackages)
	}
}

func TestTopLevel(t *testing.T) {
	cmd := exec.Command("git", "-c", "safe.directory=*", "ls-files", "-z")
	cmd.Dir = ".."
	out, err := cmd.Output()
	if err != nil {
		need(t, "git does not list the repository's files: "+err.Error())
	}
	seen := map[string]bool{}
	for file := range strings.SplitSeq(strings.TrimRight(string(out), "\x00"), "\x00") {
		top, _, _ := strings.Cut(file, "/")
		if !seen[top] && !slices.Contains(topLevel, top) {
			t.Errorf("%s stands in the repository's root: put it where it belongs, or argue for it in topLevel", top)
		}
		seen[top] = true
	}
}

// The law itself is tested, because a pattern that matches nothing would forbid nothing.
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

// A listedPackage is what `go list -json` says of a package.
type listedPackage struct {
	ImportPath, Dir                    string
	GoFiles                            []string
	Imports, TestImports, XTestImports []string
	Deps                               []string
}

func listPackages(t *testing.T) (pkgs []listedPackage) {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Dir,GoFiles,Imports,TestImports,XTestImports,Deps", "./...")
	cmd.Dir = ".."
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.Bytes())
	}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listedPackage
		switch err := dec.Decode(&p); {
		case errors.Is(err, io.EOF):
			return pkgs
		case err != nil:
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
}
