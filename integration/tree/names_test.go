package tree

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// mapRow matches a line of the map in CONTRIBUTING.md: a folder, and what is in it.
var mapRow = regexp.MustCompile(`^([a-z0-9/]+)/ +\S`)

// mapOnly are the folders of the map that hold no Go.
var mapOnly = []string{"docs", "integration/host"}

// The word shim is containerd's process for a task.
func TestNoPackageIsCalledShim(t *testing.T) {
	for _, p := range listPackages(t) {
		if p.Name == "shim" {
			t.Errorf("%s is called shim: name it for what it does", ours(p.ImportPath))
		}
	}
}

func TestPackageComments(t *testing.T) {
	for _, p := range listPackages(t) {
		if len(p.GoFiles) == 0 {
			continue // tests alone
		}
		var docs []string
		for _, name := range p.GoFiles {
			f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.PackageClauseOnly|parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			if f.Doc != nil {
				docs = append(docs, f.Doc.Text())
			}
		}
		want := "Package " + p.Name + " "
		if p.Name == "main" {
			want = "Command " + filepath.Base(p.Dir) + " "
		}
		switch {
		case len(docs) == 0:
			t.Errorf("%s has no package comment: add one sentence that begins with %q", ours(p.ImportPath), want)
		case len(docs) > 1:
			t.Errorf("%s has %d package comments: make one of them", ours(p.ImportPath), len(docs))
		case !strings.HasPrefix(docs[0], want):
			t.Errorf("%s: its package comment doesn't begin with %q", ours(p.ImportPath), want)
		}
	}
}

func TestMap(t *testing.T) {
	_, text, found := strings.Cut(section(readTracked(t, "CONTRIBUTING.md"), "## The map"), "```\n")
	text, _, _ = strings.Cut(text, "```")
	if !found || text == "" {
		t.Fatal("CONTRIBUTING.md has no map")
	}
	var have []string
	for line := range strings.Lines(text) {
		if row := mapRow.FindStringSubmatch(line); row != nil {
			have = append(have, row[1])
		} else if strings.TrimSpace(line) != "" {
			t.Errorf("CONTRIBUTING.md: this line of the map is not a folder with what is in it: %s", line)
		}
	}
	want := slices.Clone(mapOnly)
	for _, p := range listPackages(t) {
		if pkg := ours(p.ImportPath); !strings.HasPrefix(pkg, "examples/") { // the map has them as one
			want = append(want, pkg)
		}
	}
	slices.Sort(have)
	slices.Sort(want)
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("the map of CONTRIBUTING.md names other folders than there are (-there are +in the map):\n%s", diff)
	}
}

// declarations lists what the packages of the module declare, as "package.Function",
// "package.Type" and "package.Type.Method". Fields and the methods of interfaces count as methods.
// The only package main that counts is the command.
func declarations(t *testing.T) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	for _, p := range listPackages(t) {
		if p.Name == "main" && ours(p.ImportPath) != "cmd/sallyport" {
			continue
		}
		all[p.Name] = true
		for _, name := range p.GoFiles {
			f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range declared(f) {
				all[p.Name+"."+d] = true
			}
		}
	}
	return all
}

// declared lists what a file declares, without the name of its package.
func declared(f *ast.File) (names []string) {
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			name := d.Name.Name
			if d.Recv != nil {
				name = receiver(d.Recv.List[0].Type) + "." + name
			}
			names = append(names, name)
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.ValueSpec:
					for _, n := range s.Names {
						names = append(names, n.Name)
					}
				case *ast.TypeSpec:
					names = append(names, s.Name.Name)
					for _, m := range members(s.Type) {
						names = append(names, s.Name.Name+"."+m)
					}
				}
			}
		}
	}
	return names
}

// receiver returns the name of a method's type.
func receiver(x ast.Expr) string {
	switch x := x.(type) {
	case *ast.StarExpr:
		return receiver(x.X)
	case *ast.IndexExpr:
		return receiver(x.X)
	case *ast.IndexListExpr:
		return receiver(x.X)
	case *ast.Ident:
		return x.Name
	}
	return ""
}

// members returns the fields of a struct, or the methods of an interface.
func members(x ast.Expr) (names []string) {
	var list *ast.FieldList
	switch x := x.(type) {
	case *ast.StructType:
		list = x.Fields
	case *ast.InterfaceType:
		list = x.Methods
	default:
		return nil
	}
	for _, f := range list.List {
		for _, n := range f.Names {
			names = append(names, n.Name)
		}
	}
	return names
}

func TestDeclared(t *testing.T) {
	f := parseGo(t, "x.go", `package x

const a, b = 1, 2

var c int

type d struct{ e, f int }

type g interface{ h() }

type i[T any] []T

func (x *d) j() {}

func (x i[T]) k() {}

func l() {}
`)
	want := []string{"a", "b", "c", "d", "d.e", "d.f", "g", "g.h", "i", "d.j", "i.k", "l"}
	if diff := cmp.Diff(want, declared(f.syntax)); diff != "" {
		t.Errorf("declared (-want +got):\n%s", diff)
	}
}
