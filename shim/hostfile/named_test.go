package hostfile

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// A path with a slash at its end lists the files that match, in the folder or below it.
func TestReadNamed(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	for _, name := range []string{"b.conf", "a.conf", ".c.conf", "x", "in/d.conf", "in/deep/e.conf", "folder.conf/x"} {
		put(t, filepath.Join(dir, name), "secret")
	}
	put(t, filepath.Join(outside, "f.conf"), "secret")
	symlink(t, outside, filepath.Join(dir, "out"))
	symlink(t, "in", filepath.Join(dir, "link"))
	for _, tt := range []struct{ path, want, err string }{
		{"x", "secret", ""},
		{"*.conf/", "a.conf\nb.conf\n", ""},
		{".*.conf/", ".c.conf\n", ""},
		{"in/*/", "d.conf\n", ""},
		{"link/*/", "d.conf\n", ""},
		{"in/deep/?.conf/", "e.conf\n", ""},
		{"*.none/", "", ""},
		{"[/", "", "syntax error in pattern"},
		{"x/*/", "", "not a directory"},
		{"absent/*/", "", "no such file or directory"},
		{"out/*/", "", "leads out of its folder"},
	} {
		got, err := ReadNamed(t.Context(), dir, dir+"/"+tt.path, most)
		if tt.err != "" {
			var pathErr *fs.PathError
			if !errors.As(err, &pathErr) || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%s: %q, %v; want the error %q", tt.path, got, err, tt.err)
			}
			continue
		}
		if err != nil || string(got) != tt.want {
			t.Errorf("%s: %q, %v; want %q", tt.path, got, err, tt.want)
		}
	}
	if _, err := ReadNamed(t.Context(), dir, dir+"/*.conf/", 3); err == nil || !strings.Contains(err.Error(), "at most 0 KiB") {
		t.Errorf("a list that is too long: %v", err)
	}
}
