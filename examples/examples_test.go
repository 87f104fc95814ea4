// Package examples holds group files that run as they are. Its tests read each of them and compare what Sallyport would do
// with a golden file; the integration tests run them.
package examples

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/spec"
)

// home is where the files pretend to stand, so that paths in the goldens are the same in every checkout.
const home = "/src/sallyport/examples"

// parse reads a group file of this folder.
func parse(t *testing.T, path string) []spec.Group {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	groups, diags := spec.Parse(spec.Source{
		Name:  path,
		Dir:   filepath.Join(home, filepath.Dir(path)),
		Bytes: b,
		ReadFile: func(path string) ([]byte, error) {
			return os.ReadFile(strings.TrimPrefix(path, home+"/"))
		},
	})
	if diags.HasErrors() || len(diags) > 0 {
		var out strings.Builder
		if err := spec.WriteDiagnostics(&out, map[string][]byte{path: b}, diags, false); err != nil {
			t.Fatal(err)
		}
		t.Fatalf("%s:\n%s", path, out.String())
	}
	return groups
}

// files lists the group files of this folder; there must be some.
func files(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob("*/*.hcl")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no group files found: %v", err)
	}
	return paths
}

func TestParse(t *testing.T) {
	for _, path := range files(t) {
		t.Run(path, func(t *testing.T) {
			groups := parse(t, path)
			t.Logf("%+v", groups)
		})
	}
}
