package spec

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// impure are the packages that a file of this package may not import. file.go alone names two
// errors of io/fs, which [Source.ReadFile] returns.
var impure = []string{"os", "os/exec", "os/user", "net", "net/http", "context", "io/fs", "path/filepath", "syscall", "math/rand", "math/rand/v2", "crypto/rand", "runtime", "unsafe"}

// The same bytes give the same value on every machine and at every time.
func TestPure(t *testing.T) {
	files := 0
	for _, name := range glob(t, "*.go") {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		files++
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range file.Imports {
			path, _ := strconv.Unquote(spec.Path.Value)
			if slices.Contains(impure, path) && !(name == "file.go" && path == "io/fs") {
				t.Errorf("%s: imports %s", fset.Position(spec.Pos()), path)
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			pkg, ok := sel.X.(*ast.Ident)
			switch {
			case !ok:
			case pkg.Name == "time" && slices.Contains([]string{"Now", "Since", "Until", "Local", "LoadLocation"}, sel.Sel.Name):
				t.Errorf("%s: time.%s", fset.Position(n.Pos()), sel.Sel.Name)
			case pkg.Name == "fs" && sel.Sel.Name != "ErrNotExist" && sel.Sel.Name != "PathError":
				t.Errorf("%s: fs.%s", fset.Position(n.Pos()), sel.Sel.Name)
			}
			return true
		})
	}
	if files == 0 {
		t.Error("no file was looked at")
	}
}
