package tree

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
)

// purePackages compute values from values, and touch nothing else.
//
// spec doesn't: it imports io/fs to tell apart the errors of the function that reads files for it.
var purePackages = []string{"shim/config", "shim/diff", "shim/lockfile", "shim/oci", "shim/plan", "shim/promise", "shim/prune", "shim/reach", "shim/restart", "shim/schedule", "spec/cron"}

// impureImports may not be imported by a pure package.
var impureImports = []string{"context", "io/fs", "net", "os"}

// clockCalls are the functions of package time that read the clock.
var clockCalls = []string{"Now", "Since", "Until"}

func TestPurity(t *testing.T) {
	pkgs := listPackages(t)
	for _, pkg := range purePackages {
		i := slices.IndexFunc(pkgs, func(p listedPackage) bool { return ours(p.ImportPath) == pkg })
		if i < 0 {
			t.Errorf("%s is to be pure, and there is no such package", pkg)
			continue
		}
		fset := token.NewFileSet()
		var files []*ast.File
		for _, name := range pkgs[i].GoFiles {
			f, err := parser.ParseFile(fset, filepath.Join(pkgs[i].Dir, name), nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, f)
		}
		for _, err := range impurities(fset, pkgs[i].Imports, files) {
			t.Errorf("%s is to be pure: %v", pkg, err)
		}
	}
}

// The purity test has a test of its own, because a table of pure packages can't fail it.
func TestImpurities(t *testing.T) {
	for _, tt := range []struct {
		name string
		file string
		want int
	}{
		{"nothing", `package p`, 0},
		{"addresses", `package p; import "net/netip"; var _ netip.Addr`, 0},
		{"durations", `package p; import "time"; const second = time.Second`, 0},
		{"a method called Now", `package p; func f(c interface{ Now() int }) { c.Now() }`, 0},
		{"os", `package p; import "os"; var _ = os.Args`, 1},
		{"two", `package p; import ("context"; "io/fs"); var _ context.Context; var _ fs.FS`, 2},
		{"the clock", `package p; import "time"; func f() { _ = time.Now() }`, 1},
		{"the clock as a value", `package p; import "time"; var now = time.Now`, 1},
		{"the clock by another name", `package p; import clock "time"; func f(t clock.Time) { clock.Since(t) }`, 1},
		{"the clock by no name", `package p; import . "time"; func f() { Now() }`, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fset := token.NewFileSet()
			f, err := parser.ParseFile(fset, "p.go", tt.file, 0)
			if err != nil {
				t.Fatal(err)
			}
			var imports []string
			for _, i := range f.Imports {
				path, _ := strconv.Unquote(i.Path.Value)
				imports = append(imports, path)
			}
			if got := impurities(fset, imports, []*ast.File{f}); len(got) != tt.want {
				t.Errorf("found %v, want %d", got, tt.want)
			}
		})
	}
}

// impurities lists why a package is impure: its imports, and the places where its files read the
// clock.
func impurities(fset *token.FileSet, imports []string, files []*ast.File) (errs []error) {
	for _, path := range imports {
		if slices.Contains(impureImports, path) {
			errs = append(errs, fmt.Errorf("it imports %s", path))
		}
	}
	for _, f := range files {
		name := importName(f, "time")
		if name == "." {
			errs = append(errs, fmt.Errorf("%s: it imports time by no name", fset.Position(f.Pos())))
			continue
		}
		ast.Inspect(f, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok || !slices.Contains(clockCalls, sel.Sel.Name) {
				return true
			}
			if x, ok := sel.X.(*ast.Ident); ok && name != "" && x.Name == name {
				errs = append(errs, fmt.Errorf("%s: it uses time.%s", fset.Position(sel.Pos()), sel.Sel.Name))
			}
			return true
		})
	}
	return errs
}

// importName returns the name that a file gives to a package of the standard library, empty if it
// doesn't import it.
func importName(f *ast.File, path string) string {
	for _, i := range f.Imports {
		if i.Path.Value == strconv.Quote(path) {
			if i.Name != nil {
				return i.Name.Name
			}
			return filepath.Base(path)
		}
	}
	return ""
}
