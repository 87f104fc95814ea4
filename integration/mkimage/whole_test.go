package main

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAddTree(t *testing.T) {
	own := files(t, map[string]string{
		"etc/nginx/nginx.conf": "events {}", "usr/share/doc/nginx/copyright": "", "usr/share/man/man8/nginx.8.gz": "", "lib/systemd/system/nginx.service": "",
		"usr/lib/db/15/bitcode/db/a.bc": "", "usr/lib/db/15/jit.so": "", "usr/share/nginx/index.html": strings.Repeat("no program ", 100),
	})
	if err := os.Symlink("index.html", filepath.Join(own, "usr/share/nginx/start.html")); err != nil {
		t.Fatal(err)
	}
	root := &tree{entries: map[string]entry{}}
	if err := addTree(root, t.TempDir(), own, []string{"/usr/lib/db/*/bitcode", "/usr/lib/db/15/jit*"}); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, name := range slices.Sorted(maps.Keys(root.entries)) {
		if e := root.entries[name]; !e.mode.IsDir() {
			got = append(got, name+" "+e.target)
		}
	}
	if diff := cmp.Diff([]string{"etc/nginx/nginx.conf ", "usr/share/nginx/index.html ", "usr/share/nginx/start.html index.html"}, got); diff != "" {
		t.Errorf("files in the image (-want +got):\n%s", diff)
	}
	if err := addTree(root, "/none", own, []string{"["}); err == nil {
		t.Error("a broken pattern is no error")
	}
}

// The shell of this machine is a package's program, and its tree has the libraries.
func TestAddTreeBringsLibraries(t *testing.T) {
	shell, err := os.ReadFile("/bin/sh")
	if err != nil {
		t.Skip(err)
	}
	own := files(t, map[string]string{"bin/shell": string(shell)})
	root := newTree()
	if err := addTree(root, "/", own, nil); err != nil {
		t.Fatal(err)
	}
	names := strings.Join(slices.Sorted(maps.Keys(root.entries)), "\n")
	if !strings.Contains(names, "bin/shell") || strings.Contains(names, "libc.so") != strings.Contains(names, "ld-") {
		t.Errorf("a shell without its libraries:\n%s", names)
	}
	err = addTree(newTree(), t.TempDir(), own, nil)
	if strings.Contains(names, "libc.so") && (err == nil || !strings.Contains(err.Error(), "/bin/shell: no package has its loader")) {
		t.Errorf("without its loader: %v", err)
	}
}
