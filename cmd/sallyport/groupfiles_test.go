package main

import (
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
		{"none", "", "none: no group file in this folder"},
		{"f", "", "f: no group file in this folder"},
		{"nowhere", "", "nowhere: no such file or folder"},
		{"d/c.txt", "", "d/c.txt: not a group file"},
	} {
		t.Run(c.args, func(t *testing.T) {
			got, err := expand(strings.Fields(c.args))
			if diff := cmp.Diff(c.want, strings.Join(got, " ")); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if (err == nil) != (c.err == "") || (err != nil && !strings.Contains(err.Error(), c.err)) {
				t.Errorf("error %v, want %q", err, c.err)
			}
		})
	}
}
