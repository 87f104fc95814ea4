package tree

import (
	"go/ast"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// dumps matches the methods of the netlink and nftables libraries that ask the kernel for a list.
// Such an answer may be incomplete while the list changes.
var dumps = regexp.MustCompile(`^((Link|Addr|Route|Neigh|NeighProxy|Rule|Qdisc|Class|Filter|Chain|BridgeVlan)List\w*|` +
	`Conntrack\w*(List|Delete)\w*|SocketDiag\w+|Xfrm\w+List|` +
	`List(Tables|Chains|Flowtables)\w*|(Get|Reset)(Rules?|Sets|SetByName|SetElements|Obj|ObjReset|Objects?|NamedObjects))$`)

// asksAgain are the functions that ask again for an answer that was interrupted: netns.Dump and
// ruleset.Read.
var asksAgain = []string{"Dump", "Read"}

// netDumps are the functions of package net that ask for a list, and ignore that it is incomplete.
var netDumps = []string{"Interfaces", "InterfaceAddrs", "InterfaceByName", "InterfaceByIndex"}

// A list of the kernel is read inside netns.Dump or ruleset.Read. Tests look at hosts that nothing
// changes, or look until they see what they expect.
func TestDumpsAreAskedAgain(t *testing.T) {
	packages := map[string][]*ast.File{}
	where := map[*ast.File]goFile{}
	for _, f := range goFiles(t) {
		dir := path.Dir(f.name)
		isTest := strings.HasSuffix(f.name, "_test.go") || strings.HasPrefix(dir, "integration/") ||
			slices.ContainsFunc(testPackages, func(pattern string) bool { return covers(pattern, dir) })
		if !isTest {
			packages[dir] = append(packages[dir], f.syntax)
			where[f.syntax] = f
		}
	}
	guarded := 0
	for dir, files := range packages {
		bare, inside := bareDumps(files)
		guarded += inside
		for _, b := range bare {
			t.Errorf("%s:%d: %s is not inside netns.Dump or ruleset.Read, which ask again when the kernel's answer is incomplete",
				where[b.file].name, where[b.file].fset.Position(b.at.Pos()).Line, b.name)
		}
		if strings.HasPrefix(dir, "netns/ruleset") && inside == 0 {
			t.Errorf("no list is read in %s, so this test proves nothing", dir)
		}
	}
	if guarded < 10 {
		t.Errorf("%d lists are read, so this test proves nothing", guarded)
	}
}

type dump struct {
	name string
	file *ast.File
	at   ast.Node
}

// bareDumps returns the dumps of a package that no function asks again, and how many are asked
// again. A function that is not exported may hold a bare one: then each of its uses counts as one.
func bareDumps(files []*ast.File) (bare []dump, guarded int) {
	ours := map[string]bool{} // functions of the package that count as dumps
	for {
		grown := false
		bare, guarded = nil, 0
		for _, f := range files {
			for _, d := range f.Decls {
				found, inside := dumpsIn(f, d, ours)
				guarded += inside
				if fn, ok := d.(*ast.FuncDecl); ok && len(found) > 0 && !fn.Name.IsExported() && fn.Name.Name != "main" && fn.Name.Name != "init" {
					grown = grown || !ours[fn.Name.Name]
					ours[fn.Name.Name] = true
					continue
				}
				bare = append(bare, found...)
			}
		}
		if !grown {
			return bare, guarded
		}
	}
}

// dumpsIn returns the bare dumps of a declaration, and how many others it has.
func dumpsIn(f *ast.File, d ast.Decl, ours map[string]bool) (bare []dump, guarded int) {
	var visit func(n ast.Node, inside bool)
	visit = func(n ast.Node, inside bool) {
		ast.Inspect(n, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				if slices.Contains(asksAgain, called(n.Fun)) {
					for _, arg := range n.Args {
						visit(arg, true)
					}
					return false
				}
			case *ast.SelectorExpr:
				x, ok := n.X.(*ast.Ident)
				net := ok && x.Name == "net" && slices.Contains(netDumps, n.Sel.Name)
				switch {
				case net, !inside && (dumps.MatchString(n.Sel.Name) || ours[n.Sel.Name]):
					bare = append(bare, dump{n.Sel.Name, f, n})
				case inside && (dumps.MatchString(n.Sel.Name) || ours[n.Sel.Name]):
					guarded++
				}
				visit(n.X, inside)
				return false
			case *ast.Ident:
				if ours[n.Name] && !inside {
					bare = append(bare, dump{n.Name, f, n})
				}
			}
			return true
		})
	}
	if fn, ok := d.(*ast.FuncDecl); ok {
		if fn.Body != nil {
			visit(fn.Body, false)
		}
		return bare, guarded
	}
	visit(d, false)
	return bare, guarded
}

// called returns the last word of a called function's name.
func called(x ast.Expr) string {
	switch x := x.(type) {
	case *ast.IndexExpr:
		return called(x.X)
	case *ast.SelectorExpr:
		return x.Sel.Name
	case *ast.Ident:
		return x.Name
	}
	return ""
}

func TestBareDumps(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       []string
	}{
		{"asked again", `func F() { netns.Dump(func() ([]A, error) { return h.AddrList(nil, 0) }) }`, nil},
		{"asked again as a value", `func F() { netns.Dump[[]L](netlink.LinkList) }`, nil},
		{"once", `func F() { h.AddrList(nil, 0) }`, []string{"AddrList"}},
		{"once, as a value", `func F() { f := h.LinkList; f() }`, []string{"LinkList"}},
		{"of tables", `func F() { conn.GetSetElements(s) }`, []string{"GetSetElements"}},
		{"of the standard library", `func F() { netns.Dump(net.Interfaces) }`, []string{"Interfaces"}},
		{"no dump", `func F() { h.LinkByName("lo"); conn.ListTableOfFamily("t", 1); conn.AddRule(r) }`, nil},
		{"in a helper that is asked again", `func f() { h.LinkList() }; func F() { ruleset.Read(c, func(g) (int, error) { return f() }) }`, nil},
		{"in a helper that is not", `func f() { h.LinkList() }; func F() { f() }`, []string{"f"}},
		{"in a helper of a helper", `func f() { h.LinkList() }; func g() { x.f() }; func F() { g() }`, []string{"g"}},
		{"outside functions", `var v, _ = netlink.LinkList()`, []string{"LinkList"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bare, _ := bareDumps([]*ast.File{parseGo(t, "f.go", "package p\n"+strings.ReplaceAll(tt.text, "; func", "\nfunc")).syntax})
			var got []string
			for _, b := range bare {
				got = append(got, b.name)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
