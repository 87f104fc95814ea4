package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestExpand(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, name := range []string{"a.hcl", "d/b.hcl", "d/c.hcl", "d/c.txt", "e/a.hcl", "d/.#b.hcl", "d/#b.hcl", "none/x.txt", "f/x.hcl/y"} {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		args, want string
		err        string
	}{
		{"a.hcl", "a.hcl", ""},
		{"d", "d/b.hcl d/c.hcl", ""},
		{"d/ a.hcl", "d/b.hcl d/c.hcl a.hcl", ""},
		{"a.hcl e", "", "a.hcl and e/a.hcl would be installed under the same name"},
		{"a.hcl a.hcl", "", "same name"},
		{"- a.hcl", "<stdin> a.hcl", ""},
		{"- a.hcl -", "", "standard input can be read once only"},
		{"none", "", "none: no group file in this folder"},
		{"f", "f/x.hcl", ""}, // a folder, which reading refuses
		{"nowhere", "", "nowhere: no such file or folder"},
		{"d/c.txt", "", "d/c.txt: not a group file"},
	} {
		t.Run(c.args, func(t *testing.T) {
			got, err := expand(t.Context(), strings.Fields(c.args))
			if diff := cmp.Diff(c.want, strings.Join(got, " ")); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if (err == nil) != (c.err == "") || (err != nil && !strings.Contains(err.Error(), c.err)) {
				t.Errorf("error %v, want %q", err, c.err)
			}
		})
	}
}

// A container that may write to the folder of a source puts a link there, to a file that only root
// can read.
func TestReadOneFollowsNoLinkOfAContainer(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	if err := errors.Join(os.Mkdir(data, 0o755), os.WriteFile(filepath.Join(dir, "key"), []byte("secret"), 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, source := range []string{"data/page", filepath.Join(data, "page")} {
		src := []byte("group \"g\" {\n  egress = \"none\"\n  app \"a\" {\n    image = \"registry.example/a:1\"\n    file \"/x\" { source = \"" + source + "\" }\n  }\n}\n")
		page := filepath.Join(data, "page")
		for _, to := range []string{"", "../key", filepath.Join(dir, "key")} {
			os.Remove(page)
			err := os.Symlink(to, page)
			if to == "" {
				err = os.WriteFile(page, []byte("page"), 0o644)
			}
			if err != nil {
				t.Fatal(err)
			}
			b, _, diags := readOne(t.Context(), filepath.Join(dir, "g.hcl"), src, variableValues{})
			switch {
			case to == "" && (diags.HasErrors() || string(b.Files[page]) != "page"):
				t.Errorf("the control: %v", diags)
			case to != "" && (!strings.Contains(diags.Error(), "leads out of its folder") || len(b.Files) > 0):
				t.Errorf("with a link to %s: %v, files %q", to, diags, b.Files)
			}
		}
	}
}
