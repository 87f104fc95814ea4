// Package examples holds group files that run as they are. Its tests read each file and compare
// what Sallyport would do with a golden file. The integration tests run them.
package examples

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/keeper"
	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/spec"
)

var update = flag.Bool("update", false, "rewrite golden files")

// home is the folder that the files seem to stand in, so that the goldens are the same everywhere.
const home = "/src/sallyport/examples"

// parse reads a group file of this folder, with variables as NAME=VALUE.
func parse(t *testing.T, path string, vars ...string) []spec.Group {
	t.Helper()
	values := map[string]string{}
	for _, v := range vars {
		name, value, _ := strings.Cut(v, "=")
		values[name] = value
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return parseBytes(t, path, b, values)
}

// parseBytes reads a group file as if it stood at path. A warning fails the test too.
func parseBytes(t *testing.T, path string, b []byte, vars map[string]string) []spec.Group {
	t.Helper()
	groups, diags := spec.Parse(spec.Source{
		Name:  path,
		Dir:   filepath.Join(home, filepath.Dir(path)),
		Bytes: b,
		Vars:  vars,
		ReadFile: func(path string) ([]byte, error) {
			return os.ReadFile(strings.TrimPrefix(path, home+"/"))
		},
	})
	if len(diags) > 0 {
		var out strings.Builder
		if err := spec.WriteDiagnostics(&out, map[string][]byte{path: b}, diags, 0, false); err != nil {
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

func TestPlan(t *testing.T) {
	layout := layout.Layout{CgroupRoot: "/sallyport"}
	for _, path := range files(t) {
		t.Run(path, func(t *testing.T) {
			var got strings.Builder
			for _, p := range keeper.Offline(layout, parse(t, path)) {
				fmt.Fprintf(&got, "%s:\n", p.Group)
				for _, step := range p.Steps {
					fmt.Fprintf(&got, "    %s\n", step)
				}
				for _, opens := range p.Opens {
					fmt.Fprintf(&got, "  + opens   %s\n", opens)
				}
			}
			golden := strings.TrimSuffix(path, ".hcl") + ".plan"
			if *update {
				if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("plan from nothing (-want +got):\n%s", diff)
			}
		})
	}
}

// The value of a variable reaches everything that uses it.
func TestCheckoutFollowsItsVariables(t *testing.T) {
	g := parse(t, "checkout/checkout.hcl", "world=203.0.113.9", "port=9443")[0]
	proxy := g.Ambassador()
	if got := proxy.Env["WORLD"]; got != "203.0.113.9" {
		t.Errorf("the proxy forwards to %q", got)
	}
	if got := proxy.Publish[0].Host; got != 9443 {
		t.Errorf("published on port %d", got)
	}
	for _, a := range proxy.Allow {
		if a.Prefix != "203.0.113.9/32" {
			t.Errorf("the proxy may reach %s", a.Prefix)
		}
	}
}

// make builds the images that the files name. Only those of first and job are pulled.
func TestImagesAreBuiltByMake(t *testing.T) {
	makefile, err := os.ReadFile("../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files(t) {
		if path == "first/first.hcl" || path == "job/job.hcl" {
			continue
		}
		for _, g := range parse(t, path) {
			for _, c := range g.Containers {
				image, ok := strings.CutPrefix(c.Image, "oci-archive:"+filepath.Dir(home)+"/")
				if !ok || !regexp.MustCompile(`(?m)^(\S+ )*`+regexp.QuoteMeta(image)+`[ :]`).Match(makefile) {
					t.Errorf("%s: image %s of %s has no rule in the Makefile", path, c.Image, c.Name)
				}
			}
		}
	}
}
