// Package tree holds the tests that judge the repository itself: which package imports which, what
// the root holds, how comments read, whether documents name what exists. They need no root, only Go
// and git.
package tree

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/integration/machine"
)

const modulePath = "github.com/sallyport/sallyport"

// root is the folder of the repository, relative to this package.
const root = "../.."

// topLevel is everything that may stand in the repository's root.
var topLevel = []string{
	".ci", ".gitignore", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "Makefile", "README.md", "SECURITY.md", "cmd",
	"docs", "examples", "go.mod", "go.sum", "integration", "netns", "shim", "spec",
}

func TestTopLevel(t *testing.T) {
	seen := map[string]bool{}
	for _, file := range trackedFiles(t) {
		top, _, _ := strings.Cut(file, "/")
		if !seen[top] && !slices.Contains(topLevel, top) {
			t.Errorf("%s stands in the repository's root: put it where it belongs, or argue for it in topLevel", top)
		}
		seen[top] = true
	}
}

// trackedFiles lists the files that git has, by their paths from the root.
func trackedFiles(t *testing.T) []string {
	t.Helper()
	cmd := exec.Command("git", "-c", "safe.directory=*", "ls-files", "-z")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		machine.Need(t, "git does not list the repository's files: "+err.Error())
	}
	return strings.Split(strings.TrimRight(string(out), "\x00"), "\x00")
}

// readTracked returns the text of a file of the repository.
func readTracked(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A goFile is a Go file with its comments.
type goFile struct {
	name   string // from the root
	lines  []string
	fset   *token.FileSet
	syntax *ast.File
}

func parseGo(t *testing.T, name, text string) goFile {
	t.Helper()
	f := goFile{name: name, lines: strings.Split(text, "\n"), fset: token.NewFileSet()}
	var err error
	if f.syntax, err = parser.ParseFile(f.fset, name, text, parser.ParseComments); err != nil {
		t.Fatal(err)
	}
	return f
}

// goFiles parses every Go file that git has.
func goFiles(t *testing.T) (files []goFile) {
	t.Helper()
	for _, name := range trackedFiles(t) {
		if strings.HasSuffix(name, ".go") {
			files = append(files, parseGo(t, name, readTracked(t, name)))
		}
	}
	return files
}

// A listedPackage is a package as `go list -json` prints it.
type listedPackage struct {
	ImportPath, Name, Dir              string
	GoFiles                            []string
	Imports, TestImports, XTestImports []string
	Deps                               []string
}

// listPackages lists the packages of this module, with the files that only the tag failpoint
// builds.
func listPackages(t *testing.T) (pkgs []listedPackage) {
	t.Helper()
	cmd := exec.Command("go", "list", "-tags", "failpoint",
		"-json=ImportPath,Name,Dir,GoFiles,Imports,TestImports,XTestImports,Deps", "./...")
	cmd.Dir = root
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
